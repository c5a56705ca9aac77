package sandbox

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// decide runs the filter on a call, like the kernel.
type decide func(architecture, number uint32, args [6]uint64) uint32

func newDecide(t *testing.T) decide {
	t.Helper()
	code, err := program()
	if err != nil {
		t.Fatal(err)
	}
	vm, err := bpf.NewVM(code)
	if err != nil {
		t.Fatal(err)
	}
	return func(architecture, number uint32, args [6]uint64) uint32 {
		// The test's machine loads words in network byte order, and the kernel uses the
		// processor's. So each half of an argument is stored as a word.
		var call [64]byte
		binary.BigEndian.PutUint32(call[numberAt:], number)
		binary.BigEndian.PutUint32(call[archAt:], architecture)
		for i, a := range args {
			binary.BigEndian.PutUint32(call[argsAt+8*i:], uint32(a))
			binary.BigEndian.PutUint32(call[argsAt+8*i+4:], uint32(a>>32))
		}
		action, err := vm.Run(call[:])
		if err != nil {
			t.Fatal(err)
		}
		return uint32(action)
	}
}

// holds reports whether arguments meet the conditions of a rule, by their definition.
func (r rule) holds(args [6]uint64) bool {
	for _, c := range r.conditions {
		if c.values != nil && !slices.Contains(c.values, args[c.arg]) || c.values == nil && args[c.arg] > c.most {
			return false
		}
	}
	return true
}

// TestTheFilterAllowsExactValues changes each argument of every allowed call by every single
// bit, and to random values. The filter program must decide as the list of rules says,
// independent of the kernel of this machine.
func TestTheFilterAllowsExactValues(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	list, run := rules(), newDecide(t)
	random := rand.New(rand.NewPCG(1, 2))
	check := func(name string, args [6]uint64) {
		t.Helper()
		want := refused
		if i := slices.IndexFunc(list, func(r rule) bool { return r.name == name && r.holds(args) }); i >= 0 {
			want = list[i].action
		}
		number := uint32(info.SyscallNames[name])
		if got := run(uint32(info.ID), number, args); got != want {
			t.Fatalf("the filter decides on %s %x with %x; want %x", name, args, got, want)
		}
		for _, other := range []uint32{0, 0x40000003, 0x40000028, uint32(info.ID) + 1} {
			if other != uint32(info.ID) && run(other, number, args) != refused {
				t.Fatalf("%s passes with the calling convention %x; want it refused", name, other)
			}
		}
		if got := run(uint32(info.ID), number|0x40000000, args); got != refused {
			t.Fatalf("%s passes with its x32 number; want it refused", name)
		}
	}
	for _, r := range list {
		if _, ok := info.SyscallNames[r.name]; !ok {
			continue
		}
		for range 200 {
			var args [6]uint64
			for i := range args {
				args[i] = random.Uint64()
			}
			for _, c := range r.conditions {
				args[c.arg] = c.most
				if c.values != nil {
					args[c.arg] = c.values[random.IntN(len(c.values))]
				}
			}
			check(r.name, args)
			for _, c := range r.conditions {
				good := args[c.arg]
				for bit := range 64 {
					args[c.arg] = good ^ 1<<bit
					check(r.name, args)
				}
				args[c.arg] = good
			}
		}
	}
}

// TestTheFilterNamesItsCalls: a call without a rule is refused, also a number that the kernel
// does not have yet.
func TestTheFilterNamesItsCalls(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	run, named := newDecide(t), make(map[uint32]bool)
	for _, r := range rules() {
		if n, ok := info.SyscallNames[r.name]; ok {
			named[uint32(n)] = true
		}
	}
	for number := range uint32(4096) {
		for _, args := range [][6]uint64{{}, {1, 1, 1, 1, 1, 1}, {3, 3, 3, 0x22, 3, 3}} {
			if !named[number] && run(uint32(info.ID), number, args) != refused {
				t.Errorf("call %d %v passes without a rule; want it refused", number, args)
			}
		}
	}
}

// TestValuesThatReachFurtherAreNotAllowed: a rule that only forbids some bits, or ignores an
// argument, would allow each of these.
func TestValuesThatReachFurtherAreNotAllowed(t *testing.T) {
	info, err := arch.GetInfo("")
	if err != nil {
		t.Fatal(err)
	}
	run := newDecide(t)
	const readWrite, plain = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	for name, calls := range map[string][][6]uint64{
		"mmap": {{0, 4096, readWrite, unix.MAP_DROPPABLE | unix.MAP_ANONYMOUS}, {0, 4096, readWrite, plain | unix.MAP_HUGETLB},
			{0, 4096, readWrite, plain | unix.MAP_LOCKED}, {0, 4096, readWrite, plain | unix.MAP_POPULATE},
			{0, 4096, readWrite, plain | unix.MAP_SYNC}, {0, 4096, readWrite, unix.MAP_PRIVATE},
			{0, 4096, unix.PROT_WRITE, plain}, {0, 4096, readWrite, plain | 1<<30}},
		"futex":           {{0, 2}, {0, 4}, {0, 5}, {0, 6 | futexPrivate}, {0, 10}, {0, 11}, {0, 13}, {0, futexWake | futexRealtime}},
		"madvise":         {{0, 4096, unix.MADV_MERGEABLE}, {0, 4096, unix.MADV_POPULATE_WRITE}, {0, 4096, unix.MADV_REMOVE}},
		"clock_gettime":   {{^uint64(2<<3) | 2}, {^uint64(3<<3) | 3}, {unix.CLOCK_REALTIME_ALARM}, {unix.CLOCK_TAI}},
		"clock_nanosleep": {{unix.CLOCK_BOOTTIME_ALARM, 0}, {unix.CLOCK_MONOTONIC, 2}},
		"getrandom":       {{0, 0, unix.GRND_RANDOM}},
		"tgkill":          {{2, 2, 0}, {^uint64(0), 1, 9}},
		"arch_prctl":      {{0x1023, 18}, {0x2001}, {0x2003}, {0x5001}},
		"fcntl":           {{3, unix.F_SETFL, unix.O_ASYNC}, {3, unix.F_SETFD, 2}, {3, unix.F_SETLK}, {3, unix.F_ADD_SEALS}},
		"eventfd2":        {{0, unix.EFD_SEMAPHORE}},
		"rseq":            {{0, 32, 2}},
		"epoll_ctl":       {{4, 4, 5}},
		"prlimit64":       {{1, 0, 0}, {0, 0, 1}},
		"recvfrom":        {{3, 0, 0, unix.MSG_OOB}, {3, 0, 0, 0, 1}},
		"sendto":          {{3, 0, 0, unix.MSG_OOB}, {3, 0, 0, 0, 1}},
	} {
		for _, args := range calls {
			if run(uint32(info.ID), uint32(info.SyscallNames[name]), args) == unix.SECCOMP_RET_ALLOW {
				t.Errorf("%s %x is allowed; want it refused", name, args)
			}
		}
	}
}
