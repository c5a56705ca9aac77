// Command motte-task-spinner is a Task that keeps the protocol and wastes processor time. A
// predicate is the number of goroutines that spin from now on. It finds nothing.
//
// It is used by the benchmark of processor time, and by the test of the rule that the host
// applies to such a Task.
package main

import (
	"errors"
	"iter"
	"runtime"
	"strconv"
	"sync/atomic"

	"motte/sdk"
)

// mostThreads leaves some of a Task's 64 threads to Go's runtime.
const mostThreads = 58

func main() { sdk.Serve(&spinner{}) }

type spinner struct {
	stop *atomic.Bool // of the goroutines that spin; nil: none spins
}

func (s *spinner) Configure(sdk.Config) error { return nil }

func (s *spinner) Apply([]sdk.Change) {}

// Search ends the goroutines that spin, and starts others.
func (s *spinner) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	n, err := strconv.Atoi(string(q.Predicate))
	if err != nil || n < 0 || n > mostThreads {
		return nil, errors.New("the predicate must be a number of goroutines")
	}
	if s.stop != nil {
		s.stop.Store(true)
		s.stop = nil
	}
	if n == 0 {
		return nil, nil
	}
	runtime.GOMAXPROCS(n + 1) // one more answers the Core
	s.stop = new(atomic.Bool)
	for range n {
		go spin(s.stop)
	}
	return nil, nil
}

// spin computes until it is told to stop.
func spin(stop *atomic.Bool) {
	for x := uint64(1); !stop.Load(); {
		for range 1 << 12 {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
}
