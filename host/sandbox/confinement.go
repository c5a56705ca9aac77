package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// confinement is one step of the re-executed init. Each step checks its own effect.
type confinement struct {
	name      string // the state after the step
	broken    string // the state without the step
	mandatory bool
	apply     func() error
}

// confinements lists the steps in the order in which they must be applied. A step may need a right
// that a later step takes away. outer names the host's namespaces.
//
// The memory limits come second to last. The init has its own Go runtime, which under the race
// detector takes far more address space than a Task may have. Only the filter follows. It is built
// before, so the init allocates no memory after the limits.
func confinements(memory uint64, outer string) []confinement {
	return []confinement{
		{"separate namespaces, seen from inside", "a Task is in a namespace of the host",
			true, func() error { return separate(outer) }},
		{"harmless descriptors 0, 1 and 2", "descriptors 0, 1 and 2 are not /dev/null",
			true, standardDescriptors},
		{"empty read-only root", "a Task sees files", true, emptyRoot},
		{"lower priority", "a Task has the Core's priority", true, yield},
		{"resource limits", "a Task's resources are not limited",
			true, func() error { return limit(resources) }},
		{"no capabilities", "a Task has capabilities", true, dropCapabilities},
		{"no new privileges", "a Task can gain privileges", true, noNewPrivileges},
		{"Landlock", "Landlock does not refuse files and connections once more", false, restrict},
		// Go's runtime puts Landlock on all threads by a signal that must be queued. So the limit
		// of queued signals follows Landlock.
		{"no queued signals", "a Task can queue signals", true, func() error { return limit(signals) }},
		{"memory limits", "a Task's memory is not limited",
			true, func() error { return limit(space(memory)) }},
		{"system call filter", "a Task's system calls are not filtered", true, filter()},
	}
}

// separate checks that none of the namespaces is the host's.
func separate(outer string) error {
	for i, link := range strings.Fields(outer) {
		inner, err := os.Readlink("/proc/self/ns/" + namespaceNames[i])
		if err != nil {
			return err
		}
		if inner == link {
			return fmt.Errorf("the %s namespace is the host's", namespaceNames[i])
		}
	}
	if os.Getpid() != 1 {
		return errors.New("this is not the first process of a PID namespace")
	}
	return unix.Sethostname([]byte("task"))
}

// nullDevice is the number of /dev/null (Documentation/admin-guide/devices.txt).
var nullDevice = unix.Mkdev(1, 3)

// standardDescriptors checks that descriptors 0, 1 and 2 are /dev/null, as os/exec made them. If
// they are missing, runtimes end or open files in their place. A read of /dev/null returns end of
// file, and a write is dropped, so neither leaves a trace for another process. Each Task gets newly
// opened descriptors. Two Tasks with the same open file could both set and read its position and
// flags.
func standardDescriptors() error {
	for fd := range channelFD {
		var s unix.Stat_t
		if err := unix.Fstat(fd, &s); err != nil {
			return fmt.Errorf("descriptor %d: %w", fd, err)
		}
		if s.Mode&unix.S_IFMT != unix.S_IFCHR || s.Rdev != nullDevice {
			return fmt.Errorf("descriptor %d is another file", fd)
		}
	}
	return nil
}

// emptyRoot makes an empty, read-only file system the only one in the namespace. It is mounted over
// /proc at first, because every machine has that directory.
func emptyRoot() error {
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	for _, step := range []func() error{
		func() error { return unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "") },
		func() error { return unix.Mount("tmpfs", "/proc", "tmpfs", flags, "size=4k,nr_inodes=2,mode=0555") },
		func() error { return unix.Chdir("/proc") },
		func() error { return unix.PivotRoot(".", ".") },
		func() error { return unix.Unmount(".", unix.MNT_DETACH) },
		func() error { return unix.Chdir("/") },
		func() error { return unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, "") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	if list, err := os.ReadDir("/"); err != nil || len(list) > 0 {
		return fmt.Errorf("the root is not empty: %d entries, %v", len(list), err)
	}
	if err := unix.Mkdir("/x", 0o700); !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("the root can be written: %v", err)
	}
	return nil
}

// niceness lowers a Task's priority: a spinning thread of a Task gets a tenth of a Core thread's
// time. 19 would give a sixtieth, and made PUTs, which wait for Tasks, measurably slower.
const niceness = 10

// maxNice allows the niceness of Tasks, and no higher priority, as RLIMIT_NICE counts: 20 minus the
// nice value. A host that is not root needs it to raise the class of a Task again. The Task itself
// has no call for it.
const maxNice = 20 - niceness

// yield gives the Task a lower priority than the Core and all other processes.
func yield() error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, 0, niceness); err != nil {
		return err
	}
	// The system call returns 20 minus the nice value.
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || 20-n < niceness {
		return fmt.Errorf("it is %d: %v", 20-n, err)
	}
	return nil
}

// Limits of a Task.
const (
	maxDescriptors = 16        // for the channel, and a runtime's poller
	maxThreads     = 64        // of a runtime; a Task can't make processes. Counted in the Task's namespace alone since Linux 5.14
	minMemory      = 256 << 20 // bytes: with less, Go's runtime does not start
	maxStack       = 8 << 20   // bytes beside that memory, for the first thread's stack
	maxReserved    = 2 << 30   // bytes of address space beside that memory: Go's runtime reserves 1.3 GiB and does not use them
	maxSignals     = 0         // queued signals: the kernel delivers a signal without its details, or drops one that must be queued
	maxCore        = 1         // byte of a core dump: with 0 the kernel would still start the program of core_pattern
)

// bound is a resource limit.
type bound struct {
	resource int
	most     uint64
}

var resources = []bound{
	{unix.RLIMIT_STACK, maxStack},
	{unix.RLIMIT_NOFILE, maxDescriptors},
	{unix.RLIMIT_NPROC, maxThreads},
	{unix.RLIMIT_CORE, maxCore},
	{unix.RLIMIT_FSIZE, 0},
	{unix.RLIMIT_MEMLOCK, 0},
	{unix.RLIMIT_MSGQUEUE, 0},
	{unix.RLIMIT_LOCKS, 0},
	{unix.RLIMIT_NICE, maxNice},
	{unix.RLIMIT_RTPRIO, 0},
}

var signals = []bound{{unix.RLIMIT_SIGPENDING, maxSignals}}

// space bounds the memory of a Task. RLIMIT_DATA counts private memory only while it is writable.
// Only RLIMIT_AS bounds memory that was filled and then made read-only, and page tables of reserved
// memory. So a Task can take at most the sum of both limits.
func space(memory uint64) []bound {
	memory = min(max(memory, minMemory), math.MaxInt64)
	return []bound{
		{unix.RLIMIT_DATA, memory},
		{unix.RLIMIT_AS, memory + maxReserved},
	}
}

// limit sets resource limits. It keeps a lower limit of the host, because no process in a user
// namespace can raise it.
func limit(list []bound) error {
	for _, b := range list {
		var r unix.Rlimit
		if err := unix.Getrlimit(b.resource, &r); err != nil {
			return fmt.Errorf("limit %d: %w", b.resource, err)
		}
		r.Max = min(r.Max, b.most)
		r.Cur = r.Max
		if err := unix.Setrlimit(b.resource, &r); err != nil {
			return fmt.Errorf("limit %d: %w", b.resource, err)
		}
		if err := unix.Getrlimit(b.resource, &r); err != nil || r.Cur > b.most || r.Max > b.most {
			return fmt.Errorf("limit %d is %d: %v", b.resource, r.Max, err)
		}
	}
	return nil
}

// Secure bits (linux/securebits.h): user 0 has no special rights, for good. Capabilities can't be
// kept or raised in other ways.
const secureBits = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<5 | 1<<6 | 1<<7

// dropCapabilities takes all capabilities from this thread, and from each program that it executes.
func dropCapabilities() error {
	for c := uintptr(0); ; c++ {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); errors.Is(err, unix.EINVAL) && c > 0 {
			break // the number before was the last capability that this kernel knows
		} else if err != nil {
			return fmt.Errorf("drop capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, secureBits, 0, 0, 0); err != nil {
		return fmt.Errorf("secure bits: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none, now [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return err
	}
	if err := unix.Capget(&header, &now[0]); err != nil {
		return err
	}
	if now != none {
		return errors.New("some are left")
	}
	return nil
}

func noNewPrivileges() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if on, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || on != 1 {
		return fmt.Errorf("not set: %v", err)
	}
	return nil
}

// restrict refuses all file access and all TCP connections a second time, by another mechanism of
// the kernel.
func restrict() error {
	if err := landlock.V4.Restrict(); err != nil {
		return err
	}
	if _, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("the root can be opened: %v", err)
	}
	return nil
}
