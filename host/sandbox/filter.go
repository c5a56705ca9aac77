package sandbox

import (
	"slices"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// The system calls of a Task. A call that fits no rule fails with EPERM, and
// does nothing: to end the process would write the call's number and address,
// which the Task chooses, into the kernel's log (decision 11). Names that an
// architecture does not have are left out.
//
// A rule names the values that an argument may have, and forbids no bits: the
// next kernel's new flag is refused like any other. An argument without a
// condition is an address, a length, a time, or a descriptor of the Task's own.
// Each value is there for a runtime of Go, C, C++ or Rust (glibc and musl).

// condition is a test of one argument, of all 64 bits: it is one of these
// values, or at most this value.
type condition struct {
	arg    uint32
	values []uint64
	most   uint64 // where there are no values
}

func oneOf(arg uint32, values ...uint64) condition { return condition{arg: arg, values: values} }
func atMost(arg uint32, most uint64) condition     { return condition{arg: arg, most: most} }

// rule says what becomes of a call whose arguments meet all conditions.
type rule struct {
	name       string
	conditions []condition
	action     uint32
}

// Flags of clone for a thread. Go's runtime uses one of the first two, the
// third is glibc's, the fourth musl's.
var threadFlags = []uint64{0x50f00, 0xd0f00, 0x3d0f00, 0x7d0f00}

// Kinds of memory: private and anonymous alone. Other kinds are shared, are not
// counted by RLIMIT_DATA, come from a pool of the machine (MAP_HUGETLB), or tell
// how much memory the machine has left (MAP_DROPPABLE).
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

// Operations of futex, with and without the private flag. glibc and musl wait
// for the end of a thread without it, libstdc++ for static variables. So no two
// Tasks may map the same page (image.go).
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

// Advices about memory that change nothing but the Task's own. MADV_MERGEABLE
// shares pages with other processes. MADV_FREE, by which pages are dropped only
// when the machine needs memory, and MADV_COLLAPSE, which succeeds when the
// machine has a huge page left, tell what others use: they are answered as if
// the kernel did not know them.
var (
	advices        = []uint64{unix.MADV_DONTNEED, unix.MADV_HUGEPAGE, unix.MADV_NOHUGEPAGE, unix.MADV_DONTDUMP}
	unknownAdvices = []uint64{unix.MADV_FREE, unix.MADV_COLLAPSE}
)

// Clocks of the machine, and of the Task's own process and thread. Others belong
// to a device, wake the machine up, or have another process's number in them.
var clocks = []uint64{unix.CLOCK_REALTIME, unix.CLOCK_MONOTONIC, unix.CLOCK_PROCESS_CPUTIME_ID, unix.CLOCK_THREAD_CPUTIME_ID,
	unix.CLOCK_MONOTONIC_RAW, unix.CLOCK_REALTIME_COARSE, unix.CLOCK_MONOTONIC_COARSE, unix.CLOCK_BOOTTIME}

// Codes of arch_prctl: where a thread's own variables lie.
const (
	archSetFS = 0x1002
	archGetFS = 0x1003
)

const (
	ownProcess   = 1       // a Task is the first process of its PID namespace
	maxThreadID  = 1 << 22 // PID_MAX_LIMIT
	signalSet    = 8       // bytes of a set of signals
	robustHead   = 24      // bytes of struct robust_list_head
	maxResource  = 15      // RLIMIT_RTTIME, the last
	maxSignal    = 64
	maxOperation = 2 // of shutdown, and of rt_sigprocmask
)

// rules lists what the filter knows; the first that fits decides. What is
// called most often comes first: the kernel goes through the list.
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
	// What Rust's standard library does in place of read and write. Without an
	// address it is the same; descriptors come by other calls.
	allow("recvfrom", oneOf(3, 0), oneOf(4, 0))
	allow("sendto", oneOf(3, 0, unix.MSG_NOSIGNAL), oneOf(4, 0))
	// C's streams want to hear of a channel that it has no position.
	answer(unix.ESPIPE, "lseek")
	allow("set_robust_list", oneOf(1, robustHead))
	allow("rseq", oneOf(2, 0, 1)) // register, or end that
	allow("arch_prctl", oneOf(0, archSetFS, archGetFS))
	// glibc asks by a thread's number; the PID namespace has no other process.
	allow("sched_getaffinity", atMost(0, maxThreadID))
	// Of itself, and changing nothing.
	allow("prlimit64", oneOf(0, 0), atMost(1, maxResource), oneOf(2, 0))
	allow("getrandom", oneOf(2, 0, unix.GRND_NONBLOCK, unix.GRND_INSECURE))
	allow("epoll_create1", oneOf(0, 0, unix.EPOLL_CLOEXEC))
	allow("eventfd2", oneOf(1, 0, unix.EFD_CLOEXEC, unix.EFD_NONBLOCK, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK))
	allow("shutdown", atMost(1, maxOperation))
	// What a runtime asks of a channel. Other options make descriptors:
	// SO_PEERPIDFD one of the host's process.
	allow("getsockopt", oneOf(1, unix.SOL_SOCKET), oneOf(2, unix.SO_TYPE, unix.SO_ERROR))
	allow("fcntl", oneOf(1, unix.F_GETFD, unix.F_GETFL))
	allow("fcntl", oneOf(1, unix.F_SETFD), oneOf(2, 0, unix.FD_CLOEXEC))
	allow("fcntl", oneOf(1, unix.F_SETFL), oneOf(2, 0, unix.O_NONBLOCK, unix.O_RDWR, unix.O_RDWR|unix.O_NONBLOCK))
	allow("fcntl", oneOf(1, unix.F_DUPFD_CLOEXEC), atMost(2, maxDescriptors))
	// The one execution by which the stage becomes the Task. Afterwards the
	// descriptor is closed, and no descriptor of a Task's is executable.
	allow("execveat", oneOf(0, imageFD), oneOf(4, unix.AT_EMPTY_PATH))
	return list
}

// Offsets in struct seccomp_data (linux/seccomp.h).
const (
	numberAt = 0
	archAt   = 4
	argsAt   = 16
)

// refused is the answer to a call that fits no rule.
const refused = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)

// program compiles the rules. A call that fits none is refused, and so is one by
// another calling convention: those for 32 bits name another architecture, and
// those of x32 have other numbers.
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
		// Behind its rules a call is refused, so the number stays loaded for
		// the calls that come after.
		body = append(body, bpf.RetConstant{Val: refused})
		code = append(code,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(number), SkipTrue: 1},
			bpf.Jump{Skip: uint32(len(body))})
		code = append(code, body...)
	}
	return append(code, bpf.RetConstant{Val: refused}), nil
}

// compile tests the conditions one after the other; if one does not hold, the
// code goes on behind the rule.
func (r rule) compile() []bpf.Instruction {
	code := []bpf.Instruction{bpf.RetConstant{Val: r.action}}
	for _, c := range r.conditions {
		code = append(c.compile(uint8(len(code))), code...)
	}
	return code
}

// compile tests one argument. If it fails, the code skips that many instructions
// behind the test.
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
	// Little endian: the low half lies first. The high half must be zero, as it
	// is in all values.
	low := argsAt + 8*c.arg
	return append([]bpf.Instruction{
		bpf.LoadAbsolute{Off: low + 4, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0, SkipFalse: skip + uint8(len(test)) + 1},
		bpf.LoadAbsolute{Off: low, Size: 4},
	}, test...)
}

// filter makes the system call filter. What it returns puts it on this thread,
// and takes no memory for that.
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
