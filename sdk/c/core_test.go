package c

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"testing"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// stored is an object of the collection.
type stored struct {
	id    identity.ID
	owner sdk.Owner
	input string
	void  bool // the object has no input for the index, or the Task refused it
}

// core is a stand-in for the Core. A Task's process is at the other end of the channel. It has a
// collection and a shelf, which outlive the process.
type core struct {
	t       *testing.T
	path    string
	objects map[identity.Value]stored
	shelf   map[uint64][]byte
	config  taskwire.Configuration
	limit   int // KiB of private memory; 0: no limit

	process *exec.Cmd
	stderr  *bytes.Buffer
	conn    net.Conn
	in      *bufio.Reader
	buf     []byte
	seq     uint64
	applied uint64
	failed  map[uint64]taskwire.Failure
	pending map[uint64][]byte // blobs since the last Set
	highest uint64            // number of a blob of this process, or of the shelf
	settled uint64            // number of the newest blob that ever counted on this shelf
	anew    bool              // the shelf was emptied
	fed     int               // inserts to this process
	listed  int               // runs that differed
	written int               // bytes of blobs from all processes
}

// startCore starts a Task and configures it.
func startCore(t *testing.T, task string, config taskwire.Configuration) *core {
	t.Helper()
	c := newCore(t, task, config)
	c.start()
	return c
}

// newCore returns a Core whose Task does not run yet.
func newCore(t *testing.T, task string, config taskwire.Configuration) *core {
	t.Helper()
	c := &core{t: t, path: build(t, task), config: config,
		objects: make(map[identity.Value]stored), shelf: make(map[uint64][]byte)}
	t.Cleanup(func() {
		if c.process != nil {
			c.kill()
		}
	})
	return c
}

// start starts a process, gives it the shelf, and makes it agree with the collection.
func (c *core) start() {
	c.t.Helper()
	c.launch()
	c.sendConfigure()
	for _, number := range slices.Sorted(maps.Keys(c.shelf)) {
		c.seq++
		c.send(append(taskwire.AppendStoredHead(nil, c.seq, number, len(c.shelf[number])), c.shelf[number]...))
		c.confirmed()
	}
	if c.config.Shelf > 0 {
		c.reconcile(100)
		return
	}
	for _, v := range c.values() {
		c.feed(c.objects[v])
	}
}

// launch starts a process, and sends it no frame.
func (c *core) launch() {
	c.t.Helper()
	ours, theirs := sdktest.Pair(c.t)
	c.conn, c.in, c.buf = ours, bufio.NewReader(ours), make([]byte, taskwire.MaxAnswerFrame)
	c.seq, c.applied, c.fed, c.listed = 0, 0, 0, 0
	c.failed, c.pending = make(map[uint64]taskwire.Failure), make(map[uint64][]byte)
	c.highest = c.settled
	file, err := theirs.(*net.UnixConn).File()
	testutil.Must(c.t, err)
	theirs.Close()
	c.stderr = &bytes.Buffer{}
	c.process = exec.Command(c.path)
	if c.limit > 0 {
		c.process = exec.Command("/bin/sh", "-c", fmt.Sprintf("ulimit -d %d && exec %s", c.limit, c.path))
	}
	c.process.ExtraFiles, c.process.Stderr, c.process.Env = []*os.File{file}, c.stderr, []string{}
	testutil.Must(c.t, c.process.Start())
	file.Close()
}

func (c *core) sendConfigure() {
	c.t.Helper()
	c.seq++
	c.send(taskwire.AppendConfigure(nil, c.seq, &c.config))
}

// end closes the channel. The process must then end in order.
func (c *core) end() {
	c.t.Helper()
	c.conn.Close()
	if err := c.process.Wait(); err != nil {
		c.t.Errorf("the Task ended with %v\n%s", err, c.stderr)
	}
	c.process = nil
}

// kill kills the process.
func (c *core) kill() {
	_ = c.process.Process.Kill()
	_ = c.process.Wait()
	c.conn.Close()
	c.process = nil
}

// values returns the values of all objects, in order.
func (c *core) values() []identity.Value {
	return slices.SortedFunc(maps.Keys(c.objects), func(a, b identity.Value) int { return bytes.Compare(a[:], b[:]) })
}

// put stores an object and sends it. It reports whether the Task accepted the input.
func (c *core) put(id identity.ID, owner sdk.Owner, input string) bool {
	c.t.Helper()
	o := stored{id: id, owner: owner, input: input}
	o.void = !c.feed(o)
	c.objects[id.Value()] = o
	return !o.void
}

// putVoid stores an object without an input for the index.
func (c *core) putVoid(id identity.ID) {
	c.t.Helper()
	c.objects[id.Value()] = stored{id: id, void: true}
	c.seq++
	c.send(taskwire.AppendVoid(nil, c.seq, c.seq, id))
	c.confirmed()
}

// putAll stores many objects, of the owners 1 and 2 in turn, and sends them at once.
func (c *core) putAll(ids []identity.ID, input func(int) string) {
	c.t.Helper()
	var frames []byte
	clear(c.failed)
	for i, id := range ids {
		o := stored{id: id, owner: sdk.Owner(1 + i%2), input: input(i)}
		c.objects[id.Value()] = o
		c.seq++
		frames = sdktest.AppendInsert(frames, c.seq, c.seq, id, o.owner, []byte(o.input))
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.conn.Write(frames)
		sent <- err
	}()
	c.confirmed()
	testutil.Must(c.t, <-sent)
	if len(c.failed) > 0 {
		c.t.Fatalf("inputs were refused: %v", c.failed)
	}
}

func (c *core) feed(o stored) bool {
	c.t.Helper()
	c.fed++
	c.seq++
	c.send(sdktest.AppendInsert(nil, c.seq, c.seq, o.id, o.owner, []byte(o.input)))
	c.confirmed()
	return c.failed[c.seq] == 0
}

func (c *core) remove(id identity.ID) {
	c.t.Helper()
	delete(c.objects, id.Value())
	c.seq++
	c.send(taskwire.AppendRemove(nil, c.seq, c.seq, id))
	c.confirmed()
}

// errFailed holds the failures of a query.
var errFailed = map[taskwire.Failure]error{
	taskwire.FailQuery:     sdktest.ErrQueryRefused,
	taskwire.FailExpensive: sdktest.ErrTooExpensive,
	taskwire.FailGone:      sdktest.ErrGone,
}

// ask sends a query. Each identity of the answer must be one that the collection holds.
func (c *core) ask(q taskwire.Query) (found []identity.ID, more bool, err error) {
	c.t.Helper()
	c.seq++
	c.send(taskwire.AppendSearch(nil, c.seq, &q))
	state := taskwire.StateContinues
	for state == taskwire.StateContinues {
		a := c.answer()
		if a.Type == taskwire.Failed {
			if len(found) > 0 || errFailed[a.Failure] == nil {
				c.t.Fatalf("failure %d after %d identities", a.Failure, len(found))
			}
			return nil, false, errFailed[a.Failure]
		}
		state, found = a.State, append(found, a.Found...)
	}
	more = state == taskwire.StateMore
	if len(found) > int(q.Limit) || more && len(found) < int(q.Limit) {
		c.t.Fatalf("%d identities for the limit %d, more: %v", len(found), q.Limit, more)
	}
	seen := make(map[identity.ID]bool)
	for _, id := range found {
		if c.objects[id.Value()].id != id || seen[id] {
			c.t.Fatalf("%x is not live, or was named twice", id)
		}
		seen[id] = true
	}
	return found, more, nil
}

// pages asks a query page by page.
func (c *core) pages(q taskwire.Query) (all []identity.ID) {
	c.t.Helper()
	for more := true; more; {
		page, hasMore, err := c.ask(q)
		testutil.Must(c.t, err)
		all, more = append(all, page...), hasMore
		if len(all) > len(c.objects) {
			c.t.Fatalf("pages have %d objects, and the collection %d", len(all), len(c.objects))
		}
		q.After = sdktest.Next(all)
	}
	return all
}

// save lets the Task save until it has no more to save.
func (c *core) save(most int) {
	c.t.Helper()
	for {
		room := min(most, c.room())
		c.seq++
		c.send(taskwire.AppendSave(nil, c.seq, uint32(room), c.anew))
		c.anew = false
		a := c.answer()
		if a.Type == taskwire.Set {
			c.set(a)
			return
		}
		c.checkBlob(a, room)
	}
}

// room returns the most bytes that the next blob may have. A blob takes one of six sizes, and 256
// bytes beside it.
func (c *core) room() int {
	left := int(c.config.Shelf)
	for _, blobs := range []map[uint64][]byte{c.shelf, c.pending} {
		for _, b := range blobs {
			class := 4 << 10
			for class < 4+len(b) {
				class *= 2
			}
			left -= class + 256
		}
	}
	for class := 128 << 10; class >= 4<<10; class /= 2 {
		if class+256 <= left {
			return min(class-4, taskwire.MaxBlob)
		}
	}
	return 0
}

// checkBlob keeps a blob until the next Set.
func (c *core) checkBlob(a taskwire.Answer, room int) {
	c.t.Helper()
	if a.Type != taskwire.Blob || a.Number <= c.highest || len(a.Blob) > room {
		c.t.Fatalf("an answer of type %d with number %d after %d, and %d bytes of %d", a.Type, a.Number, c.highest, len(a.Blob), room)
	}
	c.highest, c.pending[a.Number] = a.Number, a.Blob
	c.written += len(a.Blob)
}

func (c *core) set(a taskwire.Answer) {
	c.t.Helper()
	for _, number := range a.Dropped {
		if c.shelf[number] == nil {
			c.t.Fatalf("the Task drops blob %d, which the shelf does not have", number)
		}
		delete(c.shelf, number)
	}
	if a.Changed {
		maps.Copy(c.shelf, c.pending)
		for number := range c.pending {
			c.settled = max(c.settled, number)
		}
	}
	clear(c.pending)
}

// shelfSize returns the bytes of all blobs.
func (c *core) shelfSize() (n int) {
	for _, b := range c.shelf {
		n += len(b)
	}
	return n
}

// reconcile compares the Task's entries with the collection, in runs of n objects, and feeds the
// objects that the Task lacks.
func (c *core) reconcile(n int) {
	c.t.Helper()
	parts := slices.Collect(slices.Chunk(c.values(), n))
	if len(parts) == 0 {
		parts = [][]identity.Value{nil}
	}
	var runs []taskwire.Run
	for i, part := range parts {
		run := taskwire.Run{Count: uint32(len(part))}
		for _, v := range part {
			id := c.objects[v].id
			run.Last = v
			run.Sum.Add(&id)
		}
		if i == len(parts)-1 {
			run.Last = identity.Value(bytes.Repeat([]byte{0xff}, identity.ValueSize))
		}
		runs = append(runs, run)
	}
	for from := 0; from < len(runs); from += taskwire.MaxRuns {
		some := runs[from:min(len(runs), from+taskwire.MaxRuns)]
		c.seq++
		c.send(taskwire.AppendRuns(nil, c.seq, some))
		a := c.answer()
		if a.Type != taskwire.Differ || !a.Covers(len(some)) {
			c.t.Fatalf("an answer of type %d with %d bytes to %d runs", a.Type, len(a.Bits), len(some))
		}
		for i := range some {
			if a.Bit(i) {
				var first identity.Value
				if from+i > 0 {
					first = after(runs[from+i-1].Last)
				}
				c.list(first, some[i].Last, parts[from+i])
			}
		}
	}
}

// after returns the next value.
func after(v identity.Value) identity.Value {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i]++; v[i] != 0 {
			break
		}
	}
	return v
}

// list lists a run, and feeds what the Task lacks of it.
func (c *core) list(first, last identity.Value, values []identity.Value) {
	c.t.Helper()
	var ids []identity.ID
	for _, v := range values {
		ids = append(ids, c.objects[v].id)
	}
	c.listed++
	c.seq++
	c.send(taskwire.AppendList(nil, c.seq, first, last, ids))
	a := c.answer()
	if a.Type != taskwire.Lacks || !a.Covers(len(ids)) {
		c.t.Fatalf("an answer of type %d with %d bytes to %d identities", a.Type, len(a.Bits), len(ids))
	}
	for i, v := range values {
		if a.Bit(i) {
			c.feed(c.objects[v])
		}
	}
}

// confirmed waits until all frames are confirmed.
func (c *core) confirmed() {
	c.t.Helper()
	for c.applied < c.seq {
		c.note(c.read())
	}
}

// answer returns the next answer to the last frame.
func (c *core) answer() taskwire.Answer {
	c.t.Helper()
	for {
		a := c.read()
		if a.Type != taskwire.Applied && a.Seq == c.seq {
			return a
		}
		c.note(a)
	}
}

// note notes an Applied, or the refusal of an input.
func (c *core) note(a taskwire.Answer) {
	c.t.Helper()
	switch {
	case a.Seq <= c.applied || a.Seq > c.seq:
		c.t.Fatalf("%+v is not due: %d were sent, %d confirmed", a, c.seq, c.applied)
	case a.Type == taskwire.Applied:
		c.applied = a.Seq
	case a.Type == taskwire.Failed:
		c.failed[a.Seq] = a.Failure
	default:
		c.t.Fatalf("an answer of type %d that was not asked", a.Type)
	}
}

func (c *core) read() taskwire.Answer {
	c.t.Helper()
	a, err := taskwire.ReadAnswer(c.in, c.buf)
	if err != nil {
		c.kill()
		c.t.Fatalf("reading from the Task: %v\n%s", err, c.stderr)
	}
	return a
}

func (c *core) send(frame []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(frame); err != nil {
		c.t.Fatalf("writing to the Task: %v\n%s", err, c.stderr)
	}
}

// converse sends bytes to a fresh process, in parts of a size, and closes that direction. It
// returns all that the Task answers, and how the process ended.
func converse(t *testing.T, path string, said []byte, part int) (answers []byte, stderr string, err error) {
	t.Helper()
	c := &core{t: t, path: path}
	c.launch()
	go func() {
		for p := range slices.Chunk(said, part) {
			if _, err := c.conn.Write(p); err != nil {
				break // the Task has ended
			}
		}
		_ = c.conn.(*net.UnixConn).CloseWrite()
	}()
	answers, readErr := io.ReadAll(c.conn)
	err = c.process.Wait()
	c.conn.Close()
	if readErr != nil && !errors.Is(readErr, os.ErrClosed) && err == nil {
		t.Fatalf("reading from the Task: %v", readErr)
	}
	return answers, c.stderr.String(), err
}
