package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"motte/client"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// The lines of starts are measured on a server with one index of -entries objects. First many
// objects are overwritten. Meanwhile all processes are killed, and the server starts again. Then it
// stops in order, and starts a last time.

// starts holds what was measured.
type starts struct {
	killed, stopped started

	perSent   float64 // bytes written to the shelf for each byte of the frames of changes
	perObject float64 // the same, for each byte of their names and contents
}

// started is a start of the server until its index answers.
type started struct {
	took       time.Duration
	core, task time.Duration // processor time
	fed        float64       // share of the objects that were fed again, in percent
}

const (
	startCollection, startIndex = "people", "age"

	startMemory = 8 << 30 // bytes of the Task
	startShelf  = 4 << 30 // bytes: twice what ten million entries need

	overwritten = 0.25  // share of the objects that are overwritten before the kill
	eachSecond  = 0.005 // share of the objects that are overwritten in a second, if the server takes so many
	fullEntries = 10_000_000
)

// startTarget is the target of a start. It holds for fullEntries.
func startTarget(entries int) target {
	if entries < fullEntries {
		return target{}
	}
	return target{most: 5000}
}

// startLines are the lines of starts.
func startLines(entries int) []line {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	one := func(name, unit string, t target, pick func(*starts) float64) line {
		return line{name: name, unit: unit, once: true, target: t, prepare: ofStarts(pick)}
	}
	return []line{
		one("START, after a kill", "ms", startTarget(entries), func(s *starts) float64 { return ms(s.killed.took) }),
		one("START, CPU of the Core", "ms", target{}, func(s *starts) float64 { return ms(s.killed.core) }),
		one("START, CPU of the Task", "ms", target{}, func(s *starts) float64 { return ms(s.killed.task) }),
		one("START, fed again", "%", target{most: 1}, func(s *starts) float64 { return s.killed.fed }),
		one("START, after a stop", "ms", startTarget(entries), func(s *starts) float64 { return ms(s.stopped.took) }),
		one("SHELF, by byte sent", "ratio", target{most: 4}, func(s *starts) float64 { return s.perSent }),
		one("SHELF, by byte put", "ratio", target{}, func(s *starts) float64 { return s.perObject }),
	}
}

// ofStarts returns one of the figures. They are measured only once.
func ofStarts(pick func(*starts) float64) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		if f.starts == nil {
			if f.starts, err = f.measureStarts(ctx); err != nil {
				return nil, nil, err
			}
		}
		return func(context.Context) (float64, error) { return pick(f.starts), nil }, nil, nil
	}
}

func (f *fixture) measureStarts(ctx context.Context) (m *starts, err error) {
	s, err := newStandalone(ctx, f.dir, f.bin)
	if err != nil {
		return nil, err
	}
	defer func() { err = s.end(err) }()
	if err := s.people(ctx, f.entries); err != nil {
		return nil, err
	}
	m = new(starts)
	if err := s.overwriteAndKill(ctx, f.entries, m); err != nil {
		return nil, err
	}
	if m.killed, err = s.startAgain(ctx, f.entries); err != nil {
		return nil, err
	}
	if _, err := s.saved(ctx); err != nil {
		return nil, err
	}
	if err := s.stop(); err != nil {
		return nil, err
	}
	m.stopped, err = s.startAgain(ctx, f.entries)
	return m, err
}

// people makes a collection of n objects with an index, and waits until its shelf has them.
func (s *standalone) people(ctx context.Context, n int) error {
	if err := s.resize(ctx, "ordered", startMemory, startShelf); err != nil {
		return err
	}
	err := s.admin.CreateCollection(ctx, startCollection)
	if err == nil {
		err = s.admin.CreateIndex(ctx, startCollection, startIndex, client.Index{Task: "ordered", Type: model.TypeInt64,
			Ordered: true, Config: []byte(`{"path":"/age"}`)})
	}
	if err == nil {
		err = s.eventually(ctx, "the new index", func() error { return s.answers(ctx) })
	}
	if err != nil {
		return err
	}
	bar := progress("  loading", n)
	defer bar.Finish()
	for i := 0; i < n; {
		var b client.Batch
		for ; i < n && b.Len() < wire.MaxBatch; i++ {
			putPerson(&b, i)
		}
		if _, err := s.admin.PutBatch(ctx, startCollection, &b); err != nil {
			return fmt.Errorf("load: %w", err)
		}
		_ = bar.Add(b.Len())
	}
	_, err = s.saved(ctx)
	return err
}

// resize registers a built-in Task with other limits.
func (s *standalone) resize(ctx context.Context, task string, memory, shelf uint64) error {
	status, err := s.admin.Status(ctx)
	if err != nil {
		return err
	}
	for _, t := range status.Tasks {
		if t.Task == task {
			t.Row.Memory, t.Row.Shelf = memory, shelf
			return s.admin.RegisterTask(ctx, task, t.Row)
		}
	}
	return fmt.Errorf("the Task %s is not registered", task)
}

// putPerson adds a put to a batch, and returns the bytes of the name and of the content.
func putPerson(b *client.Batch, i int) (name, content int) {
	object := fmt.Appendf(nil, `{"age":%d}`, rand.IntN(fullEntries))
	b.Put(object, client.Name(objectName(i)))
	return len(objectName(i)), len(object)
}

// overwriting is a load that overwrites objects, picked at random, until the server is gone.
type overwriting struct {
	client          *client.Client
	objects         int
	done, sent, put atomic.Int64 // changes; bytes of their frames to the Task; bytes of their names and contents
	failed          error
	over            chan struct{} // closed when it has ended
}

func (o *overwriting) run(ctx context.Context) {
	defer close(o.over)
	began := time.Now()
	for o.failed == nil {
		ahead := float64(o.done.Load())/(eachSecond*float64(o.objects)) - time.Since(began).Seconds()
		time.Sleep(time.Duration(ahead * float64(time.Second)))
		var b client.Batch
		var names, contents int
		for b.Len() < 256 {
			name, content := putPerson(&b, rand.IntN(o.objects))
			names, contents = names+name, contents+content
		}
		if _, o.failed = o.client.PutBatch(ctx, startCollection, &b); o.failed == nil {
			o.sent.Add(int64(b.Len()*insertFrame + contents))
			o.put.Add(int64(names + contents))
			o.done.Add(int64(b.Len()))
		}
	}
}

// overwriteAndKill kills all processes while objects are overwritten.
func (s *standalone) overwriteAndKill(ctx context.Context, n int, m *starts) error {
	before, err := s.index(ctx)
	if err != nil {
		return err
	}
	o := &overwriting{client: s.admin, objects: n, over: make(chan struct{})}
	ctx, end := context.WithCancel(ctx)
	defer end()
	go o.run(ctx)
	changes := max(1000, int64(overwritten*float64(n)))
	bar := progress("  overwriting", int(changes))
	defer bar.Finish()
	for o.done.Load() < changes {
		select {
		case <-o.over:
			return fmt.Errorf("overwrite objects: %w", o.failed)
		case <-time.After(10 * time.Millisecond):
			_ = bar.Set(int(min(changes, o.done.Load())))
		}
	}
	after, err := s.index(ctx)
	if err != nil {
		return err
	}
	written := float64(after.Shelved - before.Shelved)
	m.perSent, m.perObject = written/float64(o.sent.Load()), written/float64(o.put.Load())
	err = s.kill()
	end()
	<-o.over
	return err
}

// insertFrame is the length of the frame of a change, without the object.
var insertFrame = len(taskwire.AppendInsertHead(nil, 0, 0, client.Identity{}, 0, 0))

// index returns the status of the index.
func (s *standalone) index(ctx context.Context) (*wire.IndexStatus, error) {
	status, err := s.admin.Status(ctx)
	if err != nil {
		return nil, err
	}
	x := status.Index(startCollection, startIndex)
	if x == nil {
		return nil, errors.New("the index has no status")
	}
	return x, nil
}

// saved waits until the shelf has not changed for a while, and returns the status.
func (s *standalone) saved(ctx context.Context) (*wire.IndexStatus, error) {
	last := new(wire.IndexStatus)
	for still := 0; still < 3; still++ {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		x, err := s.index(ctx)
		if err != nil {
			return nil, err
		}
		if x.Shelved != last.Shelved || x.Queued > 0 || x.Shelf == 0 {
			still = -1
		}
		last = x
	}
	return last, nil
}

// startAgain starts the server, and measures until the index answers.
func (s *standalone) startAgain(ctx context.Context, n int) (m started, err error) {
	began := time.Now()
	if err := s.start(ctx); err != nil {
		return m, err
	}
	if err := s.eventually(ctx, "the index after a start", func() error { return s.answers(ctx) }); err != nil {
		return m, err
	}
	m.took = time.Since(began)
	if m.core, m.task, err = s.processorTime(); err != nil {
		return m, err
	}
	x, err := s.index(ctx)
	if err != nil {
		return m, err
	}
	m.fed = 100 * float64(x.Refed) / float64(n)
	return m, nil
}

// answers asks the index for the first ten objects.
func (s *standalone) answers(ctx context.Context) error {
	q := client.Query{Collection: startCollection, Index: startIndex, Predicate: "all", Limit: wanted}
	for _, err := range s.admin.SearchIdentities(ctx, q) {
		if err != nil && !errors.Is(err, client.ErrTruncated) {
			return err
		}
	}
	return nil
}
