package sandbox

import (
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The system calls of a Task, by name. Whatever is in no list and fits no rule
// fails with EPERM, and does nothing: to end the process would write the call's
// number and address, which the Task chooses, into the kernel's log (decision
// 11). Names that an architecture does not have are left out.
var (
	// allowed is what a Go or C program needs that computes in memory and
	// talks over one descriptor.
	allowed = []string{
		"read", "write", "readv", "writev", "close", "shutdown",
		"munmap", "brk", "futex", "set_robust_list", "rseq", "set_tid_address",
		"rt_sigreturn", "rt_sigprocmask", "rt_sigaction", "sigaltstack", "restart_syscall",
		"exit", "exit_group", "sched_yield", "sched_getaffinity", "arch_prctl",
		"nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday",
		"getpid", "gettid", "tgkill", "getrandom",
		"epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2", "poll", "ppoll",
		"getsockname", "getpeername",
	}
	// unknown is answered as if the kernel did not have it, so that libraries
	// fall back to the older call, which is filtered by its arguments.
	unknown = []string{"clone3"}
)

// advices are what Go's and C's runtimes tell the kernel about their memory.
// Others reach far into it: MADV_MERGEABLE shares pages with other processes.
var advices = []uint64{unix.MADV_DONTNEED, unix.MADV_FREE, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_DONTDUMP, unix.MADV_COLLAPSE}

// socketOptions are what a runtime asks of a channel. Others make descriptors:
// SO_PEERPIDFD one of the host's process.
var socketOptions = []uint64{unix.SO_TYPE, unix.SO_ERROR}

// Flags of clone for a thread: Go's runtime uses one of the first two, the
// third is that of C's.
var threadFlags = []uint64{0x50f00, 0xd0f00, 0x3d0f00}

// condition is a bound on an argument of a call, all 64 bits of it: the upper
// half must be that of the value, the lower half pass the test.
type condition struct {
	arg   uint32
	test  bpf.JumpTest
	value uint64
}

func equal(arg uint32, value uint64) condition  { return condition{arg, bpf.JumpEqual, value} }
func atMost(arg uint32, value uint64) condition { return condition{arg, bpf.JumpLessOrEqual, value} }
func without(arg uint32, bits uint64) condition { return condition{arg, bpf.JumpBitsNotSet, bits} }

// rule says what becomes of a call whose arguments meet all conditions.
type rule struct {
	name       string
	conditions []condition
	action     uint32
}

// rules lists what the filter knows; the first that fits decides.
func rules() (list []rule) {
	add := func(action uint32, name string, c ...condition) { list = append(list, rule{name, c, action}) }
	for _, name := range allowed {
		add(unix.SECCOMP_RET_ALLOW, name)
	}
	// Memory never becomes executable: injected code stays data. Nor is any of a
	// kind that the limit of memory, RLIMIT_DATA, does not count.
	add(unix.SECCOMP_RET_ALLOW, "mmap", atMost(2, unix.PROT_READ|unix.PROT_WRITE), without(3, unix.MAP_SHARED|unix.MAP_GROWSDOWN))
	add(unix.SECCOMP_RET_ALLOW, "mprotect", atMost(2, unix.PROT_READ|unix.PROT_WRITE))
	for _, flags := range threadFlags {
		add(unix.SECCOMP_RET_ALLOW, "clone", equal(0, flags))
	}
	for _, advice := range advices {
		add(unix.SECCOMP_RET_ALLOW, "madvise", equal(2, advice))
	}
	for _, option := range socketOptions {
		add(unix.SECCOMP_RET_ALLOW, "getsockopt", equal(1, unix.SOL_SOCKET), equal(2, option))
	}
	// Go's runtime looks whether descriptors 0, 1 and 2 are open when it starts,
	// and dies if it can't open /dev/null in their place. It is told that they
	// are (error 0 is success, with the value 0), so a Task needs no descriptor
	// but its channel.
	add(unix.SECCOMP_RET_ERRNO, "fcntl", atMost(0, 2), equal(1, unix.F_GETFD))
	for _, command := range []uint64{unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_SETFL, unix.F_DUPFD_CLOEXEC} {
		add(unix.SECCOMP_RET_ALLOW, "fcntl", equal(1, command))
	}
	// A runtime may ask how much memory it was given, of itself, and change
	// nothing.
	add(unix.SECCOMP_RET_ALLOW, "prlimit64", equal(0, 0), equal(2, 0))
	// The one execution by which the stage becomes the Task. Afterwards the
	// descriptor is closed, and nothing that a Task can open is executable.
	add(unix.SECCOMP_RET_ALLOW, "execveat", equal(0, imageFD), equal(4, unix.AT_EMPTY_PATH))
	for _, name := range unknown {
		add(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS), name)
	}
	return list
}

// Offsets in struct seccomp_data (linux/seccomp.h).
const (
	numberAt = 0
	archAt   = 4
	argsAt   = 16
)

// refused is the answer to whatever fits no rule.
const refused = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// program compiles the rules. Each loads what it compares by itself, so that no
// rule depends on where the one before it stopped; what fits none, and what
// comes by another calling convention, is refused.
func program() ([]bpf.RawInstruction, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: archAt, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		bpf.RetConstant{Val: refused},
	}
	for _, r := range rules() {
		number, ok := info.SyscallNames[r.name]
		if !ok {
			continue // this architecture has no such call
		}
		// A call by the x32 convention has other numbers than these.
		body := []bpf.Instruction{bpf.RetConstant{Val: r.action}}
		for _, c := range r.conditions {
			// Little endian: the low half lies first. The high half must be
			// that of the value, which for all rules here is zero.
			skip := uint8(len(body))
			body = append([]bpf.Instruction{
				bpf.LoadAbsolute{Off: argsAt + 8*c.arg + 4, Size: 4},
				bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(c.value >> 32), SkipFalse: skip + 2},
				bpf.LoadAbsolute{Off: argsAt + 8*c.arg, Size: 4},
				bpf.JumpIf{Cond: c.test, Val: uint32(c.value), SkipFalse: skip},
			}, body...)
		}
		code = append(code, bpf.LoadAbsolute{Off: numberAt, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(number), SkipFalse: uint8(len(body))})
		code = append(code, body...)
	}
	return bpf.Assemble(append(code, bpf.RetConstant{Val: refused}))
}

// filter makes the system call filter. What it returns puts it on this thread,
// and takes no memory for that.
func filter() (raise func() error) {
	raw, err := program()
	if err != nil {
		return func() error { return err }
	}
	code := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		code[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	p := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	return func() error {
		_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&p)))
		if e != 0 {
			return e
		}
		return nil
	}
}
