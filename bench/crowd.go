package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"motte/client"
	"motte/core/model"
	"motte/core/wire"
	"motte/internal/procfs"
)

// The lines of the crowd are measured on a server with -collections collections, each with
// crowdIndexes indexes. With that many, an index that has a shelf starts parked.

// crowd holds what was measured.
type crowd struct {
	started time.Duration // until all indexes serve or are parked
	query   time.Duration // of the first query of an index
	idle    float64       // resident memory of all processes, in MB
}

const (
	crowdIndexes = 16
	crowdObjects = 100 // of each collection
	crowdAtOnce  = 272 // indexes with a process, at most, while the collections are made
	fullCrowd    = 100 // collections to which the targets apply
	crowdMemory  = 1 << 28
	crowdShelf   = 1 << 24
	megabyte     = 1e6
)

// crowdLines are the lines of the crowd.
func crowdLines(collections int) []line {
	one := func(name, unit string, most float64, pick func(*crowd) float64) line {
		l := line{name: name, unit: unit, once: true, prepare: ofCrowd(pick)}
		if collections >= fullCrowd {
			l.target.most = most
		}
		return l
	}
	return []line{
		one("CROWD, start", "s", 120, func(c *crowd) float64 { return c.started.Seconds() }),
		one("CROWD, first query", "s", 0, func(c *crowd) float64 { return c.query.Seconds() }),
		one("CROWD, idle", "MB", 1500, func(c *crowd) float64 { return c.idle }),
	}
}

// ofCrowd returns one of the figures. They are measured only once.
func ofCrowd(pick func(*crowd) float64) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		if f.crowd == nil {
			if f.crowd, err = f.measureCrowd(ctx); err != nil {
				return nil, nil, err
			}
		}
		return func(context.Context) (float64, error) { return pick(f.crowd), nil }, nil, nil
	}
}

func (f *fixture) measureCrowd(ctx context.Context) (m *crowd, err error) {
	s, err := newStandalone(ctx, f.dir, f.bin)
	if err != nil {
		return nil, err
	}
	defer func() { err = s.end(err) }()
	if err := s.gather(ctx, f.collections); err != nil {
		return nil, err
	}
	m = new(crowd)
	if err := s.stop(); err != nil {
		return nil, err
	}
	began := time.Now()
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	if err := s.allIndexes(ctx, ready); err != nil {
		return nil, err
	}
	m.started = time.Since(began)
	bar := progress("  the server idles", int(f.idle/time.Second))
	defer bar.Finish()
	for range f.idle / time.Second {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		_ = bar.Add(1)
	}
	if m.idle, err = s.resident(); err != nil {
		return nil, err
	}
	began = time.Now()
	q := client.Query{Collection: crowdName(0), Index: crowdName(0), Predicate: "all"}
	found, err := s.admin.Count(ctx, q)
	if err == nil && found.Count != crowdObjects {
		err = fmt.Errorf("the first query counts %d objects; want %d", found.Count, crowdObjects)
	}
	m.query = time.Since(began)
	return m, err
}

func crowdName(n int) string { return fmt.Sprintf("c%d", n) }

// gather makes the collections and their indexes. Whenever too many processes run, it waits until all
// indexes are on their shelves, and starts the server again, so that they are parked.
func (s *standalone) gather(ctx context.Context, collections int) error {
	if err := s.resize(ctx, "ordered", crowdMemory, crowdShelf); err != nil {
		return err
	}
	bar := progress("  making collections", collections)
	defer bar.Finish()
	running := 0
	for i := range collections {
		if running += crowdIndexes; running > crowdAtOnce {
			if err := s.park(ctx); err != nil {
				return err
			}
			running = crowdIndexes
		}
		if err := s.gatherOne(ctx, crowdName(i)); err != nil {
			return err
		}
		_ = bar.Add(1)
	}
	return s.allIndexes(ctx, shelved)
}

func (s *standalone) gatherOne(ctx context.Context, collection string) error {
	err := s.admin.CreateCollection(ctx, collection)
	for i := 0; i < crowdIndexes && err == nil; i++ {
		err = s.admin.CreateIndex(ctx, collection, crowdName(i), client.Index{Task: "ordered", Type: model.TypeInt64,
			Config: fmt.Appendf(nil, `{"path":"/%d"}`, i)})
	}
	if err != nil {
		return fmt.Errorf("collection %s: %w", collection, err)
	}
	var b client.Batch
	for i := range crowdObjects {
		object := []byte("{")
		for n := range crowdIndexes {
			object = fmt.Appendf(object, `"%d":%d,`, n, i)
		}
		object[len(object)-1] = '}'
		b.Put(object)
	}
	_, err = s.admin.PutBatch(ctx, collection, &b)
	return err
}

func (s *standalone) park(ctx context.Context) error {
	err := s.allIndexes(ctx, shelved)
	if err == nil {
		err = s.stop()
	}
	if err == nil {
		err = s.start(ctx)
	}
	return err
}

// ready reports whether an index serves or is parked.
func ready(x *wire.IndexStatus) bool {
	return x.State == model.IndexServing || x.State == model.IndexParked
}

// shelved reports whether an index is ready, and has its objects on the shelf.
func shelved(x *wire.IndexStatus) bool { return ready(x) && x.Shelf > 0 && x.Queued == 0 }

// errNotAll says that some indexes are not as they should be.
var errNotAll = errors.New("some indexes are not ready")

// allIndexes waits until all indexes are as they should be.
func (s *standalone) allIndexes(ctx context.Context, is func(*wire.IndexStatus) bool) error {
	return s.eventually(ctx, "the indexes", func() error {
		status, err := s.admin.Status(ctx)
		if err != nil {
			return err
		}
		for i := range status.Indexes {
			if !is(&status.Indexes[i]) {
				time.Sleep(100 * time.Millisecond) // a status of many indexes takes the Core's time
				return errNotAll
			}
		}
		return nil
	})
}

// resident returns the resident memory of all processes, in MB.
func (s *standalone) resident() (sum float64, err error) {
	pids := []int{s.host}
	for _, p := range procfs.Children(s.host) {
		pids = append(pids, p.PID)
	}
	for _, pid := range pids {
		n, err := resident(pid)
		if err != nil {
			return 0, err
		}
		sum += n / megabyte
	}
	return sum, nil
}
