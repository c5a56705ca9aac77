package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/core/access"
	"motte/core/control"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/task"
	"motte/core/wire"
)

// world is everything around an engine, in memory and under a test's control:
// a disk that keeps records, clients that remember answers, Tasks that answer
// when they are told to. Nothing happens unless a test makes it happen.
type world struct {
	t       testing.TB
	rng     *rand.Rand
	e       *Engine
	now     time.Time
	disk    []log.Record // durable
	pending []log.Group  // appended, not durable
	fetch   []Fetch
	tasks   []*fakeTask // in the order of their start
	answers []answer
	number  uint64
	list    *Request // the last LIST
	keys    ring
	watch   func(groups []log.Group) // sees what becomes durable, before the engine does
}

type ring map[uint32][32]byte

func (r ring) Set(owner uint32, key [32]byte) { r[owner] = key }

// answer is what a client got, all parts of it.
type answer struct {
	number  uint64
	code    wire.Code
	flags   wire.ReplyFlags
	count   uint32
	body    []byte
	kind    wire.Kind // of items
	items   [][]byte
	objects []mapping.Entry
}

// fakeTask is a Task's process: it keeps what it is fed and finds what begins
// with the bytes of the predicate.
type fakeTask struct {
	instance uint64
	frames   [][]byte
	held     map[identity.Value]held
	stopped  bool
	hostile  bool
	config   string
}

type held struct {
	id    identity.ID
	input string
}

var admin = access.Principal{0: 1}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0)}
	w.boot()
	return w
}

// boot starts an engine from the disk.
func (w *world) boot() {
	w.pending, w.fetch, w.tasks = nil, nil, nil
	w.keys = make(ring)
	w.e = New(Config{Maker: identity.NewMaker([]byte("a key")), Random: reader{w.rng}, Keys: w.keys, Admin: admin, Now: w.now})
	for i, r := range w.disk {
		if err := w.e.Replay(r, location(i)); err != nil {
			w.t.Fatalf("replay of record %d: %v", i, err)
		}
	}
	w.e.Start(w.now, w.head())
	w.take()
}

type reader struct{ r *rand.Rand }

func (r reader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.r.Uint32())
	}
	return len(p), nil
}

func location(i int) log.Location { return log.Location{Segment: 1, Offset: uint32(i), Length: 1} }

func (w *world) head() wire.Head {
	h := wire.Head{LSN: uint64(len(w.disk))}
	binary.BigEndian.PutUint64(h.Chain[:], h.LSN)
	return h
}

// take carries out what can be done without a decision of the test's.
func (w *world) take() {
	for {
		o := w.e.Take()
		w.pending = append(w.pending, o.Append...)
		w.fetch = append(w.fetch, o.Fetch...)
		for _, m := range o.Host {
			switch k := w.task(m.Instance); {
			case m.Type == control.StartTask:
				w.tasks = append(w.tasks, &fakeTask{instance: m.Instance, held: make(map[identity.Value]held)})
			case m.Type == control.StopTask && k != nil:
				k.stopped = true
			}
		}
		for _, f := range o.Frames {
			if k := w.task(f.Instance); k != nil {
				k.frames = append(k.frames, f.Frame)
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

func (w *world) task(instance uint64) *fakeTask {
	for _, k := range w.tasks {
		if k.instance == instance {
			return k
		}
	}
	return nil
}

// deliver gives a client its answer. One to a LIST is a part: the client asks
// for the next, and deliver reports that something happened.
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
		w.t.Fatalf("request %d: the head is %d, want %d", r.Number, r.Head.LSN, len(w.disk))
	}
	w.e.Sent(r.Principal, r.Held)
	a.kind, a.items, a.objects = r.Kind, append(a.items, r.Items...), append(a.objects, r.Objects...)
	if list := w.list; list != nil && list.Number == r.Number && r.Code == wire.OK {
		if list.Limit = r.Count; r.Count != 0 {
			w.e.Request(list)
			return true
		}
		r.Count = uint32(len(a.objects))
	}
	a.code, a.flags, a.count, a.body = r.Code, r.Flags, r.Count, r.Body
	return false
}

// answered takes the answer to a request, if it is there.
func (w *world) answered(number uint64) (answer, bool) {
	i := slices.IndexFunc(w.answers, func(a answer) bool { return a.number == number && a.code != 255 })
	if i < 0 {
		return answer{}, false
	}
	a := w.answers[i]
	w.answers = slices.Delete(w.answers, i, i+1)
	return a, true
}

// ask sends a request and returns its number.
func (w *world) ask(p access.Principal, r wire.Request) uint64 {
	w.number++
	r.Number = w.number
	r.NameLen, r.QueryLen, r.ObjectLen = len(r.Name), len(r.Query), len(r.Object)
	q, code := Prepare(r)
	if code != wire.OK {
		w.answers = append(w.answers, answer{number: w.number, code: code})
		return w.number
	}
	q.Principal, q.Conn = p, 1
	if q.Op == wire.OpList {
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
	var at []log.Location
	for _, g := range w.pending[:n] {
		for _, r := range g {
			if want := uint64(len(w.disk)) + 1; r.LSN != want {
				w.t.Fatalf("record has LSN %d, want %d", r.LSN, want)
			}
			at = append(at, location(len(w.disk)))
			w.disk = append(w.disk, r)
		}
	}
	w.pending = w.pending[n:]
	w.e.Committed(at, w.head())
	w.take()
}

// read completes the oldest fetch.
func (w *world) read() {
	f := w.fetch[0]
	w.fetch = w.fetch[1:]
	r := w.disk[f.Entry.Loc.Offset]
	if r.ID != f.Entry.ID {
		w.t.Fatalf("the mapping says that %x lies where %x lies", f.Entry.ID, r.ID)
	}
	o, err := DecodeObject(r.Body)
	w.e.Fetched(f, o, r.LSN, err)
	w.take()
}

// step lets a Task handle its next frame.
func (w *world) step(k *fakeTask) {
	f := k.frames[0]
	k.frames = k.frames[1:]
	for _, a := range k.handle(f) {
		w.e.TaskAnswer(k.instance, a)
	}
	w.take()
}

func (w *world) tick(d time.Duration) {
	w.now = w.now.Add(d)
	w.e.Tick(w.now)
	w.take()
}

// settle lets everything run until nothing moves any more.
func (w *world) settle() {
	for moved := true; moved; {
		moved = false
		for len(w.pending) > 0 {
			w.commit(len(w.pending))
			moved = true
		}
		for len(w.fetch) > 0 {
			w.read()
			moved = true
		}
		for _, k := range slices.Clone(w.tasks) {
			if x := w.e.instances[k.instance]; x != nil && x.state == wire.IndexStarting {
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

// handle is what an honest Task does with a frame.
func (k *fakeTask) handle(f []byte) []task.Answer {
	h, err := task.DecodeHeader(f[:task.HeaderSize])
	if err != nil {
		panic(fmt.Sprintf("the Core sent a bad frame: %v", err))
	}
	p := f[task.HeaderSize:]
	switch h.Type {
	case task.Configure:
		if k.config = string(p[6:]); k.config == "refuse" {
			return []task.Answer{{Type: task.Failed, Seq: h.Seq, Failure: task.FailConfiguration}}
		}
	case task.Insert:
		id := identity.ID(p[8:40])
		delete(k.held, id.Value())
		if input := string(p[40:]); input != "refuse" {
			k.held[id.Value()] = held{id, input}
		} else {
			return []task.Answer{{Type: task.Failed, Seq: h.Seq, Failure: task.FailInput}, {Type: task.Applied, Seq: h.Seq}}
		}
	case task.Remove:
		delete(k.held, identity.ID(p[8:40]).Value())
	case task.Search:
		limit, predicate := int(binary.BigEndian.Uint32(p)), string(p[4:])
		if predicate == "refuse" {
			return []task.Answer{{Type: task.Failed, Seq: h.Seq, Failure: task.FailQuery}}
		}
		a := task.Answer{Type: task.Found, Seq: h.Seq}
		for _, v := range k.held {
			if strings.HasPrefix(v.input, predicate) {
				a.Found = append(a.Found, v.id)
			}
		}
		slices.SortFunc(a.Found, func(x, y identity.ID) int { return slices.Compare(x[:], y[:]) })
		a.Found = a.Found[:min(limit, len(a.Found))]
		return []task.Answer{a}
	}
	return []task.Answer{{Type: task.Applied, Seq: h.Seq}}
}

// idle reports whether nothing is in flight.
func (w *world) idle() bool {
	for _, x := range w.e.indexes() {
		if len(x.queue)+len(x.sent)+len(x.open) > 0 {
			return false
		}
	}
	return len(w.e.unsettled) == 0 && len(w.e.held) == 0
}

// must sends a request, lets everything run, and wants a code.
func (w *world) must(p access.Principal, r wire.Request, want wire.Code) answer {
	w.t.Helper()
	n := w.ask(p, r)
	w.settle()
	a, ok := w.answered(n)
	if !ok {
		w.t.Fatalf("%v: no answer", r.Op)
	}
	if a.code != want {
		w.t.Fatalf("operation %d: code %d, want %d", r.Op, a.code, want)
	}
	return a
}

// registerFake makes the Task "fake" known.
func (w *world) registerFake() {
	row := wire.Row{Operations: wire.TaskSearch | wire.TaskCount | wire.TaskDelete, MaxInput: 64, MaxResults: 1000,
		Deadline: 1000, Memory: 1, Ordered: true}
	w.must(admin, wire.Request{Header: wire.Header{Op: wire.OpRegisterTask}, Name: []byte("fake"), Query: wire.AppendRow(nil, &row)}, wire.OK)
}

// register makes the Task "fake" known, and a collection with an index on it.
func (w *world) register(collection, index string, flags wire.Flags) {
	w.registerFake()
	w.must(admin, wire.Request{Header: wire.Header{Op: wire.OpCreateCollection, Collection: collection}}, wire.OK)
	w.must(admin, wire.Request{Header: wire.Header{Op: wire.OpCreateIndex, Collection: collection, Index: index, Flags: flags}, Name: []byte("fake")}, wire.OK)
}

func put(collection, name, object string) wire.Request {
	return wire.Request{Header: wire.Header{Op: wire.OpPut, Collection: collection}, Name: []byte(name), Object: []byte(object)}
}

func get(collection, name string) wire.Request {
	return wire.Request{Header: wire.Header{Op: wire.OpGet, Collection: collection}, Name: []byte(name)}
}

func byPredicate(op wire.Operation, collection, index, predicate string) wire.Request {
	return wire.Request{Header: wire.Header{Op: op, Collection: collection, Index: index}, Query: []byte(predicate)}
}

func sha(p []byte) [32]byte { return sha256.Sum256(p) }
