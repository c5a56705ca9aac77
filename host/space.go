package host

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// spaceEvery is how often the file system of the data directory is asked for its size, and
// spaceStale how long an answer counts: a disk that hangs does not answer.
const (
	spaceEvery = 10 * time.Second
	spaceStale = time.Minute
)

// space is what the file system of the data directory says of itself. One that hangs holds
// up nothing but the goroutine that asks it.
type space struct {
	mu         sync.Mutex
	free, size uint64 // bytes; free: for other users than root
	at         time.Time
}

// watch asks again and again, until the context ends.
func (s *space) watch(ctx context.Context, dir string) {
	for {
		var f unix.Statfs_t
		if err := unix.Statfs(dir, &f); err == nil {
			s.mu.Lock()
			s.free, s.size, s.at = f.Bavail*uint64(f.Frsize), f.Blocks*uint64(f.Frsize), time.Now()
			s.mu.Unlock()
		}
		select {
		case <-time.After(spaceEvery):
		case <-ctx.Done():
			return
		}
	}
}

// get returns the last answer, unless it is too old.
func (s *space) get() (free, size uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.free, s.size, !s.at.IsZero() && time.Since(s.at) < spaceStale
}
