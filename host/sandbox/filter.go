package sandbox

import (
	"slices"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The system calls of a Task. A call that matches no rule fails with EPERM and has no effect. The
// filter does not end the process: that would write the call's number and address, which the Task
// chooses, into the kernel's log (decision 11). The filter leaves out names that an architecture
// does not have.
//
// A rule lists the values that an argument may have, and forbids no single bits. So it also refuses
// a new flag of a later kernel. An argument without a condition is an address, a length, a time, or
// one of the Task's own descriptors. Each listed value serves a runtime of Go, C, C++ or Rust
// (glibc and musl).

// condition is a test of one argument, of all 64 bits: it is one of these values, or at most most.
type condition struct {
	arg    uint32
	values []uint64
	most   uint64 // used if values is nil
}

func oneOf(arg uint32, values ...uint64) condition { return condition{arg: arg, values: values} }
func atMost(arg uint32, most uint64) condition     { return condition{arg: arg, most: most} }

// rule is the action for a call whose arguments meet all conditions.
type rule struct {
	name       string
	conditions []condition
	action     uint32
}

// Flags of clone for a thread. Go's runtime uses the first or the second, glibc the third, and musl
// the fourth.
var threadFlags = []uint64{0x50f00, 0xd0f00, 0x3d0f00, 0x7d0f00}

// Kinds of memory: only private and anonymous memory. Other kinds are shared, escape RLIMIT_DATA,
// come from a pool of the machine (MAP_HUGETLB), or reveal the machine's free memory
// (MAP_DROPPABLE).
var memoryKinds = func() (kinds []uint64) {
	const plain = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	for _, reserve := range []uint64{0, unix.MAP_NORESERVE} {
		for _, stack := range []uint64{0, unix.MAP_STACK} {
			for _, place := range []uint64{0, unix.MAP_FIXED, unix.MAP_FIXED_NOREPLACE} {
				kinds = append(kinds, plain|reserve|stack|place)
			}
		}
	}
	return kinds
}()

// Memory never becomes executable: injected code stays data.
var protections = []uint64{unix.PROT_NONE, unix.PROT_READ, unix.PROT_READ | unix.PROT_WRITE}

// Operations of futex, with and without the private flag. glibc and musl wait for a thread's end
// without the flag, and libstdc++ for static variables. So no two Tasks may map the same page
// (image.go).
const (
	futexWait       = 0
	futexWake       = 1
	futexRequeue    = 3 // musl's condition variables
	futexWaitBitset = 9
	futexPrivate    = 128
	futexRealtime   = 256
)

var futexOperations = []uint64{
	futexWait | futexPrivate, futexWake | futexPrivate, futexWait, futexWake,
	futexWaitBitset | futexPrivate, futexWaitBitset | futexPrivate | futexRealtime,
	futexWaitBitset, futexWaitBitset | futexRealtime, futexRequeue | futexPrivate,
}

// Advices that affect only the Task's own memory. MADV_MERGEABLE shares pages with other processes,
// so it is refused. MADV_FREE drops pages only when the machine needs memory. MADV_COLLAPSE
// succeeds only when the machine has a free huge page. Both reveal the memory use of others, so the
// filter answers EINVAL, like a kernel that does not know them.
var (
	advices        = []uint64{unix.MADV_DONTNEED, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_DONTDUMP}
	unknownAdvices = []uint64{unix.MADV_FREE, unix.MADV_COLLAPSE}
)

// Clocks of the machine, and of the Task's own process and thread. Other clocks belong to a device,
// wake the machine up, or contain another process's number.
var clocks = []uint64{unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_PROCESS_CPUTIME_ID, unix.CLOCK_THREAD_CPUTIME_ID,
	unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_MONOTONIC_COARSE, unix.CLOCK_BOOTTIME}

// Codes of arch_prctl, which sets and reads the address of a thread's own variables.
const (
	archSetFS = 0x1002
	archGetFS = 0x1003
)

const (
	ownProcess   = 1       // a Task is the first process of its PID namespace
	maxThreadID  = 1 << 22 // PID_MAX_LIMIT
	signalSet    = 8       // bytes of a signal set
	robustHead   = 24      // bytes of struct robust_list_head
	maxResource  = 15      // RLIMIT_RTTIME, the last
	maxSignal    = 64
	maxOperation = 2 // for shutdown and rt_sigprocmask
)

// rules lists the rules of the filter. The first matching rule decides. The kernel checks the list
// in order, so the most frequent calls come first.
func rules() (list []rule) {
	allow := func(name string, c ...condition) { list = append(list, rule{name, c, unix.SECCOMP_RET_ALLOW}) }
	answer := func(e unix.Errno, name string, c ...condition) {
		list = append(list, rule{name, c, unix.SECCOMP_RET_ERRNO | uint32(e)})
	}
	allow("futex", oneOf(1, futexOperations...))
	allow("madvise", oneOf(2, advices...))
	answer(unix.EINVAL, "madvise", oneOf(2, unknownAdvices...))
	allow("mmap", oneOf(2, protections...), oneOf(3, memoryKinds...))
	allow("mprotect", oneOf(2, protections...))
	allow("tgkill", oneOf(0, ownProcess), atMost(2, maxSignal))
	allow("epoll_ctl", oneOf(1, unix.EPOLL_CTL_ADD, unix.EPOLL_CTL_DEL, unix.EPOLL_CTL_MOD))
	for _, name := range []string{"clock_gettime", "clock_getres"} {
		allow(name, oneOf(0, clocks...))
	}
	allow("clock_nanosleep", oneOf(0, unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_BOOTTIME),
		oneOf(1, 0, unix.TIMER_ABSTIME))
	for _, name := range []string{
		"read", "write", "readv", "writev", "close", "munmap", "brk",
		"epoll_pwait", "epoll_wait", "poll", "ppoll", "nanosleep", "sched_yield", "gettimeofday",
		"getpid", "gettid", "getsockname", "getpeername",
		"rt_sigreturn", "sigaltstack", "restart_syscall", "set_tid_address", "exit", "exit_group",
	} {
		allow(name)
	}
	allow("rt_sigprocmask", atMost(0, maxOperation), oneOf(3, signalSet))
	allow("rt_sigaction", atMost(0, maxSignal), oneOf(3, signalSet))
	allow("clone", oneOf(0, threadFlags...))
	// Libraries fall back to clone, which is filtered by its flags.
	answer(unix.ENOSYS, "clone3")
	// Rust's standard library uses these in place of read and write. Without an address they have
	// the same effect. A Task receives descriptors only by other calls.
	allow("recvfrom", oneOf(3, 0), oneOf(4, 0))
	allow("sendto", oneOf(3, 0, unix.MSG_NOSIGNAL), oneOf(4, 0))
	// C's streams expect ESPIPE from a channel, which has no position.
	answer(unix.ESPIPE, "lseek")
	allow("set_robust_list", oneOf(1, robustHead))
	allow("rseq", oneOf(2, 0, 1)) // register, or unregister
	allow("arch_prctl", oneOf(0, archSetFS, archGetFS))
	// glibc passes a thread's number. The PID namespace has no other process.
	allow("sched_getaffinity", atMost(0, maxThreadID))
	// The Task may only read its own limits.
	allow("prlimit64", oneOf(0, 0), atMost(1, maxResource), oneOf(2, 0))
	allow("getrandom", oneOf(2, 0, unix.GRND_NONBLOCK, unix.GRND_INSECURE))
	allow("epoll_create1", oneOf(0, 0, unix.EPOLL_CLOEXEC))
	allow("eventfd2", oneOf(1, 0, unix.EFD_CLOEXEC, unix.EFD_NONBLOCK, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK))
	allow("shutdown", atMost(1, maxOperation))
	// A runtime asks for these two options of a channel. Other options make descriptors:
	// SO_PEERPIDFD makes one of the host's process.
	allow("getsockopt", oneOf(1, unix.SOL_SOCKET), oneOf(2, unix.SO_TYPE, unix.SO_ERROR))
	allow("fcntl", oneOf(1, unix.F_GETFD, unix.F_GETFL))
	allow("fcntl", oneOf(1, unix.F_SETFD), oneOf(2, 0, unix.FD_CLOEXEC))
	allow("fcntl", oneOf(1, unix.F_SETFL), oneOf(2, 0, unix.O_NONBLOCK, unix.O_RDWR, unix.O_RDWR|unix.O_NONBLOCK))
	allow("fcntl", oneOf(1, unix.F_DUPFD_CLOEXEC), atMost(2, maxDescriptors))
	// The re-executed init becomes the Task by this single execution. Then the descriptor is
	// closed, and no descriptor of the Task is executable.
	allow("execveat", oneOf(0, imageFD), oneOf(4, unix.AT_EMPTY_PATH))
	return list
}

// Offsets in struct seccomp_data (linux/seccomp.h).
const (
	numberAt = 0
	archAt   = 4
	argsAt   = 16
)

// refused is the answer to a call that matches no rule.
const refused = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// program compiles the rules. It refuses a call that matches no rule, and each call by another
// calling convention. The 32-bit conventions have another architecture value, and x32 has other
// call numbers.
func program() ([]bpf.Instruction, error) {
	info, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	code := []bpf.Instruction{
		bpf.LoadAbsolute{Off: archAt, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(info.ID), SkipTrue: 1},
		bpf.RetConstant{Val: refused},
		bpf.LoadAbsolute{Off: numberAt, Size: 4},
	}
	list := rules()
	for len(list) > 0 {
		name := list[0].name
		var body []bpf.Instruction
		for _, r := range list {
			if r.name == name {
				body = append(body, r.compile()...)
			}
		}
		list = slices.DeleteFunc(list, func(r rule) bool { return r.name == name })
		number, ok := info.SyscallNames[name]
		if !ok {
			continue // this architecture has no such call
		}
		// After a call's own rules the call is refused. So the call number stays loaded for the
		// calls that follow.
		body = append(body, bpf.RetConstant{Val: refused})
		code = append(code,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(number), SkipTrue: 1},
			bpf.Jump{Skip: uint32(len(body))})
		code = append(code, body...)
	}
	return append(code, bpf.RetConstant{Val: refused}), nil
}

// compile tests the conditions in order. If one fails, the code goes on after the rule.
func (r rule) compile() []bpf.Instruction {
	code := []bpf.Instruction{bpf.RetConstant{Val: r.action}}
	for _, c := range r.conditions {
		code = append(c.compile(uint8(len(code))), code...)
	}
	return code
}

// compile tests one argument. If the test fails, the code skips that many instructions after it.
func (c condition) compile(skip uint8) []bpf.Instruction {
	var test []bpf.Instruction
	for i, v := range c.values {
		left := uint8(len(c.values) - 1 - i)
		jump := bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(v), SkipTrue: left}
		if left == 0 {
			jump.SkipFalse = skip
		}
		test = append(test, jump)
	}
	if c.values == nil {
		test = []bpf.Instruction{bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: uint32(c.most), SkipFalse: skip}}
	}
	// Little endian: the low half comes first. The high half must be zero, as it is in all values.
	low := argsAt + 8*c.arg
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: low + 4, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: skip + uint8(len(test)) + 1},
		bpf.LoadAbsolute{Off: low, Size: 4},
	}, test...)
}

// filter builds the system call filter. The returned function installs it on this thread, and
// allocates no memory.
func filter() (raise func() error) {
	var raw []bpf.RawInstruction
	list, err := program()
	if err == nil {
		raw, err = bpf.Assemble(list)
	}
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
