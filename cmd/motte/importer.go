package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	"motte/client"
	"motte/core/wire"
)

// How lines are sent.
const (
	batchLines = 512     // of the wire.MaxBatch that a batch may have
	batchBytes = 1 << 20 // after which a batch is sent: more would not make it quicker
	inFlight   = 4       // batches
	opOverhead = 64      // bytes at most that an operation adds to its name and object
	retryEvery = 200 * time.Millisecond
	retryFor   = time.Minute // while the server is overloaded
)

// importer sends lines in batches, several in flight.
//
// Invariant: two batches that write the same name are never in flight together,
// so that the last line with a name is the one that stays.
type importer struct {
	client     *client.Client
	collection string
	parsing    parsing
	bar        *progressbar.ProgressBar
	broken     func(error) // if not nil: told of lines that are left out

	leftOut    int64
	stored     atomic.Int64
	notIndexed atomic.Bool

	mu    sync.Mutex
	names map[string]bool // in flight
}

// load is one batch, and the lines that it came from.
type load struct {
	batch       client.Batch
	alone       []byte // an object that fits no batch, instead of one
	names       []string
	first, last int
	read        int64 // bytes
}

// run sends all lines, and returns when they are stored or something failed.
func (i *importer) run(ctx context.Context, r io.Reader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, inFlight)
	var all sync.WaitGroup
	err := i.read(r, func(l *load) error {
		if !i.claim(l) {
			all.Wait()
			i.claim(l)
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		all.Go(func() {
			if err := i.send(ctx, l); err != nil {
				cancel(err) // the first one counts
			}
			i.release(l)
			<-slots
		})
		return nil
	})
	all.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// claim notes the names of a load as in flight, unless one of them is already.
func (i *importer) claim(l *load) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, n := range l.names {
		if i.names[n] {
			return false
		}
	}
	if i.names == nil {
		i.names = make(map[string]bool)
	}
	for _, n := range l.names {
		i.names[n] = true
	}
	return true
}

func (i *importer) release(l *load) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, n := range l.names {
		delete(i.names, n)
	}
	_ = i.bar.Add64(l.read) // only shown
}

// read makes loads of lines. A line that can't be imported ends it, or is left
// out; those before it are sent.
func (i *importer) read(r io.Reader, send func(*load) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, i.parsing.maxLine()+2)
	lines.Split(splitLines)
	l := &load{}
	flush := func() error {
		full := l
		l = &load{}
		if full.first == 0 {
			return nil
		}
		return send(full)
	}
	n := 0
	for lines.Scan() {
		n++
		name, data, err := i.parsing.line(lines.Bytes())
		if err != nil {
			err = fmt.Errorf("line %d: %w", n, err)
			if i.broken == nil {
				return errors.Join(flush(), err)
			}
			i.broken(err)
			i.leftOut++
			continue
		}
		if data == nil {
			continue
		}
		if len(name)+len(data)+opOverhead > wire.MaxObject-l.batch.Size() {
			if err := flush(); err != nil {
				return err
			}
		}
		l.add(n, name, data)
		if l.read += int64(len(lines.Bytes())) + 1; l.alone != nil || l.batch.Len() == batchLines || l.batch.Size() >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	err := lines.Err()
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("line %d: %w", n+1, client.ErrTooLarge)
	}
	return errors.Join(flush(), err)
}

// add adds a line, whose bytes are not kept.
func (l *load) add(line int, name string, data []byte) {
	if l.first == 0 {
		l.first = line
	}
	l.last = line
	var options []client.PutOption
	if name != "" {
		options = append(options, client.Name(name))
		l.names = append(l.names, name)
	}
	if len(name)+len(data)+opOverhead > wire.MaxObject {
		l.alone = bytes.Clone(data)
		return
	}
	l.batch.Put(data, options...)
}

// send stores a load. As long as the server is overloaded it tries again:
// nothing was changed then.
func (i *importer) send(ctx context.Context, l *load) error {
	for began := time.Now(); ; {
		results, err := i.store(ctx, l)
		if err == nil {
			i.stored.Add(int64(len(results)))
			if results[0].NotIndexed {
				i.notIndexed.Store(true)
			}
			return nil
		}
		if !client.Temporary(err) || time.Since(began) > retryFor {
			return fmt.Errorf("lines %d to %d: %w", l.first, l.last, err)
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (i *importer) store(ctx context.Context, l *load) ([]client.Result, error) {
	if l.alone == nil {
		return i.client.PutBatch(ctx, i.collection, &l.batch)
	}
	var options []client.PutOption
	for _, n := range l.names {
		options = append(options, client.Name(n))
	}
	r, err := i.client.Put(ctx, i.collection, l.alone, options...)
	return []client.Result{r}, err
}
