package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// A host that is root gives each Task a user and a group of its own, of one
// number: resources that the kernel counts for a user (signals, processes,
// epoll watches, keys, pipes) are then each Task's own. Numbers are taken from
// blocks, each of which one host holds on the machine.
const (
	blockSize = 256
	maxTries  = 1000 // to find a block that the namespace has and no host holds
)

// idRange is a range of numbers of users or groups.
type idRange struct{ first, end uint64 }

// freeIDs are ranges whose numbers nobody should have, the better one first: the
// one that systemd calls unused, and, where the host's user namespace has only
// 65536 numbers, those behind usual users and before those of dynamic ones.
var freeIDs = []idRange{{0x7000_0000, 0x7ff0_0000}, {0x8000, 0xee00}}

// users hands out numbers.
type users struct {
	mu     sync.Mutex
	blocks []uint64        // first numbers of the blocks that this host holds
	locks  []int           // a descriptor for each block that keeps other hosts away
	next   uint64          // where the search for a number goes on
	taken  map[uint64]bool // by Tasks that live
}

var taskUsers users

// errNoUsers says that the host's user namespace has no numbers to give.
var errNoUsers = errors.New("the host's user namespace has no free user numbers: see /proc/self/uid_map")

// take returns a number that no living Task has.
func (u *users) take() (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.taken == nil {
		u.taken = make(map[uint64]bool)
	}
	if len(u.taken) == len(u.blocks)*blockSize {
		if err := u.extend(); err != nil {
			return 0, err
		}
	}
	// Going round, a number comes back as late as possible.
	for {
		n := u.next % (uint64(len(u.blocks)) * blockSize)
		u.next++
		id := u.blocks[n/blockSize] + n%blockSize
		if !u.taken[id] {
			u.taken[id] = true
			return int(id), nil
		}
	}
}

// release gives a number back. Its Task's process is gone.
func (u *users) release(id int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.taken, uint64(id))
}

// extend takes another block, at random, so that hosts that can't see each
// other's locks hardly ever take the same.
func (u *users) extend() error {
	people, err := mapped("/proc/self/uid_map")
	if err != nil {
		return err
	}
	groups, err := mapped("/proc/self/gid_map")
	if err != nil {
		return err
	}
	for _, free := range freeIDs {
		blocks := (free.end - free.first) / blockSize
		for range maxTries {
			first := free.first + rand.Uint64N(blocks)*blockSize
			if !within(first, people) || !within(first, groups) {
				continue
			}
			lock, err := lockBlock(first)
			if errors.Is(err, unix.EADDRINUSE) {
				continue // another host's, or ours
			}
			if err != nil {
				return fmt.Errorf("reserve users: %w", err)
			}
			u.blocks = append(u.blocks, first)
			u.locks = append(u.locks, lock)
			return nil
		}
	}
	return errNoUsers
}

// lockBlock binds a name that stands for a block: one process of the network
// namespace can have it, and loses it when it ends.
func lockBlock(first uint64) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprint("@motte-task-users-", first)}); err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// within says whether a block lies in one of the ranges.
func within(first uint64, ranges []idRange) bool {
	for _, r := range ranges {
		if r.first <= first && first+blockSize <= r.end {
			return true
		}
	}
	return false
}

// mapped reads the numbers that a user namespace has: lines of the first number
// inside, the first outside, and how many.
func mapped(path string) (list []idRange, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var inside, outside, count uint64
		if _, err := fmt.Sscan(lines.Text(), &inside, &outside, &count); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		list = append(list, idRange{inside, inside + count})
	}
	return list, lines.Err()
}
