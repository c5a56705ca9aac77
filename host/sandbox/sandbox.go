// Package sandbox starts a Task's process behind walls (design, section 8). The
// code of a Task is the attacker's: what counts is what the kernel lets the
// process do, not what its program means to do.
//
// A started Task has
//
//   - its own user, PID, mount, network, IPC, UTS and cgroup namespaces: it sees
//     no other process, no network device, no shared memory of others;
//   - an empty, read-only file tree;
//   - no capability, no way to gain one (no_new_privs, empty bounding set), and,
//     where the host is root, a user and group of its own outside (users.go);
//   - an image of its own: no page of memory is another process's (image.go);
//   - a system call filter that lists calls and the values of their arguments,
//     and answers "not permitted" to all others (filter.go);
//   - limits on memory, address space, threads, descriptors, files, queued
//     signals, and no core dump; only the user that runs the host, or root, can
//     trace it;
//   - a share of what the kernel counts for the machine or for the host's user,
//     which it can't exceed; a Task is started only while all fit (shares.go);
//   - a lower priority than the Core;
//   - Landlock, where the kernel has it, refusing all files and connections again;
//   - four descriptors: 3 is its end of the channel, 0 to 2 are /dev/null, opened
//     for it alone. No argument but its title, no environment.
//
// So two Tasks share nothing that one can change and the other can read or count,
// but the machine's time. All walls but Landlock, and the user of its own, are
// mandatory: if one can't be put up, Start fails, says which, and no byte of the
// Task runs. The memory limit is not precise: 2 GiB more can be filled and made
// read-only. What is left to an attacker inside: the channel, the processor (and
// what its shared parts give away about others, which is out of scope), the
// kernel's log, where that tells how processes crash, two system calls of probed
// processes that no filter sees and that do nothing in a Task, and bugs of the
// kernel behind the few calls that are allowed.
//
// A Task ends with the host, and does not see the terminal's Ctrl-C: the host
// ends it.
//
// A program that uses this package calls ReexecInit first in main: the walls are
// put up by a copy of the program itself, in the new namespaces, which then
// becomes the Task.
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

// Config says what to start.
type Config struct {
	Executable  string   // path of a static executable
	Measurement [32]byte // SHA-256 that it must have
	Memory      uint64   // bytes of memory that it may write: RLIMIT_DATA
	Index       uint64   // number of the index that it serves, for a list of processes; 0: none
}

// title is the command line of the Task's process. It holds a number and no name: every
// user of the machine can read it. So can the Task, which can also write something else
// over it. The Task's image bears its number, too, where the Task can't change it.
func (c Config) title() string {
	if c.Index == 0 {
		return "task"
	}
	return fmt.Sprintf("motte-task: index %d", c.Index)
}

// imageName is the name of the Task's image. Kernels from 6.14 on show it as the name of
// the process, behind "memfd:", cut off after 15 bytes: a number that does not fit is left
// out.
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
	owner   owner
}

// startTime bounds how long putting up the walls may take.
const startTime = 20 * time.Second

// ErrWalls says that a Task isn't started because its walls can't be put up, whatever its
// executable is.
var ErrConfinement = errors.New("the Task can't be confined, so it isn't started")

// Start starts a Task. What runs is what was measured: the executable is copied
// into sealed memory, hashed there, and executed from there.
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

// Check returns an error that wraps ErrWalls if no Task can be started here: a mandatory
// wall can't be put up, or there is no room for a Task.
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

// raise starts the stage and waits until all walls are up.
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
		err = fmt.Errorf("what puts up its walls ended without a word: %w", ended)
	}
	return nil, fmt.Errorf("%w: %w", ErrConfinement, err)
}

// Channel is the other end of the Task's descriptor 3: a Unix stream socket.
func (p *Process) Channel() *os.File { return p.channel }

// PID is the process's number outside its namespace.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the Task at once.
func (p *Process) Kill() { p.killed.Do(func() { _ = p.cmd.Process.Kill() }) }

// Wait waits for the end of the Task. It does not say how that came: a Task
// chooses its exit status and the signal that ends it, and would tell what it
// knows by them, a byte each time, to whoever reads the host's log.
func (p *Process) Wait() { _ = p.wait() }

// wait waits for the end, and gives back what the Task alone had.
func (p *Process) wait() error {
	err := p.cmd.Wait()
	p.ended.Do(p.owner.leave)
	return err
}

func channel() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a Task's channel: %w", err)
	}
	// Ours takes deadlines; the Task's blocks, as simple programs expect.
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, fmt.Errorf("make a Task's channel: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "channel"), os.NewFile(uintptr(fds[1]), "channel"), nil
}

// namespaces are those that a Task gets of its own.
const namespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP

// owner is who a Task is outside its user namespace: where the host is root and
// has numbers to give, a user and group of its own; else the host's.
type owner struct {
	user, group int
	own         bool
	counted     bool // among the living, since it is a Task and no probe
}

// newOwner returns an owner for one more Task, and counts that, or for a probe.
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

// leave says that the Task's process is gone.
func (o owner) leave() {
	if o.counted {
		leave()
	}
	if o.own {
		taskUsers.release(o.user)
	}
}

// launch starts the stage in new namespaces. It reports through a pipe, which
// ends without a word when the stage has become the Task.
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
			// Without this, exec would drop the capabilities that the stage
			// needs inside its namespaces. It also takes root's supplementary
			// groups away; an ordinary user can't give up its own.
			Credential:                 &syscall.Credential{Uid: 0, Gid: 0, NoSetGroups: !o.own},
			GidMappingsEnableSetgroups: o.own,
			Pdeathsig:                  syscall.SIGKILL,
			// A Ctrl-C in the terminal is for the host, which ends Tasks in
			// order. Not a session of its own: where the kernel groups threads
			// by session to schedule them, the lower priority would be lost.
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

// readReport reads what the stage has to say.
func readReport(r *os.File) (string, error) {
	defer r.Close()
	if err := r.SetReadDeadline(time.Now().Add(startTime)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(r, 64<<10))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("putting up the Task's walls took too long")
	}
	return string(text), err
}

// namespaceLinks names the namespaces that this process is in, for the stage to
// see that it is in others.
func namespaceLinks() string {
	var links []string
	for _, n := range namespaceNames {
		link, _ := os.Readlink("/proc/self/ns/" + n)
		links = append(links, link)
	}
	return strings.Join(links, " ")
}

var namespaceNames = []string{"user", "pid", "mnt", "net", "ipc", "uts", "cgroup"}
