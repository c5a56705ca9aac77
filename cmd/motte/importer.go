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
func (im *importer) run(ctx context.Context, open func(context.Context) io.Reader) error {
	im.through = im.from - 1
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
			if im.collect(l); im.failure != nil || im.refusal != nil && !im.keepGoing {
				enough(errEnough)
			}
		}
	})
	err := im.send(reading, sending, open(reading), sent)
	close(sent)
	all.Wait()
	switch {
	case im.failure != nil:
		return im.failure
	case im.refusal != nil && !im.keepGoing:
		return im.refusal
	case err != nil && ctx.Err() != nil:
		return errInterrupted
	}
	return err
}

// send reads lines and sends them. It returns when all batches that it sent are done.
func (im *importer) send(reading, sending context.Context, r io.Reader, sent chan<- *load) error {
	slots := make(chan struct{}, inFlight)
	var all sync.WaitGroup
	defer all.Wait()
	return im.read(newLines(r, im.parsing.maxLine()), func(l *load) error {
		if !im.claim(l) {
			all.Wait()
			im.claim(l)
		}
		select {
		case slots <- struct{}{}:
		case <-reading.Done():
			return context.Cause(reading)
		}
		l.done = make(chan struct{})
		all.Go(func() {
			l.err = im.store(reading, sending, l.pending())
			im.release(l)
			close(l.done)
			<-slots
		})
		sent <- l
		return context.Cause(reading)
	})
}

// claim marks the names of a load as in flight. It returns false, and marks no name, if one of
// them is in flight already.
func (im *importer) claim(l *load) bool {
	im.mu.Lock()
	defer im.mu.Unlock()
	for k := range l.items {
		if im.names[l.items[k].name] {
			return false
		}
	}
	if im.names == nil {
		im.names = make(map[string]bool)
	}
	for k := range l.items {
		if n := l.items[k].name; n != "" {
			im.names[n] = true
		}
	}
	return true
}

func (im *importer) release(l *load) {
	im.mu.Lock()
	defer im.mu.Unlock()
	for k := range l.items {
		delete(im.names, l.items[k].name)
		l.items[k].data = nil // frees the memory
	}
}

// read makes loads of lines. A line that can't be imported ends the reading, or becomes an item
// of its load. The lines before it are sent.
func (im *importer) read(lines *lines, send func(*load) error) error {
	next := &load{}
	flush := func() error {
		full := next
		next = &load{}
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
			return errors.Join(flush(), fmt.Errorf("after line %d: %w", lines.number, err))
		case lines.number < im.from:
			_ = im.bar.Add64(lines.read - before) // ignore errors of the display
			continue
		}
		it := item{line: lines.number, err: err}
		if err == nil {
			im.parse(&it, text)
		}
		if it.err != nil && !im.keepGoing {
			return errors.Join(flush(), lineError{it.line, it.err})
		}
		n := len(it.name) + len(it.data) + opOverhead
		if len(next.items) > 0 && next.size+n > model.MaxObject {
			if err := flush(); err != nil {
				return err
			}
		}
		next.last, next.read = it.line, next.read+lines.read-before
		if it.data == nil && it.err == nil {
			continue // an empty line
		}
		next.items, next.size = append(next.items, it), next.size+n
		if len(next.items) == batchLines || next.size >= batchBytes {
			if err := flush(); err != nil {
				return err
			}
		}
	}
}

// parse sets the content of a line, or the reason why the line can't be imported.
func (im *importer) parse(it *item, text []byte) {
	name, kind, data, err := im.parsing.line(text)
	if err != nil {
		it.err = err
		return
	}
	it.name, it.data = name, bytes.Clone(data)
	other := map[naming]naming{byString: byNumber, byNumber: byString}[kind]
	if line := im.first[other]; other != unnamed && line > 0 {
		names := map[naming]string{byString: "a string", byNumber: "a number"}
		it.err = fmt.Errorf("the member %q is %s, and %s on line %d: the string \"1\" and the number 1 would be one name",
			im.parsing.nameField, names[kind], names[other], line)
		return
	}
	if im.first[kind] == 0 {
		im.first[kind] = it.line
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
func (im *importer) store(reading, sending context.Context, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	results, err := im.try(reading, sending, items)
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
	if err := im.store(reading, sending, items[:half]); err != nil {
		return err
	}
	return im.store(reading, sending, items[half:])
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
func (im *importer) try(reading, sending context.Context, items []*item) ([]client.Result, error) {
	for began := time.Now(); ; {
		results, err := im.put(sending, items)
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
func (im *importer) put(ctx context.Context, items []*item) ([]client.Result, error) {
	if len(items) == 1 { // a large object fits a PUT, but not a batch
		r, err := im.client.Put(ctx, im.collection, items[0].data, im.options(items[0])...)
		return []client.Result{r}, err
	}
	var b client.Batch
	for _, it := range items {
		b.Put(it.data, im.options(it)...)
	}
	return im.client.PutBatch(ctx, im.collection, &b)
}

func (im *importer) options(it *item) (list []client.PutOption) {
	if it.name == "" {
		return nil
	}
	list = append(list, client.Name(it.name))
	if im.ifAbsent {
		list = append(list, client.IfAbsent())
	}
	return list
}

// collect counts the results of a load, and reports lines that were left out or not indexed.
// Loads must come in the order of their lines.
func (im *importer) collect(l *load) {
	failed := im.failure != nil
	for k := range l.items {
		it := &l.items[k]
		if it.err != nil {
			im.leaveOut(lineError{it.line, it.err})
		}
		if it.stored {
			im.count(it)
		}
		switch done := it.stored || it.err != nil; {
		case !done && im.failure == nil:
			im.through, im.failure = it.line-1, l.err
		case it.stored && im.failure != nil:
			im.beyond++
		}
	}
	if !failed && im.failure == nil {
		im.through = l.last
	}
	im.bar.Describe(fmt.Sprintf("importing, line %d", l.last))
	_ = im.bar.Add64(l.read) // ignore errors of the display
}

// leaveOut notes a line that was left out. Unless the import keeps going, it fails with the
// error of the first such line.
func (im *importer) leaveOut(err lineError) {
	im.leftOut++
	first := im.refusal == nil
	if first {
		im.refusal = err
	}
	if !first || im.keepGoing {
		im.refused(err)
	}
}

// count adds a stored object to the tally.
func (im *importer) count(it *item) {
	im.stored++
	if it.result.Replaced {
		im.replaced++
	}
	if !it.result.NotIndexed {
		return
	}
	im.unindexed++
	if err := im.notIndexed(*it); err != nil && im.failure == nil {
		im.through, im.failure = it.line, err
	}
}
