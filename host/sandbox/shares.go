package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// The kernel counts some resources for the machine, for a control group, or for the host's user. A
// Task that meets such a limit would learn what other Tasks use. So each Task has a share: the most
// that its own limits let it take. A Task is started only while the shares of all Tasks fit. Then a
// Task meets only its own limits. Other programs of the machine are not counted.

// sharedResource is a resource that the kernel counts for more than one Task.
type sharedResource struct {
	name   string
	each   uint64 // what one Task can take
	limits func(ownUser bool) []sharedLimit
}

// sharedLimit is a limit of the machine, and the file that sets it.
type sharedLimit struct {
	where string
	most  uint64
}

// maxWatches is the most epoll watches that a Task can make: one for each combination of descriptor
// number, open file and epoll.
const maxWatches = maxDescriptors * maxDescriptors * maxDescriptors

var sharedResources = []sharedResource{
	{"threads", maxThreads, threadLimits},
	{"open files", maxDescriptors, func(bool) []sharedLimit { return sysctl("fs.file-max") }},
	{"epoll watches", maxWatches, func(ownUser bool) []sharedLimit {
		if ownUser {
			return nil // the kernel counts it for the Task's own user
		}
		return sysctl("fs.epoll.max_user_watches")
	}},
}

// living counts the Tasks of this process.
var living atomic.Int64

// capacity is the number of Tasks that fit, and the limit that decides this.
func capacity(ownUser bool) (tasks uint64, by string) {
	tasks = 1 << 32
	for _, r := range sharedResources {
		for _, l := range r.limits(ownUser) {
			// The host, the Core and the shell that started them have the share of one Task.
			fit := l.most / r.each
			if fit > 0 {
				fit--
			}
			if fit < tasks {
				tasks, by = fit, fmt.Sprintf("%s: %s is %d, a Task takes up to %d", r.name, l.where, l.most, r.each)
			}
		}
	}
	return tasks, by
}

// enter counts one more Task, if its share fits.
func enter(ownUser bool) error {
	now := living.Add(1)
	if tasks, by := capacity(ownUser); uint64(now) > tasks {
		living.Add(-1)
		return fmt.Errorf("%d Tasks fit on this machine (%s)", tasks, by)
	}
	return nil
}

// leave counts one Task less.
func leave() { living.Add(-1) }

// threadLimits are the limits of threads. Root's number of threads is not limited.
func threadLimits(ownUser bool) []sharedLimit {
	list := append(sysctl("kernel.threads-max"), sysctl("kernel.pid_max")...)
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &r); err == nil && !ownUser {
		list = append(list, sharedLimit{"RLIMIT_NPROC", r.Cur})
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return list
	}
	for line := range strings.Lines(string(groups)) {
		list = append(list, groupLimits(strings.TrimSpace(line))...)
	}
	return list
}

// groupLimits are the limits of a control group and of the groups above it.
func groupLimits(line string) (list []sharedLimit) {
	parts := strings.SplitN(line, ":", 3)
	if len(parts) != 3 || parts[1] != "" && parts[1] != "pids" {
		return nil
	}
	root := filepath.Join("/sys/fs/cgroup", parts[1])
	for dir := filepath.Join("/", parts[2]); ; dir = filepath.Dir(dir) {
		list = append(list, numberIn(filepath.Join(root, dir, "pids.max"))...)
		if dir == "/" {
			return list
		}
	}
}

func sysctl(name string) []sharedLimit {
	list := numberIn("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	for i := range list {
		list[i].where = name
	}
	return list
}

// numberIn reads a limit from a file. It returns no limit if the file is missing, or says "max".
func numberIn(path string) []sharedLimit {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return nil
	}
	return []sharedLimit{{path, n}}
}
