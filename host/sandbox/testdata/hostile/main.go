// Command hostile is a Task that tries to get out. It reads the name of an
// attempt from its channel, one a line, makes it, and answers with what the
// kernel said. "heap N" takes N MiB of memory, as a Task may.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

var attempts = map[string]func() error{
	"nothing":           func() error { return nil },
	"open a file":       func() error { return opened(unix.Open("/etc/passwd", unix.O_RDONLY, 0)) },
	"open the root":     func() error { return opened(unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)) },
	"openat2":           func() error { return opened(unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{})) },
	"write a file":      func() error { return opened(unix.Open("/x", unix.O_CREAT|unix.O_WRONLY, 0o600)) },
	"mkdir":             func() error { return unix.Mkdir("/x", 0o700) },
	"internet socket":   func() error { return opened(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)) },
	"unix socket":       func() error { return opened(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)) },
	"netlink socket":    func() error { return opened(unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, 0)) },
	"connect":           func() error { return unix.Connect(3, &unix.SockaddrUnix{Name: "/x"}) },
	"send a descriptor": func() error { return unix.Sendmsg(3, nil, unix.UnixRights(3), nil, 0) },
	"receive a descriptor": func() error {
		_, _, _, _, err := unix.Recvmsg(3, nil, make([]byte, 64), unix.MSG_DONTWAIT)
		return err
	},
	"execve":                      func() error { return unix.Exec("/bin/sh", []string{"sh"}, nil) },
	"execve itself":               func() error { return unix.Exec("/proc/self/exe", []string{"x"}, nil) },
	"execveat the image again":    func() error { return raw(unix.SYS_EXECVEAT, 4, empty(), 0, 0, unix.AT_EMPTY_PATH) },
	"execveat the channel":        func() error { return raw(unix.SYS_EXECVEAT, 3, empty(), 0, 0, unix.AT_EMPTY_PATH) },
	"fork":                        func() error { return raw(unix.SYS_FORK) },
	"vfork":                       func() error { return raw(unix.SYS_VFORK) },
	"clone a process":             func() error { return raw(unix.SYS_CLONE, uintptr(unix.SIGCHLD)) },
	"clone3":                      func() error { return raw(unix.SYS_CLONE3, 0, 0) },
	"clone into a user namespace": func() error { return raw(unix.SYS_CLONE, uintptr(unix.CLONE_NEWUSER)) },
	"ptrace":                      func() error { return raw(unix.SYS_PTRACE, unix.PTRACE_ATTACH, 1) },
	"be traced":                   func() error { return raw(unix.SYS_PTRACE, unix.PTRACE_TRACEME) },
	"kill the parent":             func() error { return unix.Kill(unix.Getppid(), unix.SIGKILL) },
	"kill all":                    func() error { return unix.Kill(-1, unix.SIGKILL) },
	"pidfd_open":                  func() error { return opened(unix.PidfdOpen(1, 0)) },
	"process_vm_readv": func() error {
		_, err := unix.ProcessVMReadv(1, nil, nil, 0)
		return err
	},
	"process_vm_writev": func() error {
		_, err := unix.ProcessVMWritev(1, nil, nil, 0)
		return err
	},
	"mount":                  func() error { return unix.Mount("proc", "/", "proc", 0, "") },
	"remount":                func() error { return unix.Mount("", "/", "", unix.MS_REMOUNT, "") },
	"umount":                 func() error { return unix.Unmount("/", unix.MNT_DETACH) },
	"pivot_root":             func() error { return unix.PivotRoot(".", ".") },
	"chroot":                 func() error { return unix.Chroot("/") },
	"unshare":                func() error { return unix.Unshare(unix.CLONE_NEWUSER) },
	"setns":                  func() error { return unix.Setns(3, 0) },
	"io_uring_setup":         func() error { return raw(unix.SYS_IO_URING_SETUP, 1, 0) },
	"memfd_create":           func() error { return opened(unix.MemfdCreate("x", 0)) },
	"bpf":                    func() error { return raw(unix.SYS_BPF, 0, 0, 0) },
	"userfaultfd":            func() error { return raw(unix.SYS_USERFAULTFD, 0) },
	"perf_event_open":        func() error { return raw(unix.SYS_PERF_EVENT_OPEN, 0) },
	"keyctl":                 func() error { return raw(unix.SYS_KEYCTL, 0) },
	"personality":            func() error { return raw(unix.SYS_PERSONALITY, 0) },
	"another seccomp filter": func() error { return raw(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_STRICT, 0, 0) },
	"take another name":      func() error { return unix.Prctl(unix.PR_SET_NAME, uintptr(empty()), 0, 0, 0) },
	"become dumpable":        func() error { return unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0) },
	"raise a limit":          func() error { return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}) },
	"setuid":                 func() error { return raw(unix.SYS_SETUID, 0) },
	"setgroups":              func() error { return raw(unix.SYS_SETGROUPS, 0, 0) },
	"capset":                 func() error { return raw(unix.SYS_CAPSET, 0, 0) },
	"sethostname":            func() error { return unix.Sethostname([]byte("x")) },
	"executable memory": func() error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
		return err
	},
	"make memory executable": func() error {
		p, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return fmt.Errorf("unexpected: %w", err)
		}
		return unix.Mprotect(p, unix.PROT_READ|unix.PROT_EXEC)
	},
	"share pages with other processes": func() error {
		p, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
		if err != nil {
			return fmt.Errorf("unexpected: %w", err)
		}
		return unix.Madvise(p, unix.MADV_MERGEABLE)
	},
	"a descriptor of the host": func() error {
		_, err := unix.GetsockoptInt(3, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		return err
	},
	"the host's user and process": func() error {
		_, err := unix.GetsockoptUcred(3, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	},
	"x32 system call":     func() error { return raw(0x40000000 + unix.SYS_GETPID) },
	"unknown system call": func() error { return raw(9999) },
	"read descriptor 4": func() error {
		_, err := unix.Read(4, make([]byte, 1))
		return err
	},
	"map descriptor 0": func() error {
		_, err := unix.Mmap(0, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
		return err
	},
	"execute descriptor 0": func() error {
		_ = unix.Close(4) // the runtime's, if it has one
		if fd, err := unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 4); err != nil || fd != 4 {
			return fmt.Errorf("unexpected: descriptor %d, %v", fd, err)
		}
		return raw(unix.SYS_EXECVEAT, 4, empty(), 0, 0, unix.AT_EMPTY_PATH)
	},
	"lock descriptor 0":  func() error { return unix.Flock(0, unix.LOCK_SH) },
	"stat descriptor 0":  func() error { return unix.Fstat(0, &unix.Stat_t{}) },
	"ioctl descriptor 0": func() error { return raw(unix.SYS_IOCTL, 0, 0x541b, empty()) },
	"walk from descriptor 0": func() error {
		return opened(unix.Openat(0, "..", unix.O_RDONLY, 0))
	},
	"huge pages":              func() error { return mapped(unix.MAP_PRIVATE | unix.MAP_HUGETLB) },
	"locked memory":           func() error { return mapped(unix.MAP_PRIVATE | unix.MAP_LOCKED) },
	"memory that is there":    func() error { return mapped(unix.MAP_PRIVATE | unix.MAP_POPULATE) },
	"droppable memory":        func() error { return mapped(unix.MAP_DROPPABLE) },
	"low memory":              func() error { return mapped(unix.MAP_PRIVATE | unix.MAP_32BIT) },
	"an unknown kind":         func() error { return mapped(unix.MAP_PRIVATE | 1<<30) },
	"wake operation":          func() error { return futex(unix.SYS_FUTEX, 5) },
	"requeue shared":          func() error { return futex(unix.SYS_FUTEX, 3) },
	"compare and requeue":     func() error { return futex(unix.SYS_FUTEX, 4|128) },
	"wake a bitset":           func() error { return futex(unix.SYS_FUTEX, 10) },
	"futex with priorities":   func() error { return futex(unix.SYS_FUTEX, 8|128) },
	"futex descriptor":        func() error { return futex(unix.SYS_FUTEX, 2) },
	"a robust list of others": func() error { return raw(unix.SYS_GET_ROBUST_LIST, 1, empty(), empty()) },
	"another futex call":      func() error { return raw(449, empty(), 0, 0, 0, 1) }, // futex_waitv
	"lazily freed memory":     func() error { return advised(unix.MADV_FREE) },
	"collapsed memory":        func() error { return advised(unix.MADV_COLLAPSE) },
	"another process's clock": func() error {
		var ts unix.Timespec
		return unix.ClockGettime(^int32(2<<3)|2, &ts)
	},
	"a device's clock": func() error {
		var ts unix.Timespec
		return unix.ClockGettime(^int32(3<<3)|3, &ts)
	},
	"an alarm clock": func() error {
		var ts unix.Timespec
		return unix.ClockGettime(unix.CLOCK_BOOTTIME_ALARM, &ts)
	},
	"signal another process":              func() error { return raw(unix.SYS_TGKILL, 2, 2, 0) },
	"signal with a value":                 func() error { return raw(unix.SYS_RT_SIGQUEUEINFO, 1, uintptr(unix.SIGURG), empty()) },
	"queue a signal":                      func() error { return raw(unix.SYS_TGKILL, 1, uintptr(unix.Gettid()), 40) },
	"the pool of randomness":              func() error { return raw(unix.SYS_GETRANDOM, empty(), 1, unix.GRND_RANDOM) },
	"a semaphore":                         func() error { return opened(unix.Eventfd(0, unix.EFD_SEMAPHORE)) },
	"signals of a channel":                func() error { return fcntl(3, unix.F_SETFL, unix.O_ASYNC) },
	"owner of a channel":                  func() error { return fcntl(3, unix.F_SETOWN, 1) },
	"a lease":                             func() error { return fcntl(0, unix.F_SETLEASE, unix.F_RDLCK) },
	"the size of a pipe":                  func() error { return fcntl(3, unix.F_SETPIPE_SZ, 1<<20) },
	"dup without an end":                  func() error { return fcntl(3, unix.F_DUPFD, 5) },
	"map the vdso":                        func() error { return raw(unix.SYS_ARCH_PRCTL, 0x2003, 0x10000) },
	"permit tiles":                        func() error { return raw(unix.SYS_ARCH_PRCTL, 0x1023, 18) },
	"limits of another":                   func() error { return raw(unix.SYS_PRLIMIT64, 1, unix.RLIMIT_CPU, 0, empty()) },
	"more memory than allowed":            func() error { return fill(unix.MAP_PRIVATE) },
	"more shared memory than allowed":     func() error { return fill(unix.MAP_SHARED) },
	"more memory for stacks than allowed": func() error { return fill(unix.MAP_PRIVATE | unix.MAP_GROWSDOWN) },
	"more memory than allowed, made read-only": func() error {
		for n := range 64 {
			p, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err == nil {
				err = unix.Mprotect(p, unix.PROT_READ)
			}
			if err != nil {
				return fmt.Errorf("after %d pieces: %w", n, err)
			}
		}
		return fmt.Errorf("unexpected: got all pieces")
	},
	"more page tables than allowed": func() error {
		_, err := unix.Mmap(-1, 0, 4<<30, unix.PROT_READ, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
		return err
	},
	"higher priority": func() error { return unix.Setpriority(unix.PRIO_PROCESS, 0, 0) },
	"see the environment": func() error {
		if len(os.Environ()) == 0 && len(os.Args) == 1 && os.Args[0] == "task" {
			return unix.ENOENT
		}
		return nil
	},
}

// mapped takes a page of memory of a kind.
func mapped(kind int) error {
	_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, kind|unix.MAP_ANON)
	return err
}

func advised(advice int) error {
	p, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return fmt.Errorf("unexpected: %w", err)
	}
	return unix.Madvise(p, advice)
}

// futex makes an operation that does not wait, on a word of this process.
func futex(number, operation uintptr) error {
	return raw(number, uintptr(unsafe.Pointer(&words[0])), operation, 1, 1, uintptr(unsafe.Pointer(&words[1])))
}

var words [2]uint64

func fcntl(fd uintptr, command, value int) error {
	_, err := unix.FcntlInt(fd, command, value)
	return err
}

// fill takes memory until there is no more.
func fill(kind int) error {
	for n := range 64 {
		if _, err := unix.Mmap(-1, 0, 64<<20, unix.PROT_READ|unix.PROT_WRITE, kind|unix.MAP_ANON); err != nil {
			return fmt.Errorf("after %d pieces: %w", n, err)
		}
	}
	return fmt.Errorf("unexpected: got all pieces")
}

// heap takes so many MiB of Go's heap: what an honest Task may have.
func heap(size string) string {
	n, err := strconv.Atoi(size)
	if err != nil {
		return err.Error()
	}
	var pieces [][]byte
	for range n / 4 {
		pieces = append(pieces, make([]byte, 4<<20))
	}
	return fmt.Sprintf("has %d pieces", len(pieces))
}

func opened(fd int, err error) error {
	if err == nil {
		return fmt.Errorf("unexpected: descriptor %d", fd)
	}
	return err
}

func raw(number uintptr, a ...uintptr) error {
	var p [6]uintptr
	copy(p[:], a)
	r, _, e := unix.RawSyscall6(number, p[0], p[1], p[2], p[3], p[4], p[5])
	if e == 0 {
		return fmt.Errorf("unexpected: result %d", r)
	}
	return e
}

var nothing = []byte{0}

func empty() uintptr { return uintptr(unsafe.Pointer(&nothing[0])) }

func main() {
	time.Sleep(time.Microsecond)
	channel := os.NewFile(3, "channel")
	for lines := bufio.NewScanner(channel); lines.Scan(); {
		answer := "unknown attempt"
		if size, ok := strings.CutPrefix(lines.Text(), "heap "); ok {
			answer = heap(size)
		} else if lines.Text() == "hear nothing any more" {
			time.Sleep(time.Hour)
		} else if try, ok := attempts[lines.Text()]; ok {
			switch err := try(); {
			case err == nil:
				answer = "done"
			case strings.HasPrefix(err.Error(), "unexpected"):
				answer = "done: " + err.Error()
			default:
				answer = "failed: " + err.Error()
			}
		}
		fmt.Fprintln(channel, answer)
	}
}
