// Package sandbox starts a Task's process in confinement (design, section 8). The attacker may have
// written the Task's code. So the kernel's limits on the process count, not the program's intent.
//
// A started Task has
//
//   - its own user, PID, mount, network, IPC, UTS and cgroup namespaces: it sees no other process,
//     no
//     network device and no shared memory of other processes;
//   - an empty, read-only file tree;
//   - no capability, and no way to gain one (no_new_privs, empty bounding set);
//   - if the host is root, its own user and group outside the user namespace (users.go);
//   - its own image: no page of its memory is another process's (image.go);
//   - a system call filter that lists calls and the values of their arguments, and refuses all
//     others
//     with EPERM (filter.go);
//   - limits on memory, address space, threads, descriptors, files and queued signals, and no core
//     dump; only the host's user or root can trace it;
//   - a share of each resource that the kernel counts for the machine or the host's user; a Task is
//     started only while all shares fit (shares.go);
//   - a lower priority than the Core, which the host can lower further (processor.go);
//   - Landlock, where the kernel has it, which refuses all files and connections a second time;
//   - four descriptors: 3 is its end of the channel, and 0 to 2 are /dev/null, opened for this Task
//     alone;
//   - its title as the only argument, and no environment.
//
// So two Tasks share no object that one can change and the other can read or count, except the
// machine's time. Landlock and the Task's own user are optional; all other confinement is
// mandatory. If a mandatory step fails, Start names it, and no byte of the Task runs.
//
// The memory limit is not precise: a Task can fill 2 GiB more and make them read-only. An attacker
// inside still has
//
//   - the channel;
//   - the processor, whose shared parts reveal other processes, which is out of scope;
//   - the kernel's log, where it tells how processes crash;
//   - two system calls of probed processes that no filter sees, and that have no effect in a Task;
//   - bugs of the kernel in the few allowed calls.
//
// A Task ends with the host. It does not get the terminal's Ctrl-C: the host ends it.
//
// A program that uses this package calls ReexecInit first in main. The host starts a copy of the
// program itself in the new namespaces. This re-executed init confines itself, and then becomes the
// Task.
package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Config describes the Task to start.
type Config struct {
	Executable  string   // path of a static executable
	Measurement [32]byte // SHA-256 that the executable must have
	Memory      uint64   // limit of writable memory, in bytes: RLIMIT_DATA
	Index       uint64   // number of the Task's index, shown in process lists; 0: no index
}

// title is the command line of the Task's process. It holds a number and no name, because every
// user of the machine can read it. The Task can read and overwrite it. The Task's image also has
// the number, and the Task can't change that.
func (c Config) title() string {
	if c.Index == 0 {
		return "task"
	}
	return fmt.Sprintf("motte-task: index %d", c.Index)
}

// imageName is the name of the Task's image. Kernels since 6.14 show "memfd:" and this name as the
// name of the process, cut off after 15 bytes. So imageName leaves out a number that does not fit.
func (c Config) imageName() string {
	if c.Index == 0 || c.Index > 9999 {
		return "task"
	}
	return fmt.Sprintf("index%d", c.Index)
}

// Process is a started Task.
type Process struct {
	cmd     *exec.Cmd
	channel *os.File
	killed  sync.Once
	ended   sync.Once
	result  error // of the wait for the end
	owner   owner

	mu   sync.Mutex
	gone bool // the process has ended, and its number may soon be another process's
}

// startTime bounds the duration of the confinement.
const startTime = 20 * time.Second

// ErrConfinement says that the machine can't confine a Task. It does not depend on the executable.
var ErrConfinement = errors.New("the Task can't be confined, so it isn't started")

// Start starts a Task. It copies the executable into sealed memory, hashes the copy, and executes
// the copy. So the process runs exactly the measured bytes.
func Start(c Config) (*Process, error) {
	image, err := measured(c.Executable, c.imageName(), c.Measurement)
	if err != nil {
		return nil, err
	}
	defer image.Close()
	ours, theirs, err := channel()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p, err := confine(modeTask, c.Memory, c.title(), theirs, image)
	if err != nil {
		ours.Close()
		return nil, err
	}
	p.channel = ours
	return p, nil
}

// Check returns an error that wraps ErrConfinement if no Task can be started here: a mandatory
// confinement fails, or no share for a Task is left.
func Check() error {
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrConfinement, err)
	}
	defer nothing.Close()
	p, err := confine(modeCheck, probeMemory, "", nothing, nothing)
	if err != nil {
		return err
	}
	p.Wait()
	if tasks, limit := capacity(p.owner.own); tasks == 0 {
		return fmt.Errorf("%w: %d Tasks fit on this machine (%s)", ErrConfinement, tasks, limit)
	}
	return nil
}

// confine starts the re-executed init, and waits until it has confined itself.
func confine(mode string, memory uint64, title string, channel, image *os.File) (*Process, error) {
	p, report, err := launch(mode, memory, title, channel, image)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfinement, err)
	}
	text, err := readReport(report)
	if err == nil && text == confined {
		return p, nil
	}
	p.Kill()
	ended := p.wait()
	why := strings.TrimSpace(strings.TrimPrefix(text, confined))
	if digits, ok := strings.CutPrefix(why, executeFailed); ok {
		n, _ := strconv.ParseUint(digits, 10, 16)
		return nil, fmt.Errorf("the Task's executable can't be executed: %w", unix.Errno(n))
	}
	if err == nil && why != "" {
		err = errors.New(why)
	} else if err == nil {
		err = fmt.Errorf("the process that applies the confinement ended without a report: %w", ended)
	}
	return nil, fmt.Errorf("%w: %w", ErrConfinement, err)
}

// Channel is the other end of the Task's descriptor 3: a Unix stream socket.
func (p *Process) Channel() *os.File { return p.channel }

// PID is the process number outside the Task's namespace.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the Task at once.
func (p *Process) Kill() { p.killed.Do(func() { _ = p.cmd.Process.Kill() }) }

// Wait waits for the end of the Task. It does not return the exit status or the signal. A Task
// chooses both, and could leak a byte of its data with each end to readers of the host's log.
func (p *Process) Wait() { _ = p.wait() }

// wait waits for the end, and returns the Task's user and share. Several goroutines may wait.
func (p *Process) wait() error {
	p.ended.Do(func() {
		p.awaitEnd()
		p.result = p.cmd.Wait()
		p.owner.leave()
	})
	return p.result
}

func channel() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a Task's channel: %w", err)
	}
	// A host's end takes deadlines. The Task's end blocks, as simple programs expect.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, fmt.Errorf("make a Task's channel: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "channel"), os.NewFile(uintptr(fds[1]), "channel"), nil
}

// namespaces are the kinds of namespaces that each Task gets anew.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// owner is a Task's user and group outside its user namespace. If the host is root and has numbers
// left, they are the Task's own. Otherwise they are the host's.
type owner struct {
	user, group int
	own         bool
	counted     bool // this Task counts as living; false for a probe
}

// newOwner returns an owner for a Task, and counts the Task, or an owner for a probe.
func newOwner(mode string) (owner, error) {
	o := owner{user: os.Geteuid(), group: os.Getegid()}
	if o.user == 0 {
		id, err := taskUsers.take()
		if err == nil {
			o.user, o.group, o.own = id, id, true
		} else if !errors.Is(err, errNoUsers) {
			return o, err
		}
	}
	if mode != modeTask {
		return o, nil
	}
	if err := enter(o.own); err != nil {
		o.leave()
		return o, err
	}
	o.counted = true
	return o, nil
}

// leave notes that the Task's process has ended.
func (o owner) leave() {
	if o.counted {
		leave()
	}
	if o.own {
		taskUsers.release(o.user)
	}
}

// launch starts the re-executed init in new namespaces. The init reports through a pipe. The pipe
// ends when the init has become the Task.
func launch(mode string, memory uint64, title string, channel, image *os.File) (*Process, *os.File, error) {
	report, theirs, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer theirs.Close()
	o, err := newOwner(mode)
	if err != nil {
		report.Close()
		return nil, nil, err
	}
	program, err := initPrograms.open(ownProgram, o.own)
	if err != nil {
		o.leave()
		report.Close()
		return nil, nil, fmt.Errorf("open this program: %w", err)
	}
	defer program.Close()
	cmd := &exec.Cmd{
		Path:       fmt.Sprintf("/proc/self/fd/%d", programFD), // resolved in the new process
		Args:       []string{initName, mode, fmt.Sprint(memory), namespaceLinks(), title},
		Env:        []string{},
		ExtraFiles: []*os.File{channel, image, theirs, program}, // 3, 4, 5, 6; 0 to 2 are /dev/null, opened here
		SysProcAttr: &syscall.SysProcAttr{
			Cloneflags:  namespaces,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: o.user, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: o.group, Size: 1}},
			// Without this, exec would drop the capabilities that the init needs inside its
			// namespaces. It also drops root's supplementary groups. An ordinary user can't give up
			// its groups.
			Credential:                 &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: !o.own},
			GidMappingsEnableSetgroups: o.own,
			Pdeathsig:                  syscall.SIGKILL,
			// The terminal's Ctrl-C is for the host, which ends Tasks in order. The Task gets no
			// session of its own: where the kernel schedules threads by session, the lower priority
			// would have no effect.
			Setpgid: true,
		},
	}
	if err := cmd.Start(); err != nil {
		o.leave()
		report.Close()
		return nil, nil, fmt.Errorf("%s: %w", nameNamespaces, err)
	}
	return &Process{cmd: cmd, owner: o}, report, nil
}

// readReport reads the report of the re-executed init.
func readReport(r *os.File) (string, error) {
	defer r.Close()
	if err := r.SetReadDeadline(time.Now().Add(startTime)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("applying the confinement took too long")
	}
	return string(text), err
}

// namespaceLinks names this process's namespaces. The re-executed init compares its own with them.
func namespaceLinks() string {
	var links []string
	for _, n := range namespaceNames {
		link, _ := os.Readlink("/proc/self/ns/" + n)
		links = append(links, link)
	}
	return strings.Join(links, " ")
}

var namespaceNames = []string{"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"}
