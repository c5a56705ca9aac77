package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"

	"motte/client"
	"motte/core/model"
)

// Limits of sending.
const (
	batchLines = 512     // lines in a batch at most: fewer than wire.MaxBatch
	batchBytes = 1 << 20 // bytes after which a batch is sent: larger batches are no faster
	inFlight   = 4       // batches
	opOverhead = 64      // bytes: bound on an operation without its name and object
	retryEvery = 200 * time.Millisecond
	retryFor   = time.Minute      // how long to retry while the server is overloaded
	graceTime  = 10 * time.Second // how long to wait for batches in flight after an interrupt
)

// importer sends lines in batches, several in flight.
//
// Invariants:
//
//  1. Two batches that write the same name are never in flight together. So the last
//     line with a name wins.
//  2. The importer reports results in the order of the lines.
//  3. If an import ends early, the importer waits for all batches in flight. So all lines
//     up to some line are stored, and no later line, unless the server failed.
type importer struct {
	client     *client.Client
	collection string
	parsing    parsing
	ifAbsent   bool // a name that is in use is refused
	keepGoing  bool // a refused line does not end the import
	from       int  // the first line that is imported
	bar        *progressbar.ProgressBar
	refused    func(error)      // called for each line that is left out
	notIndexed func(item) error // called for each line that an index does not take

	first [byNumber + 1]int // first line whose name is of this kind, by naming

	mu    sync.Mutex
	names map[string]bool // names in flight

	tally // only collect uses it
}

// tally counts the results of the lines.
type tally struct {
	stored, replaced, leftOut, unindexed int

	through int   // the last line up to which all lines are done
	beyond  int   // stored objects of lines after through
	refusal error // of the first line that was left out
	failure error // why a batch was not stored
}

// item is a line that becomes an object.
type item struct {
	line   int
	name   string
	data   []byte
	err    error // why the line is left out, or nil
	stored bool
	result client.Result
}

// load is a batch of lines.
type load struct {
	items []item
	size  int           // bytes of the items as they are sent
	last  int           // number of the last line that was read for it
	read  int64         // bytes of the input that were read for it
	done  chan struct{} // closed when the batch was answered, or given up
	err   error         // set before done is closed: why the batch is not stored whole
}

// lineError is the error of one line.
type lineError struct {
	line int
	err  error
}

func (e lineError) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }

func (e lineError) Unwrap() error { return e.err }

// errInterrupted says that the user ended the import.
var errInterrupted = errors.New("interrupted")

// errEnough ends the reading of lines, after a failure that collect has recorded.
var errEnough = errors.New("no more lines are wanted")

// run sends all lines of an input. It returns when all are done, or after a failure. open makes
// a reader whose reads end with a context.
func (i *importer) run(ctx context.Context, open func(context.Context) io.Reader) error {
	i.through = i.from - 1
	reading, enough := context.WithCancelCause(ctx)
	defer enough(nil)
	sending, abandon := context.WithCancel(context.WithoutCancel(ctx))
	defer abandon()
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(graceTime):
			abandon()
		case <-sending.Done():
		}
	})()

	sent := make(chan *load, inFlight)
	var all sync.WaitGroup
	all.Go(func() {
		for l := range sent {
			<-l.done
			if i.collect(l); i.failure != nil || i.refusal != nil && !i.keepGoing {
				enough(errEnough)
			}
		}
	})
	err := i.send(reading, sending, open(reading), sent)
	close(sent)
	all.Wait()
	switch {
	case i.failure != nil:
		return i.failure
	case i.refusal != nil && !i.keepGoing:
		return i.refusal
	case err != nil && ctx.Err() != nil:
		return errInterrupted
	}
	return err
}

// send reads lines and sends them. It returns when all batches that it sent are done.
func (i *importer) send(reading, sending context.Context, r io.Reader, sent chan<- *load) error {
	slots := make(chan struct{}, inFlight)
	var all sync.WaitGroup
	defer all.Wait()
	return i.read(newLines(r, i.parsing.maxLine()), func(l *load) error {
		if !i.claim(l) {
			all.Wait()
			i.claim(l)
		}
		select {
		case slots <- struct{}{}:
		case <-reading.Done():
			return context.Cause(reading)
		}
		l.done = make(chan struct{})
		all.Go(func() {
			l.err = i.store(reading, sending, l.pending())
			i.release(l)
			close(l.done)
			<-slots
		})
		sent <- l
		return context.Cause(reading)
	})
}

// claim marks the names of a load as in flight. It returns false, and marks no name, if one of
// them is in flight already.
func (i *importer) claim(l *load) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for k := range l.items {
		if i.names[l.items[k].name] {
			return false
		}
	}
	if i.names == nil {
		i.names = make(map[string]bool)
	}
	for k := range l.items {
		if n := l.items[k].name; n != "" {
			i.names[n] = true
		}
	}
	return true
}

func (i *importer) release(l *load) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for k := range l.items {
		delete(i.names, l.items[k].name)
		l.items[k].data = nil // frees the memory
	}
}

// read makes loads of lines. A line that can't be imported ends the reading, or becomes an item
// of its load. The lines before it are sent.
func (i *importer) read(lines *lines, send func(*load) error) error {
	l := &load{}
	flush := func() error {
		full := l
		l = &load{}
		if full.last == 0 {
			return nil
		}
		return send(full)
	}
	for before := int64(0); ; before = lines.read {
		text, err := lines.next()
		var long longLineError
		switch {
		case errors.Is(err, io.EOF):
			return flush()
		case errors.Is(err, errEnough), errors.Is(err, context.Canceled), errors.As(err, new(foreignError)):
			return err
		case err != nil && !errors.As(err, &long):
			return errors.Join(flush(), fmt.Errorf("behind line %d: %w", lines.number, err))
		case lines.number < i.from:
			_ = i.bar.Add64(lines.read - before) // ignore errors of the display
			continue
		}
		it := item{line: lines.number, err: err}
		if err == nil {
			i.parse(&it, text)
		}
		if it.err != nil && !i.keepGoing {
			return errors.Join(flush(), lineError{it.line, it.err})
		}
		n := len(it.name) + len(it.data) + opOverhead
		if len(l.items) > 0 && l.size+n > model.MaxObject {
			if err := flush(); err != nil {
				return err
			}
		}
		l.last, l.read = it.line, l.read+lines.read-before
		if it.data == nil && it.err == nil {
			continue // an empty line
		}
		l.items, l.size = append(l.items, it), l.size+n
		if len(l.items) == batchLines || l.size >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// parse sets the content of a line, or the reason why the line can't be imported.
func (i *importer) parse(it *item, text []byte) {
	name, kind, data, err := i.parsing.line(text)
	if err != nil {
		it.err = err
		return
	}
	it.name, it.data = name, bytes.Clone(data)
	other := map[naming]naming{byString: byNumber, byNumber: byString}[kind]
	if line := i.first[other]; other != unnamed && line > 0 {
		names := map[naming]string{byString: "a string", byNumber: "a number"}
		it.err = fmt.Errorf("the member %q is %s, and %s on line %d: the string \"1\" and the number 1 would be one name",
			i.parsing.nameField, names[kind], names[other], line)
		return
	}
	if i.first[kind] == 0 {
		i.first[kind] = it.line
	}
}

// pending lists the items of a load that are not left out.
func (l *load) pending() (list []*item) {
	for k := range l.items {
		if l.items[k].err == nil {
			list = append(list, &l.items[k])
		}
	}
	return list
}

// store stores items. If the Core refuses them together, store tries each half alone. So only
// lines are left out that the Core refuses alone.
func (i *importer) store(reading, sending context.Context, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	results, err := i.try(reading, sending, items)
	switch {
	case err == nil:
		for k, it := range items {
			it.result, it.stored = results[k], true
		}
		return nil
	case len(items) == 1 && aboutLine(err):
		items[0].err = err
		return nil
	case len(items) == 1:
		return lineError{items[0].line, err}
	case !aboutLine(err) && !errors.Is(err, client.ErrQuota): // with a quota, smaller parts may still fit
		return fmt.Errorf("lines %d to %d: %w", items[0].line, items[len(items)-1].line, err)
	}
	half := len(items) / 2
	if err := i.store(reading, sending, items[:half]); err != nil {
		return err
	}
	return i.store(reading, sending, items[half:])
}

// aboutLine reports whether the Core refused a write because of its content. Then other lines
// may be stored.
func aboutLine(err error) bool {
	for _, refusal := range []error{client.ErrDenied, client.ErrPreconditionFailed, client.ErrTooLarge, client.ErrInvalidRequest} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// try sends items. While the server is overloaded, try sends them again: an overloaded server
// changes nothing.
func (i *importer) try(reading, sending context.Context, items []*item) ([]client.Result, error) {
	for began := time.Now(); ; {
		results, err := i.put(sending, items)
		if err == nil || !client.Temporary(err) || time.Since(began) > retryFor {
			if sending.Err() != nil {
				err = errInterrupted
			}
			return results, err
		}
		select {
		case <-time.After(retryEvery):
		case <-reading.Done():
			return nil, err
		}
	}
}

// put stores items with one request.
func (i *importer) put(ctx context.Context, items []*item) ([]client.Result, error) {
	if len(items) == 1 { // a large object fits a PUT, but not a batch
		r, err := i.client.Put(ctx, i.collection, items[0].data, i.options(items[0])...)
		return []client.Result{r}, err
	}
	var b client.Batch
	for _, it := range items {
		b.Put(it.data, i.options(it)...)
	}
	return i.client.PutBatch(ctx, i.collection, &b)
}

func (i *importer) options(it *item) (list []client.PutOption) {
	if it.name == "" {
		return nil
	}
	list = append(list, client.Name(it.name))
	if i.ifAbsent {
		list = append(list, client.IfAbsent())
	}
	return list
}

// collect counts the results of a load, and reports lines that were left out or not indexed.
// Loads must come in the order of their lines.
func (i *importer) collect(l *load) {
	failed := i.failure != nil
	for k := range l.items {
		it := &l.items[k]
		if it.err != nil {
			i.leaveOut(lineError{it.line, it.err})
		}
		if it.stored {
			i.count(it)
		}
		switch done := it.stored || it.err != nil; {
		case !done && i.failure == nil:
			i.through, i.failure = it.line-1, l.err
		case it.stored && i.failure != nil:
			i.beyond++
		}
	}
	if !failed && i.failure == nil {
		i.through = l.last
	}
	i.bar.Describe(fmt.Sprintf("importing, line %d", l.last))
	_ = i.bar.Add64(l.read) // ignore errors of the display
}

// leaveOut notes a line that was left out. Unless the import keeps going, it fails with the
// error of the first such line.
func (i *importer) leaveOut(err lineError) {
	i.leftOut++
	first := i.refusal == nil
	if first {
		i.refusal = err
	}
	if !first || i.keepGoing {
		i.refused(err)
	}
}

// count adds a stored object to the tally.
func (i *importer) count(it *item) {
	i.stored++
	if it.result.Replaced {
		i.replaced++
	}
	if !it.result.NotIndexed {
		return
	}
	i.unindexed++
	if err := i.notIndexed(*it); err != nil && i.failure == nil {
		i.through, i.failure = it.line, err
	}
}
