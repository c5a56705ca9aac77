package engine

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
	"motte/internal/faketask"
)

// world is the environment of an engine, in memory: a disk that keeps records, clients that
// record answers, and Tasks that answer on request. A test controls every event.
type world struct {
	t       testing.TB
	rng     *rand.Rand
	e       *Engine
	now     time.Time
	disk    []seglog.Record   // durable records; a relocated one has its body in Sealed
	places  []seglog.Location // location of each record
	history []segment         // segments, the oldest first
	end     uint32            // end of the newest segment
	lsn     uint64            // LSN of the last record
	pending []seglog.Group    // appended groups that are not durable
	fetch   []Fetch
	tasks   []*fakeTask // Tasks in the order of their start
	answers []answer
	room    map[uint64]int // bytes that answers released, by the number of the request
	number  uint64
	list    *Request                    // last LIST request
	erased  map[uint32]bool             // owners whose data key is destroyed
	watch   func(groups []seglog.Group) // gets groups that become durable, before the engine
	byHand  bool                        // the test runs the remaining steps of work: see work
	calm    bool                        // Tasks save each change once: see faketask.Keeper
	lies    func(a *taskwire.Answer)    // changes the answers of Tasks to frames of the shelf
	byInput bool                        // see fakeTask
	kills   string                      // an input or a predicate over which each process ends; empty: none
}

// segment is a segment of the disk.
type segment struct {
	id    uint32
	first uint64 // LSN of its first record
	gone  bool   // the segment can't be read any more
}

// answer is an answer to a client, with all its parts.
type answer struct {
	number  uint64
	code    model.Code
	flags   wire.ReplyFlags
	count   uint32
	body    []byte
	kind    wire.Kind // kind of the items
	items   [][]byte
	objects []mapping.Entry
}

// fakeTask is a Task's process. It keeps its input, and finds inputs that begin with the
// predicate.
type fakeTask struct {
	*faketask.Keeper
	instance uint64
	frames   [][]byte
	stopped  bool
	hostile  bool
	config   string
	got      map[taskwire.Type]int    // frames that it handled
	lies     func(a *taskwire.Answer) // changes its answers to frames of the shelf

	byInput           bool // it names objects in the order of their inputs
	ignoresCandidates bool
	ignoresOwners     bool // it answers with the objects of all owners, whatever the hint
}

var admin = access.Principal{0: 1}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0), erased: make(map[uint32]bool), room: make(map[uint64]int)}
	w.boot()
	return w
}

// boot starts an engine from the disk.
func (w *world) boot() { w.start(w.replay(nil)) }

// replay returns an engine with the state of the disk: from all records, or from a checkpoint
// and the later records.
func (w *world) replay(from *checkpoint) *Engine {
	e := New(Config{Maker: identity.NewMaker([]byte("a key")), Random: reader{w.rng}.Read, History: w, Admin: admin, Now: w.now})
	first := 0
	if from != nil {
		for i, piece := range from.pieces {
			if err := e.Restore(i, piece); err != nil {
				w.t.Fatalf("piece %d of a checkpoint: %v", i, err)
			}
		}
		first = from.records
	}
	for i := first; i < len(w.disk); i++ {
		if err := e.Replay(w.disk[i], w.places[i]); err != nil {
			w.t.Fatalf("replay of record %d: %v", i, err)
		}
	}
	if err := e.Check(w.has); err != nil {
		w.t.Fatal(err)
	}
	return e
}

// start lets an engine work in this world. Changes that are not durable are lost.
func (w *world) start(e *Engine) {
	w.pending, w.fetch, w.tasks = nil, nil, nil
	w.newSegment()
	w.e = e
	w.e.Start(w.now, w.position())
	w.take()
}

// checkpoint is a checkpoint, as a server keeps it.
type checkpoint struct {
	at      seglog.Position
	records int // number of earlier records on the disk
	pieces  [][]byte
	rest    Cursor // where the next piece begins
}

// begin takes the first piece of a checkpoint. more takes all others.
func (w *world) begin() *checkpoint {
	at, piece, rest := w.e.Checkpoint()
	if at != w.position() {
		w.t.Fatalf("a checkpoint is of %+v, the log ends at %+v", at, w.position())
	}
	return &checkpoint{at, len(w.disk), [][]byte{piece}, rest}
}

func (c *checkpoint) more(e *Engine) bool {
	piece := e.Section(&c.rest, 2)
	if piece != nil {
		c.pieces = append(c.pieces, piece)
	}
	return piece != nil
}

// checkpoint takes a whole checkpoint.
func (w *world) checkpoint() *checkpoint {
	c := w.begin()
	for c.more(w.e) {
	}
	return c
}

type reader struct{ r *rand.Rand }

func (r reader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.r.Uint32())
	}
	return len(p), nil
}

// segmentSize is small, so that a short history has many segments.
const segmentSize = 2048 // bytes

// newSegment makes a new segment, at a start or a resumption.
func (w *world) newSegment() {
	id := uint32(1)
	if n := len(w.history); n > 0 {
		id = w.history[n-1].id + 1
	}
	w.history, w.end = append(w.history, segment{id: id, first: w.lsn + 1}), 128
}

func (w *world) segment() *segment { return &w.history[len(w.history)-1] }

// store makes a record durable.
func (w *world) store(r seglog.Record) seglog.Location {
	length := uint32(seglog.RecordSize(len(r.Body) + len(r.Sealed)))
	if w.end+length > segmentSize {
		w.newSegment()
	}
	at := seglog.Location{Segment: w.segment().id, Offset: w.end, Length: length}
	if w.end += length; r.Sealed == nil {
		w.lsn++
	}
	w.disk, w.places = append(w.disk, r), append(w.places, at)
	return at
}

// has reports whether a segment can be read.
func (w *world) has(id uint32) bool { return id <= w.segment().id && id > 0 && !w.history[id-1].gone }

// body returns the body of a record.
func body(r seglog.Record) []byte {
	if r.Sealed != nil {
		return r.Sealed
	}
	return r.Body
}

// stored returns the record at a location, even if its segment is gone.
func (w *world) stored(at seglog.Location) seglog.Record {
	i := slices.Index(w.places, at)
	if i < 0 {
		w.t.Fatalf("no record was ever at %+v", at)
	}
	return w.disk[i]
}

// data returns the content on the disk for an entry. The record there must match the entry.
func (w *world) data(e mapping.Entry) string {
	w.t.Helper()
	r := w.stored(e.Loc)
	o, err := DecodeObject(body(r))
	if err != nil || r.ID != e.ID || r.Collection != e.Collection || r.Owner != e.Owner || !e.Wrote(r.LSN) {
		w.t.Fatalf("%v: the entry %+v leads to the record %+v", err, e, r)
	}
	return string(o.Data)
}

// position returns the end of the disk.
func (w *world) position() seglog.Position {
	p := seglog.Position{LSN: w.lsn, Segment: w.segment().id, End: w.end}
	binary.BigEndian.PutUint64(p.Chain[:], p.LSN)
	p.SegmentID = w.tag(w.lsn)
	return p
}

// tag returns the ID of the segment to which a record was appended.
func (w *world) tag(lsn uint64) (t seglog.SegmentID) {
	for _, s := range w.history {
		if s.first <= lsn {
			binary.BigEndian.PutUint32(t[:], s.id)
		}
	}
	return t
}

func (w *world) head() model.Head {
	p := w.position()
	return p.Head()
}

// HasKey implements History, together with Contains.
func (w *world) HasKey(owner uint32) bool { return !w.erased[owner] }

// Contains implements History.
func (w *world) Contains(h model.Head) bool { return h.LSN == 0 || h.Segment == w.tag(h.LSN) }

// take carries out the outputs that need no decision of the test.
func (w *world) take() {
	for {
		for !w.byHand && w.e.Work() {
		}
		o := w.e.Take()
		w.pending = append(w.pending, o.Append...)
		w.fetch = append(w.fetch, o.Fetch...)
		for _, message := range o.Host {
			switch m := message.(type) {
			case hostwire.StartTask:
				k := &fakeTask{instance: m.Instance, byInput: w.byInput, Keeper: faketask.NewKeeper(w.rng), got: make(map[taskwire.Type]int)}
				k.Calm, k.lies = w.calm, w.lies
				w.tasks = append(w.tasks, k)
			case hostwire.StopTask:
				if k := w.task(m.Instance); k != nil {
					k.stopped = true
				}
			}
		}
		for _, f := range o.Frames {
			if k := w.task(f.Instance); k != nil {
				k.frames = append(k.frames, slices.Concat(f.Frame, f.Input))
			}
		}
		w.tasks = slices.DeleteFunc(w.tasks, func(k *fakeTask) bool { return k.stopped })
		again := false
		for _, r := range o.Replies {
			again = w.deliver(r) || again
		}
		if !again {
			return
		}
	}
}

// all lists the objects of an engine in order.
func all(e *Engine) []mapping.Entry {
	var c Cursor
	return e.Scan(&c, 1<<30)
}

func (w *world) task(instance uint64) *fakeTask {
	for _, k := range w.tasks {
		if k.instance == instance {
			return k
		}
	}
	return nil
}

// objectsOf returns the objects in an answer.
func objectsOf(r Reply) []mapping.Entry {
	switch c := r.Content.(type) {
	case Objects:
		return c
	case Single:
		return []mapping.Entry{c.Entry}
	}
	return nil
}

// deliver gives an answer to a client. After a part of a LIST the client requests the next part,
// and deliver reports this.
func (w *world) deliver(r Reply) (again bool) {
	i := slices.IndexFunc(w.answers, func(a answer) bool { return a.number == r.Number })
	if i < 0 {
		w.answers = append(w.answers, answer{number: r.Number, code: 255})
		i = len(w.answers) - 1
	}
	a := &w.answers[i]
	if a.code != 255 {
		w.t.Fatalf("request %d was answered twice", r.Number)
	}
	if r.Head != w.head() {
		w.t.Fatalf("request %d: the head is %d, want %d", r.Number, r.Head.LSN, w.lsn)
	}
	w.e.Sent(r.Principal, r.Unsent)
	w.room[r.Number] += r.Reserved
	if f, ok := r.Content.(Frames); ok {
		a.kind, a.items = f.Kind, append(a.items, f.Bodies...)
	}
	a.objects = append(a.objects, objectsOf(r)...)
	if list := w.list; list != nil && list.Number == r.Number && r.Code == model.OK {
		if list.Identity = identity.ID(r.Body); list.Identity != (identity.ID{}) {
			w.e.Request(list)
			return true
		}
		r.Count, r.Body = uint32(len(a.objects)), nil
	}
	a.code, a.flags, a.count, a.body = r.Code, r.Flags, r.Count, r.Body
	return false
}

// answered removes and returns the answer to a request, if there is one.
func (w *world) answered(number uint64) (answer, bool) {
	i := slices.IndexFunc(w.answers, func(a answer) bool { return a.number == number && a.code != 255 })
	if i < 0 {
		return answer{}, false
	}
	a := w.answers[i]
	w.answers = slices.Delete(w.answers, i, i+1)
	return a, true
}

// ask sends a request, and returns its number.
func (w *world) ask(p access.Principal, r wire.Request) uint64 {
	w.number++
	r.Number = w.number
	r.NameLen, r.QueryLen, r.ObjectLen = len(r.Name), len(r.Query), len(r.Object)
	q, code := Prepare(r)
	if code != model.OK {
		w.answers = append(w.answers, answer{number: w.number, code: code})
		return w.number
	}
	q.Principal, q.Conn = p, 1
	if q.Op == model.OpList {
		w.list = q
	}
	w.e.Request(q)
	w.take()
	return w.number
}

// commit makes the next n groups durable.
func (w *world) commit(n int) {
	if w.watch != nil {
		w.watch(w.pending[:n])
	}
	var at []seglog.Location
	for _, g := range w.pending[:n] {
		for _, r := range g {
			if r.Sealed == nil && r.LSN != w.lsn+1 {
				w.t.Fatalf("record has LSN %d, want %d", r.LSN, w.lsn+1)
			}
			at = append(at, w.store(r))
		}
	}
	w.pending = w.pending[n:]
	w.e.Committed(at, w.position())
	w.take()
}

// read completes the oldest requested read.
func (w *world) read() {
	f := w.fetch[0]
	w.fetch = w.fetch[1:]
	w.data(f.Entry)
	if w.readable(f.Entry) {
		r := w.stored(f.Entry.Loc)
		o, err := DecodeObject(body(r))
		w.e.Fetched(f, o, r.LSN, err)
	} else {
		w.e.Fetched(f, Object{}, 0, fmt.Errorf("read: %w", seglog.ErrMoved))
	}
	w.take()
}

// readable reports whether the record of an entry can be read and opened.
func (w *world) readable(e mapping.Entry) bool {
	return w.has(e.Loc.Segment) && !w.erased[e.Owner]
}

// eraseKeys destroys the keys of erased owners.
func (w *world) eraseKeys() {
	list, _, _ := w.e.PendingMaintenance()
	for _, owner := range list {
		w.erased[owner] = true
	}
	w.e.Erased(len(list))
	w.take()
}

// fail lets the disk refuse all writes in flight.
func (w *world) fail() {
	w.pending = nil
	w.e.WriteFailed()
	w.take()
}

// resume lets the disk take records again.
func (w *world) resume() {
	w.newSegment()
	w.e.Resumed(w.position())
	w.take()
}

// records lists the records of a segment that compaction reads.
func (w *world) records(segment uint32) (list []seglog.Record, at []seglog.Location) {
	for i, r := range w.disk {
		if w.places[i].Segment == segment && r.Kind == seglog.KindPut {
			r.Sealed, r.Body = body(r), nil
			list, at = append(list, r), append(at, w.places[i])
		}
	}
	return list, at
}

// compact relocates the live records of a segment, and removes the segment.
func (w *world) compact(segment uint32) {
	w.t.Helper()
	list, at := w.records(segment)
	code := model.Code(255)
	w.e.Relocate(list, at, func(c model.Code) { code = c })
	w.take()
	for len(w.pending) > 0 {
		w.commit(1)
	}
	if live := w.e.Live()[segment]; code != model.OK || live != 0 {
		w.t.Fatalf("relocation ended with code %d; %d bytes of segment %d are live", code, live, segment)
	}
	w.history[segment-1].gone = true
}

// step lets a Task handle its next frame.
func (w *world) step(k *fakeTask) {
	f := k.frames[0]
	k.frames = k.frames[1:]
	if w.kills != "" && strings.HasSuffix(string(f), w.kills) {
		k.stopped = true
		w.e.TaskEnded(k.instance, model.ReasonTaskEnded)
		w.take()
		return
	}
	for _, a := range k.handle(f) {
		w.e.TaskAnswer(k.instance, a)
	}
	w.take()
}

// tick lets time pass like a server whose Tasks read their frames. The first minute counts
// fully. A longer time counts as a delay of the engine.
func (w *world) tick(d time.Duration) {
	w.jump(max(0, d-time.Minute))
	for d = min(d, time.Minute); d > 0; d -= usualTick {
		w.taken()
		w.jump(min(d, usualTick))
	}
}

// taken lets the Tasks' channels take all frames.
func (w *world) taken() {
	for _, k := range w.tasks {
		if x := w.e.instances[k.instance]; x != nil {
			w.e.Left(k.instance, x.seq)
		}
	}
}

// usualTick is the time between two ticks of a server without delays.
const usualTick = 50 * time.Millisecond

// jump lets time pass during a delay of the engine.
func (w *world) jump(d time.Duration) {
	w.now = w.now.Add(d)
	w.e.Tick(w.now)
	w.take()
}

// work runs one step of the remaining work.
func (w *world) work() (more bool) {
	more = w.e.Work()
	w.take()
	return more
}

// settle lets everything run until there is nothing to do.
func (w *world) settle() {
	for moved := true; moved; {
		moved = false
		for w.work() {
		}
		for len(w.pending) > 0 {
			w.commit(len(w.pending))
			moved = true
		}
		for len(w.fetch) > 0 {
			w.read()
			moved = true
		}
		for _, k := range slices.Clone(w.tasks) {
			if x := w.e.instances[k.instance]; x != nil && x.state == model.IndexStarting {
				w.e.TaskStarted(k.instance)
				w.take()
				moved = true
			}
			for !k.stopped && len(k.frames) > 0 {
				w.step(k)
				moved = true
			}
		}
	}
}

// handle is the reaction of an honest Task to a frame.
func (k *fakeTask) handle(f []byte) []taskwire.Answer {
	h, err := taskwire.DecodeHeader(f[:taskwire.HeaderSize])
	if err != nil {
		panic(fmt.Sprintf("the Core sent a bad frame: %v", err))
	}
	p := f[taskwire.HeaderSize:]
	k.got[h.Type]++
	switch h.Type {
	case taskwire.Configure:
		if k.config = string(p[14:]); k.config == "refuse" {
			return []taskwire.Answer{{Type: taskwire.Failed, Seq: h.Seq, Failure: taskwire.FailConfiguration}}
		}
	case taskwire.Insert:
		id, owner, input := faketask.ReadInsert(p)
		e := faketask.Entry{ID: id, Owner: owner, Input: string(input), Void: string(input) == "refuse"}
		if k.Change(id.Value(), e); e.Void {
			return []taskwire.Answer{{Type: taskwire.Failed, Seq: h.Seq, Failure: taskwire.FailInput}, {Type: taskwire.Applied, Seq: h.Seq}}
		}
	case taskwire.Remove:
		k.Change(identity.ID(p[8:40]).Value(), faketask.Entry{})
	case taskwire.Search:
		q := faketask.ReadSearch(p)
		if string(q.Predicate) == "refuse" {
			return []taskwire.Answer{{Type: taskwire.Failed, Seq: h.Seq, Failure: taskwire.FailQuery}}
		}
		var match []identity.ID
		for _, v := range k.Held {
			hinted := q.Owner == taskwire.AllOwners || q.Owner == v.Owner || k.ignoresOwners
			if strings.HasPrefix(v.Input, string(q.Predicate)) && hinted && !v.Void {
				match = append(match, v.ID)
			}
		}
		slices.SortFunc(match, func(a, b identity.ID) int {
			if k.byInput {
				return cmp.Or(cmp.Compare(k.Held[a.Value()].Input, k.Held[b.Value()].Input), a.Compare(b))
			}
			return a.Compare(b)
		})
		if k.ignoresCandidates {
			q.Within = nil
		}
		return []taskwire.Answer{faketask.Answer(h.Seq, q, match)}
	}
	if a, ok := k.Shelf(h, p); ok {
		if k.lies != nil {
			k.lies(&a)
		}
		return []taskwire.Answer{a}
	}
	return []taskwire.Answer{{Type: taskwire.Applied, Seq: h.Seq}}
}

// idle reports whether nothing is in flight.
func (w *world) idle() bool {
	for _, x := range w.e.indexes {
		if len(x.queue)+len(x.sent) > 0 {
			return false
		}
	}
	return len(w.e.uncommitted) == 0 && len(w.e.deferred) == 0
}

// must sends a request, lets everything run, and checks the code. A request that ends a shelf waits
// until its data key is destroyed.
func (w *world) must(p access.Principal, r wire.Request, want model.Code) answer {
	w.t.Helper()
	n := w.ask(p, r)
	w.settle()
	a, ok := w.answered(n)
	if !ok && r.Op != model.OpRemovePrincipal && len(w.e.erase) > 0 {
		w.eraseKeys()
		a, ok = w.answered(n)
	}
	if !ok {
		w.t.Fatalf("%v: no answer", r.Op)
	}
	if a.code != want {
		w.t.Fatalf("operation %d: code %d, want %d", r.Op, a.code, want)
	}
	return a
}

// registerFake registers the Task "fake".
func (w *world) registerFake() {
	row := model.Row{Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete, MaxInput: 64, MaxResults: 1000,
		Deadline: 1000, Memory: 1, Ordered: true}
	w.must(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)}, model.OK)
}

// register registers the Task "fake", and makes a collection with an index of it.
func (w *world) register(collection, index string, flags model.IndexOptions) {
	w.registerFake()
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: collection}, model.OK)
	w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: collection, Index: index, Options: flags, Name: []byte("fake")}, model.OK)
}

func put(collection, name, object string) wire.Request {
	return wire.Request{Op: model.OpPut, Collection: collection, Name: []byte(name), Object: []byte(object)}
}

func get(collection, name string) wire.Request {
	return wire.Request{Op: model.OpGet, Collection: collection, Name: []byte(name)}
}

func byPredicate(op model.Operation, collection, index, predicate string) wire.Request {
	return wire.Request{Op: op, Collection: collection, Index: index, Query: []byte(predicate)}
}

func sha(p []byte) [32]byte { return sha256.Sum256(p) }
