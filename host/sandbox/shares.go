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

// Some resources are counted for the machine, for a control group, or for the
// host's user, and a Task that gets no more of them learns what other Tasks
// have. So a Task has a share, the most that its limits let it take, and is
// started only while the shares of all fit. Then no Task meets a limit but its
// own. Other programs of the machine are not counted.

// sharedResource is such a resource.
type sharedResource struct {
	name   string
	each   uint64 // what one Task can take
	limits func(ownUser bool) []sharedLimit
}

// sharedLimit is a limit of the machine, and where it is set.
type sharedLimit struct {
	where string
	most  uint64
}

// maxWatches is how many epoll watches a Task can make: one for each descriptor
// number, open file and epoll.
const maxWatches = maxDescriptors * maxDescriptors * maxDescriptors

var sharedResources = []sharedResource{
	{"threads", maxThreads, threadLimits},
	{"open files", maxDescriptors, func(bool) []sharedLimit { return sysctl("fs.file-max") }},
	{"epoll watches", maxWatches, func(ownUser bool) []sharedLimit {
		if ownUser {
			return nil // counted for the Task's user alone
		}
		return sysctl("fs.epoll.max_user_watches")
	}},
}

// living counts the Tasks of this process.
var living atomic.Int64

// room is how many Tasks fit, and the limit that says so.
func capacity(ownUser bool) (tasks uint64, by string) {
	tasks = 1 << 32
	for _, r := range sharedResources {
		for _, l := range r.limits(ownUser) {
			// The host, the Core and the shell have the share of one Task.
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

// threadLimits are those of threads. Root's number is not limited.
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

// groupLimits are those of a control group and of the groups around it.
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

// numberIn reads a limit from a file. A file that is not there, or says "max", is
// no limit.
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
