package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The host measures the processor time of a Task, changes the scheduling class of its threads, and
// pauses it. A Task can do none of these: the filter refuses the calls.

// Class is the scheduling class of a Task's threads.
type Class int

// The classes. Both are below the Core's.
const (
	ClassTask Class = iota // the niceness of Tasks
	ClassIdle              // time that no other process wants (SCHED_IDLE)
)

func (c Class) String() string { return [...]string{"task", "idle"}[c] }

func (c Class) policy() uint32 {
	if c == ClassIdle {
		return unix.SCHED_IDLE
	}
	return unix.SCHED_NORMAL
}

// ErrEnded says that a Task's process has ended.
var ErrEnded = errors.New("the Task has ended")

// ProcessorTime returns the processor time that all threads of the Task have taken.
func (p *Process) ProcessorTime() (used time.Duration, err error) {
	err = p.whileAlive(func(pid int) error {
		const allThreads = 2 // CPUCLOCK_SCHED: clock_getcpuclockid(3) makes the same number
		var t unix.Timespec
		err := unix.ClockGettime(int32(^pid<<3|allThreads), &t)
		used = time.Duration(t.Nano())
		return err
	})
	return used, err
}

// classPasses bounds the passes over a Task's threads. A thread can start another one during a pass.
const classPasses = 8

// SetClass sets the class of each thread of the Task. New threads get the class of the thread that
// starts them.
func (p *Process) SetClass(c Class) error {
	return p.whileAlive(func(pid int) error {
		for range classPasses {
			changed, err := setClass(pid, c)
			if err != nil || !changed {
				return err
			}
		}
		return errors.New("its threads start others faster than their class can be set")
	})
}

// setClass sets the class of the threads that have another one.
func setClass(pid int, c Class) (changed bool, err error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return false, err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return changed, err
		}
		a, err := unix.SchedGetAttr(id, 0)
		if err == nil && a.Policy == c.policy() {
			continue
		}
		if err == nil {
			err = unix.SchedSetAttr(id, &unix.SchedAttr{Policy: c.policy(), Nice: niceness}, 0)
		}
		if errors.Is(err, unix.ESRCH) {
			continue // the thread has ended
		}
		if err != nil {
			return changed, fmt.Errorf("set the class of thread %d: %w", id, err)
		}
		changed = true
	}
	return changed, nil
}

// MaySetClass reports whether this process may lower the class of a Task and raise it again. It
// needs the capability CAP_SYS_NICE on the machine, or a limit RLIMIT_NICE of 10 and Tasks of its
// own user.
func MaySetClass() bool {
	if os.Geteuid() != 0 {
		var r unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NICE, &r); err == nil && r.Max >= maxNice {
			return true
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil || data[0].Effective&(1<<unix.CAP_SYS_NICE) == 0 {
		return false
	}
	// The kernel asks for the capability in the first user namespace, which has all numbers.
	users, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(users)), " ") == "0 0 4294967295"
}

// Pause stops all threads of the Task until Continue. A paused Task can be killed.
func (p *Process) Pause() error { return p.signal(unix.SIGSTOP) }

// Continue ends a pause.
func (p *Process) Continue() error { return p.signal(unix.SIGCONT) }

func (p *Process) signal(s syscall.Signal) error {
	return p.whileAlive(func(int) error { return p.cmd.Process.Signal(s) })
}

// whileAlive calls do unless the process has ended. The number of the process is not given to
// another process meanwhile.
func (p *Process) whileAlive(do func(pid int) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return ErrEnded
	}
	return do(p.PID())
}

// awaitEnd waits for the end of the process, which keeps its number.
func (p *Process) awaitEnd() {
	for {
		err := unix.Waitid(unix.P_PID, p.PID(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
}
