package host

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// spaceEvery is how often the host asks the file system of the data directory for its size. After
// spaceStale an answer no longer counts, because a disk that hangs does not answer.
const (
	spaceEvery = 10 * time.Second
	spaceStale = time.Minute
)

// space is the size of the data directory's file system. If that file system hangs, only the
// goroutine that asks it waits.
type space struct {
	mu         sync.Mutex
	free, size uint64 // bytes; free: for users other than root
	at         time.Time
}

// watch asks the file system again and again, until the context ends.
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
