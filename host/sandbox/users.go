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

// A host that is root gives each Task a user and a group with one number. Then the kernel counts
// signals, processes, epoll watches, keys and pipes for each Task alone. The numbers come from
// blocks. On a machine, one host at a time holds a block.
const (
	blockSize = 256
	maxTries  = 1000 // random tries for a block that is in the namespace and that no host holds
)

// idRange is a range of numbers of users or groups.
type idRange struct{ first, end uint64 }

// freeIDs are ranges of numbers without users, the best range first. systemd calls the first range
// unused. The second range is for a user namespace with only 65536 numbers. It lies after usual
// users and before dynamic users.
var freeIDs = []idRange{{0x7000_0000, 0x7ff0_0000}, {0x8000, 0xee00}}

// users hands out numbers.
type users struct {
	mu     sync.Mutex
	blocks []uint64        // first numbers of the blocks that this host holds
	locks  []int           // one descriptor for each block, which keeps other hosts away
	next   uint64          // where the next search for a number begins
	taken  map[uint64]bool // numbers of living Tasks
}

var taskUsers users

// errNoUsers says that the host's user namespace has no numbers left.
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
	// The search goes round, so a released number comes back as late as possible.
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

// release gives a number back, after its Task's process has ended.
func (u *users) release(id int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.taken, uint64(id))
}

// extend takes another block at random. So hosts that can't see each other's locks hardly ever take
// the same block.
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
				continue // another host holds the block, or this host
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

// lockBlock binds a socket name that stands for a block. In a network namespace only one process
// can bind the name. The kernel releases it when the process ends.
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

// within reports whether a block lies in one of the ranges.
func within(first uint64, ranges []idRange) bool {
	for _, r := range ranges {
		if r.first <= first && first+blockSize <= r.end {
			return true
		}
	}
	return false
}

// mapped reads the numbers of a user namespace. Each line has the first number inside, the first
// number outside, and the count.
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
