package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Confinement is one step of a Task's confinement, and whether it holds on this machine.
type Confinement struct {
	Name      string // the state if it holds
	Broken    string // the state if it does not hold
	Mandatory bool
	Holds     bool
	Detail    string // why it does not hold
}

// Names of the steps that the host or the kernel applies, not the re-executed init.
const (
	nameNamespaces = "user, PID, mount, network, IPC, UTS and cgroup namespaces"
	nameUser       = "a user of its own for each Task"
	nameCapacity   = "enough resources for one Task at its limits"
	nameForbidden  = "the filter refuses forbidden system calls"
	nameFilter     = "the filter sees every system call"
)

// probeMemory is the memory limit of a probe. A probe runs on in confinement, and under the race
// detector needs terabytes of address space.
const probeMemory = 1 << 47

// Probe applies each step once, to a probe process, and reports which steps hold.
func Probe() []Confinement {
	list := probeAll()
	for i, w := range list {
		if !w.Holds && w.Detail == notTried {
			list[i].Broken, list[i].Detail = notTried+": "+w.Name, ""
		}
	}
	return list
}

// notTried is the detail of a step before the probe has applied it.
const notTried = "it was not tried"

func probeAll() []Confinement {
	list := []Confinement{{Name: nameNamespaces, Broken: "a Task can't have namespaces of its own", Mandatory: true}}
	for _, w := range confinements(0, "") {
		list = append(list, Confinement{Name: w.name, Broken: w.broken, Mandatory: w.mandatory, Detail: notTried})
	}
	list = append(list,
		Confinement{Name: nameForbidden, Broken: "the filter allows forbidden system calls", Mandatory: true, Detail: notTried},
		Confinement{Name: nameFilter, Broken: "the kernel lets system calls pass the filter", Detail: notTried},
		Confinement{Name: nameUser, Broken: "all Tasks share the host's user", Detail: notTried},
		Confinement{Name: nameCapacity, Broken: "not enough resources for one Task at its limits", Mandatory: true, Detail: notTried})
	set := func(name string, holds bool, detail string) {
		for i := range list {
			if list[i].Name == name {
				list[i].Holds, list[i].Detail = holds, detail
			}
		}
	}
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		set(nameNamespaces, false, err.Error())
		return list
	}
	defer nothing.Close()
	p, report, err := launch(modeProbe, probeMemory, "", nothing, nothing)
	if err != nil {
		set(nameNamespaces, false, strings.TrimPrefix(err.Error(), nameNamespaces+": "))
		return list
	}
	set(nameNamespaces, true, "")
	text, err := readReport(report)
	if err != nil {
		text = err.Error()
	}
	ended := p.wait()
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, detail, _ := strings.Cut(rest, ": ")
		set(name, word == "ok", detail)
	}
	if strings.Contains(text, "ok "+nameFilter) && ended != nil {
		set(nameFilter, false, afterUretprobe(p))
	}
	own := "the host is not root: limits that the kernel counts for each user are shared by all Tasks"
	if os.Geteuid() == 0 {
		own = errNoUsers.Error()
	}
	if p.owner.own {
		own = ""
	}
	set(nameUser, p.owner.own, own)
	tasks, limit := capacity(p.owner.own)
	set(nameCapacity, tasks > 0, fmt.Sprintf("%d Tasks fit (%s)", tasks, limit))
	return list
}

// afterUretprobe describes the end of a probe process whose last call was uretprobe.
func afterUretprobe(p *Process) string {
	if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() && s.Signal() == unix.SIGILL {
		return "uretprobe is run whatever a filter says; in a process that is not probed it raises SIGILL, and does nothing else"
	}
	return p.cmd.ProcessState.String()
}

// probe applies each step, and reports on each: a line "ok NAME" or "no NAME: why". Then it tries
// forbidden calls.
func probe(report *os.File, memory uint64) {
	say := func(name string, err error) {
		if err != nil {
			fmt.Fprintf(report, "no %s: %v\n", name, err)
		} else {
			fmt.Fprintf(report, "ok %s\n", name)
		}
	}
	for _, w := range confinements(memory, os.Args[3]) {
		say(w.name, w.apply())
	}
	say(nameForbidden, tryForbidden())
	err := tryUprobe()
	say(nameFilter, err)
	if err == nil && sysUretprobe != 0 {
		raiseDefault(unix.SIGILL)
		_, _, _ = unix.RawSyscall(sysUretprobe, 0, 0, 0)
	}
}

// forbidden are system calls of every kind that the filter refuses. The kernel alone would run
// them, or return another error than EPERM.
func forbidden() map[string][7]uintptr {
	const readWrite, plain = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	root := append([]byte("/"), 0)
	path := uintptr(unsafe.Pointer(&root[0]))
	at := ^uintptr(99) // AT_FDCWD
	word := uintptr(unsafe.Pointer(&probeWord))
	page := uintptr(os.Getpagesize())
	return map[string][7]uintptr{
		"open a file":                   {unix.SYS_OPENAT, at, path, unix.O_RDONLY},
		"make a socket":                 {unix.SYS_SOCKET, unix.AF_UNIX, unix.SOCK_STREAM},
		"take executable memory":        {unix.SYS_MMAP, 0, page, readWrite | unix.PROT_EXEC, plain, ^uintptr(0)},
		"take shared memory":            {unix.SYS_MMAP, 0, page, readWrite, unix.MAP_SHARED | unix.MAP_ANONYMOUS, ^uintptr(0)},
		"take memory the kernel drops":  {unix.SYS_MMAP, 0, page, readWrite, unix.MAP_DROPPABLE | unix.MAP_ANONYMOUS, ^uintptr(0)},
		"take huge pages":               {unix.SYS_MMAP, 0, page, readWrite, plain | unix.MAP_HUGETLB, ^uintptr(0)},
		"use a futex with priorities":   {unix.SYS_FUTEX, word, futexUnlockPI | futexPrivate},
		"make a process":                {unix.SYS_CLONE, uintptr(unix.CLONE_NEWUSER)},
		"execute a file":                {unix.SYS_EXECVE, path},
		"make a memory file":            {unix.SYS_MEMFD_CREATE, path},
		"make a timer":                  {unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, 0, word},
		"queue a signal":                {unix.SYS_RT_SIGQUEUEINFO, 1, uintptr(unix.SIGURG), word},
		"trace a process":               {unix.SYS_PTRACE, unix.PTRACE_TRACEME},
		"read another process's clock":  {unix.SYS_CLOCK_GETTIME, ^uintptr(2<<3) | 2, word},
		"raise a limit":                 {unix.SYS_PRLIMIT64, 0, unix.RLIMIT_NOFILE, word},
		"start an io_uring":             {unix.SYS_IO_URING_SETUP, 1, word},
		"see the kernel's keys":         {unix.SYS_KEYCTL},
		"watch files":                   {unix.SYS_INOTIFY_INIT1},
		"make a pipe":                   {unix.SYS_PIPE2, word},
		"ask for the host's descriptor": {unix.SYS_GETSOCKOPT, channelFD, unix.SOL_SOCKET, unix.SO_PEERPIDFD, word, word},
	}
}

// futexUnlockPI is an operation that no Task needs.
const futexUnlockPI = 7

// probeWord is memory for the arguments of forbidden calls.
var probeWord [64]byte

// tryForbidden makes all forbidden calls. The filter must refuse each.
func tryForbidden() error {
	var not []string
	for what, c := range forbidden() {
		if _, _, e := unix.RawSyscall6(c[0], c[1], c[2], c[3], c[4], c[5], c[6]); e != unix.EPERM {
			not = append(not, fmt.Sprintf("%s (error %d)", what, e))
		}
	}
	if not == nil {
		return nil
	}
	return errors.New(strings.Join(not, ", "))
}

// tryUprobe calls uprobe. Like uretprobe, current kernels for x86-64 run it whatever the filter
// says. In a process that is not probed it fails with ENXIO.
func tryUprobe() error {
	if sysUprobe == 0 {
		return nil
	}
	if _, _, e := unix.RawSyscall(sysUprobe, 0, 0, 0); e != unix.EPERM {
		return errors.New("uretprobe and uprobe are run whatever a filter says; in a process that is not probed, " +
			"the first raises SIGILL, the second fails, and neither does anything else")
	}
	return nil
}

// raiseDefault lets a signal end this process, without a message of Go's runtime.
func raiseDefault(s unix.Signal) {
	var action [32]byte // struct sigaction: SIG_DFL
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, signalSet, 0, 0)
}
