package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"motte/bench/timing"
	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/host"
	"motte/mottetest"
)

// Names of the parts of the server on which processor time is measured.
const (
	spinnerTask = "spinner"
	spinning    = "spinning" // collection of the spinner's index

	spinnerIndex = 1 // the index's number: the first of the store

	busyRead  = "read"  // collection without an index
	busyWrite = "write" // collection with an honest index
	busyBuild = "build" // collection whose honest index is built again

	spinners = 58     // goroutines of the spinner: as many threads as it can have
	builtOf  = 50_000 // objects of an index that is built

	askEvery = 200 * time.Millisecond
	askFirst = 2 * time.Second // until the host has noticed that the Core asks
)

// theBusy returns a server with a Task that can spin.
func (f *fixture) theBusy(ctx context.Context) (*server, error) {
	if f.busy != nil {
		return f.busy, nil
	}
	dir, err := os.MkdirTemp(f.dir, "motte-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	executable := filepath.Join(dir, "tasks", "motte-task-"+spinnerTask)
	if err := buildSpinner(ctx, executable); err != nil {
		return nil, err
	}
	if s.Server, err = mottetest.Start(dir, f.bin, filepath.Dir(executable)); err != nil {
		return nil, err
	}
	f.cleanup(s.stop)
	if s.admin, err = s.Admin(ctx); err != nil {
		return nil, err
	}
	if err := s.addSpinner(ctx, executable); err != nil {
		return nil, fmt.Errorf("a Task that spins: %w", err)
	}
	err = errors.Join(s.filled(ctx, busyRead, "", stored), s.filled(ctx, busyWrite, "n", 0), s.filled(ctx, busyBuild, "n", builtOf))
	f.busy = s
	return s, err
}

// buildSpinner builds the Task that spins.
func buildSpinner(ctx context.Context, path string) error {
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", path, "motte/test/spinnertask")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build the Task that spins: %w\n%s", err, out)
	}
	return nil
}

// addSpinner registers the Task, and makes an index of it.
func (s *server) addSpinner(ctx context.Context, executable string) error {
	measurement, err := host.Measure(executable)
	if err != nil {
		return err
	}
	err = s.admin.RegisterTask(ctx, spinnerTask, client.Row{Measurement: measurement, Operations: frames.TaskSearch,
		MaxInput: 1 << 10, MaxResults: 10, Deadline: 10_000, Memory: 256 << 20})
	if err != nil {
		return err
	}
	if err := s.admin.CreateCollection(ctx, spinning); err != nil {
		return err
	}
	if err := s.admin.CreateIndex(ctx, spinning, spinnerTask, client.Index{Task: spinnerTask, Type: model.TypeAny}); err != nil {
		return err
	}
	return s.spin(ctx, 0)
}

// spin lets the Task spin with n threads, and waits until the host has noticed.
func (s *server) spin(ctx context.Context, n int) error {
	q := client.Query{Collection: spinning, Index: spinnerTask, Predicate: fmt.Sprint(n)}
	for {
		var err error
		for _, err = range s.admin.Search(ctx, q) {
		}
		if err == nil {
			break
		}
		if !client.Temporary(err) || ctx.Err() != nil {
			return fmt.Errorf("spin with %d threads: %w", n, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	for n > 0 {
		running, err := host.LookAt(ctx, s.Dir)
		if err != nil {
			return err
		}
		for _, p := range running.Processes {
			if p.Index == spinnerIndex && p.Share == host.Paused {
				return nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// ask asks the Task a question again and again, until the context ends. So the Core always waits for
// it, or did so a moment ago. The Task refuses the predicate.
func (s *server) ask(ctx context.Context) {
	q := client.Query{Collection: spinning, Index: spinnerTask, Predicate: "a question"}
	for ctx.Err() == nil {
		for range s.admin.Search(ctx, q) {
		}
		time.Sleep(askEvery)
	}
}

// beside measures a load while a Task spins, and the same load without that. If the Task is asked, it
// may take more.
func beside(n int, asked bool, op func(*server) timing.Operation) func(context.Context, *fixture) (motte, quiet measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, quiet measure, err error) {
		s, err := f.theBusy(ctx)
		if err != nil {
			return nil, nil, err
		}
		quiet = func(ctx context.Context) (float64, error) { return load(ctx, f.duration(), n, op(s)) }
		motte = func(ctx context.Context) (float64, error) {
			if err := s.spin(ctx, spinners); err != nil {
				return 0, err
			}
			asking, done := context.WithCancel(ctx)
			var all sync.WaitGroup
			if asked {
				all.Go(func() { s.ask(asking) })
				time.Sleep(askFirst)
			}
			v, err := quiet(ctx)
			done()
			all.Wait()
			return v, errors.Join(err, s.spin(ctx, 0))
		}
		return motte, quiet, nil
	}
}

func readBusy(s *server) timing.Operation {
	return func(ctx context.Context, _, _ int) error {
		_, err := s.admin.Get(ctx, busyRead, objectName(rand.IntN(stored)))
		return err
	}
}

func writeBusy(s *server) timing.Operation {
	var last atomic.Int64
	data := timing.Object(0)
	return func(ctx context.Context, _, _ int) error {
		i := last.Add(1)
		_, err := s.admin.Put(ctx, busyWrite, data, client.Name(objectName(int(i))), client.Attribute("n", fmt.Append(nil, i)))
		return err
	}
}

// build measures how many objects a second an honest index takes when it is built again, while many
// GETs keep the processors busy, and without them.
func build(ctx context.Context, f *fixture) (motte, quiet measure, err error) {
	s, err := f.theBusy(ctx)
	if err != nil {
		return nil, nil, err
	}
	quiet = func(ctx context.Context) (float64, error) {
		began := time.Now()
		err := s.admin.RebuildIndex(ctx, busyBuild, "n")
		if err == nil {
			err = s.serves(ctx, busyBuild, "n")
		}
		return builtOf / time.Since(began).Seconds(), err
	}
	motte = func(ctx context.Context) (v float64, err error) {
		reading, done := context.WithCancel(ctx)
		var all sync.WaitGroup
		for range 64 {
			all.Go(func() {
				for op := readBusy(s); reading.Err() == nil; {
					_ = op(reading, 0, 0) // fails when the measurement ends
				}
			})
		}
		v, err = quiet(ctx)
		done()
		all.Wait()
		return v, err
	}
	return motte, quiet, nil
}
