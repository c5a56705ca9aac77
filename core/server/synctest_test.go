package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"motte/client/frames"
	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seal"
	"motte/core/seglog"
	"motte/core/tlsauth"
	"motte/core/wire"
)

// memory is a Storage that can refuse writes. Of each refused write it keeps a part.
type memory struct {
	mu      sync.Mutex
	files   map[string][]byte
	refuses bool
	refused int                               // number of refused writes
	spoil   func(name string, p []byte) error // if set: changes the result of a successful read
	slow    time.Duration                     // duration of an append
	full    bool                              // only the space of the reserve is free for writes
	reserve int64
	keeps   string // name of a file that can't be removed
}

var errFull = errors.New("no space is left")

func newMemory() *memory { return &memory{files: make(map[string][]byte)} }

func (m *memory) Files() (list []seglog.File, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.files)) {
		list = append(list, seglog.File{Name: name, Size: int64(len(m.files[name]))})
	}
	return list, nil
}

// delay sets the duration of each append.
func (m *memory) delay(slow time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slow = slow
}

func (m *memory) Append(name string, p []byte) error {
	m.mu.Lock()
	slow := m.slow
	m.mu.Unlock()
	if slow > 0 {
		time.Sleep(slow)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.full && m.reserve > 0 {
		return syscall.ENOSPC
	}
	old, there := m.files[name]
	if m.refuses {
		if m.refused++; there {
			m.files[name] = append(old, p[:len(p)/2]...)
		}
		return errFull
	}
	m.files[name] = append(old, p...)
	return nil
}

func (m *memory) Create(name string, write func(io.Writer) error) error {
	m.mu.Lock()
	there := m.files[name] != nil
	m.mu.Unlock()
	if there {
		return fs.ErrExist
	}
	return m.Replace(name, write)
}

func (m *memory) Replace(name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuses {
		return errFull
	}
	if m.full && m.reserve > 0 {
		return syscall.ENOSPC
	}
	m.files[name] = b.Bytes()
	return nil
}

func (m *memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if name == m.keeps {
		return syscall.EPERM
	}
	delete(m.files, name)
	return nil
}

func (m *memory) Sync(string) error { return nil }

func (m *memory) Cut(string, int64) error { return nil }

func (m *memory) Reserve(size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if size > m.reserve && m.full {
		return syscall.ENOSPC
	}
	m.reserve = size
	return nil
}

func (m *memory) Rescue(string) error { return fs.ErrNotExist }

func (m *memory) Watch() ([]seglog.File, int64, error) {
	list, err := m.Files()
	return list, 0, err
}

func (m *memory) ReadAt(name string, p []byte, offset int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, there := m.files[name]
	if !there {
		return fs.ErrNotExist
	}
	if offset+int64(len(p)) > int64(len(data)) {
		return io.ErrUnexpectedEOF
	}
	copy(p, data[offset:])
	if m.spoil != nil {
		return m.spoil(name, p)
	}
	return nil
}

// spoiled sets the function that spoils reads; nil ends that.
func (m *memory) spoiled(spoil func(name string, p []byte) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spoil = spoil
}

// refuse begins or ends the refusal of writes. It returns the number of refused writes.
func (m *memory) refuse(yes bool) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuses = yes
	return m.refused
}

// flip alters a byte of a file.
func (m *memory) flip(name string, at int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name][at] ^= 1
}

// copy returns the content that would be left if the machine stopped now.
func (m *memory) copy() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := newMemory()
	for name, p := range m.files {
		c.files[name] = bytes.Clone(p)
	}
	return c
}

// rig is a server on a memory, without sockets. Its loop and its writer run, and the test takes
// the answers in the place of a connection.
type rig struct {
	t *testing.T
	*server
	disk   *memory
	conn   *conn
	number uint64
	cancel context.CancelFunc
	over   chan struct{} // closed to end the loop
	ended  chan struct{} // closed when the loop has ended
	ctx    context.Context
	all    sync.WaitGroup
}

// openRig opens the store in a memory, and begins to serve.
func openRig(t *testing.T, disk *memory) *rig {
	t.Helper()
	l, err := seglog.Open(disk, seal.Root{1}, rand.Read, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, disk: disk, server: newServer(Config{})}
	r.log = l
	r.engine = engine.New(engine.Config{Maker: identity.NewMaker(l.Keys().Identity()), Random: rand.Read, History: l,
		Admin: principalOf(key(1)), Now: time.Now()})
	if err := l.Restore(l.Checkpoints()[0], r.engine.Restore); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Replay(r.engine.Replay), r.engine.Check(l.Has)); err != nil {
		t.Fatal(err)
	}
	if r.listener, err = tlsauth.Listen("127.0.0.1:0", l.Keys().Core[:]); err != nil {
		t.Fatal(err)
	}
	r.listener.Close()
	r.conn = newConn(r.server, nil, nil, principalOf(key(1)))
	r.conn.id = 1
	r.conn.sending <- struct{}{} // the test takes the place of the connection's writer
	r.conns[1], r.last = r.conn, 1
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.engine.Start(time.Now(), l.Position())
	r.over, r.ended = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(r.ended)
		r.loop(r.over)
	}()
	r.all.Go(func() { r.writeLog(r.ctx) })
	return r
}

func (r *rig) close() {
	r.cancel()
	r.all.Wait()
	close(r.over)
	<-r.ended
}

// found returns the object in the answer to a GET.
func found(r engine.Reply) mapping.Entry { return r.Content.(engine.Single).Entry }

// bodies returns the bodies of an answer's frames; nil if it has no frames.
func bodies(r engine.Reply) [][]byte {
	f, _ := r.Content.(engine.Frames)
	return f.Bodies
}

// ask sends a request of a principal, and returns the answer.
func (r *rig) ask(as byte, q *wire.Request) engine.Reply {
	r.t.Helper()
	r.send(as, q)
	for {
		<-r.conn.out.wake
		if a := r.conn.out.take(); len(a) == 1 && a[0].Number == q.Number {
			return a[0]
		} else if len(a) > 0 {
			r.t.Fatalf("%d answers instead of one", len(a))
		}
	}
}

// send sends a request, and returns immediately.
func (r *rig) send(as byte, q *wire.Request) {
	r.t.Helper()
	r.number++
	q.Number = r.number
	q.NameLen, q.QueryLen, q.ObjectLen = len(q.Name), len(q.Query), len(q.Object)
	prepared, code := engine.Prepare(*q)
	if code != model.OK {
		r.t.Fatalf("operation %d: code %d", q.Op, code)
	}
	prepared.Conn, prepared.Principal = 1, principalOf(key(as))
	r.events.put(func(e *engine.Engine) { e.Request(prepared) })
}

// answers takes the answers so far, and returns their codes by the request's number.
func (r *rig) answers() map[uint64]model.Code {
	synctest.Wait()
	codes := make(map[uint64]model.Code)
	for _, a := range r.conn.out.take() {
		codes[a.Number] = a.Code
	}
	return codes
}

func (r *rig) must(want model.Code, q *wire.Request) engine.Reply {
	r.t.Helper()
	a := r.ask(1, q)
	if a.Code != want {
		r.t.Fatalf("operation %d: code %d, want %d", q.Op, a.Code, want)
	}
	return a
}

// filledRig returns a rig with a collection "c". It has the object "one" of the administrator,
// and "hers" of alice, whose key is key(5).
func filledRig(t *testing.T) *rig {
	t.Helper()
	r := openRig(t, newMemory())
	alice := identity.ID(principalOf(key(5)))
	for !r.knows(1) {
		synctest.Wait() // wait until the record of the first administrator is durable
	}
	r.must(model.OK, request(0, model.OpCreateCollection, "c", "", ""))
	r.must(model.OK, &wire.Request{Op: model.OpAddPrincipal, Identity: alice, Name: []byte("alice")})
	r.must(model.OK, &wire.Request{Op: model.OpGrant, Collection: "c", Identity: alice, Rights: model.RightWrite | model.RightRead})
	r.must(model.OK, request(0, model.OpPut, "c", "one", "data of one"))
	if a := r.ask(5, request(0, model.OpPut, "c", "hers", "data of hers")); a.Code != model.OK {
		t.Fatalf("code %d", a.Code)
	}
	return r
}

func (r *rig) knows(as byte) (known bool) {
	r.runOnEngine(func(e *engine.Engine) { known = e.Knows(principalOf(key(as))) })
	return known
}

// tidy runs the maintainer's steps until all dead records are gone. All earlier segments must be
// gone then.
func (r *rig) tidy() {
	r.t.Helper()
	before := r.log.Segments()
	h := newMaintainer(r.server, r.ctx)
	_, err := h.runStep() // the step must process the erasures
	for err = errors.Join(err, h.beginPass(1)); err == nil && !h.passIsOver(); {
		_, err = h.compact()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	for _, s := range before {
		if r.log.Has(s.Number) {
			r.t.Fatalf("segment %d is still there", s.Number)
		}
	}
}

func (r *rig) chores() (erase []uint32) {
	r.runOnEngine(func(e *engine.Engine) { erase, _, _ = e.PendingMaintenance() })
	return erase
}

// TestAnAnswerWaitsForItsClient, but its record does not wait. When the record is read, it may
// have been relocated or removed.
func TestAnAnswerWaitsForItsClient(t *testing.T) {
	for _, c := range []struct {
		name      string
		meanwhile func(r *rig)
		want      model.Code
	}{
		{"nothing", func(*rig) {}, model.OK},
		{"moved", (*rig).tidy, model.OK},
		{"moved twice", func(r *rig) {
			r.tidy()
			r.must(model.OK, request(0, model.OpPut, "c", "two", "data of two")) // goes to the same segment
			r.must(model.OK, request(0, model.OpDelete, "c", "two", ""))
			r.tidy()
		}, model.OK},
		{"replaced", func(r *rig) { r.must(model.OK, request(0, model.OpPut, "c", "hers", "changed")) }, model.OK}, // the older version is shown
		{"replaced, and its segment removed", func(r *rig) {
			r.must(model.OK, request(0, model.OpPut, "c", "hers", "changed"))
			r.tidy()
		}, model.Expired},
		{"put again by its owner, and its segment removed", func(r *rig) {
			if a := r.ask(5, request(0, model.OpPut, "c", "hers", "data of hers")); a.Code != model.OK {
				r.t.Fatalf("code %d", a.Code)
			}
			r.tidy()
		}, model.OK},
		{"put again by another, and its segment removed", func(r *rig) {
			r.must(model.OK, request(0, model.OpPut, "c", "hers", "data of hers"))
			r.tidy()
		}, model.Expired},
		{"deleted, and its segment removed", func(r *rig) {
			r.must(model.OK, request(0, model.OpDelete, "c", "hers", ""))
			r.tidy()
		}, model.Expired},
		{"its owner erased", func(r *rig) {
			r.events.put(func(e *engine.Engine) {
				q, _ := engine.Prepare(wire.Request{Op: model.OpRemovePrincipal, Identity: identity.ID(principalOf(key(5))), Flags: wire.FlagErase})
				q.Principal = principalOf(key(1)) // its answer is not sent
				e.Request(q)
			})
			for r.knows(5) {
				synctest.Wait()
			}
			if erase := r.chores(); len(erase) != 1 {
				r.t.Fatalf("%d keys are to be destroyed", len(erase))
			} else if err := r.log.Erase(erase[0]); err != nil {
				r.t.Fatal(err)
			}
		}, model.Expired},
		{"damaged", func(r *rig) {
			at := found(r.must(model.OK, request(0, model.OpGet, "c", "hers", ""))).Loc
			r.disk.flip(fmt.Sprintf("%08d.seg", at.Segment), int(at.Offset+at.Length/2))
		}, model.Damaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := filledRig(t)
				defer r.close()
				r.must(model.OK, request(0, model.OpDelete, "c", "one", "")) // so that a record is dead
				o := found(r.must(model.OK, request(0, model.OpGet, "c", "hers", "")))
				r.must(model.NotFound, request(0, model.OpGet, "c", "one", ""))
				c.meanwhile(r)
				w := r.conn
				code := w.object(wire.ReplyHeader{Kind: wire.KindObject}, o, true)
				if code != c.want || (len(w.p) > 0) != (code == model.OK) {
					t.Fatalf("code %d, want %d; buffered %d", code, c.want, len(w.p))
				}
				if code == model.OK {
					got, err := frames.DecodeObject(w.p[wire.ReplyHeaderSize:])
					if err != nil || got.Identity != o.ID || string(got.Name) != "hers" || string(got.Data) != "data of hers" {
						t.Fatalf("%v: %q holds %q", err, got.Name, got.Data)
					}
				}
				synctest.Wait() // wait until an alert is written
				alerts := bodies(r.must(model.OK, request(0, model.OpAlerts, "", "", "")))
				if (len(alerts) > 0) != (c.want == model.Damaged) {
					t.Fatalf("%d alerts", len(alerts))
				}
			})
		})
	}
}

// TestWritesGoOnWhenTheDiskDoes: while the disk refuses writes, they fail immediately, and reads
// succeed. Later writes go to a new segment. After the next start exactly the acknowledged
// writes are there.
func TestWritesGoOnWhenTheDiskDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		segments := len(r.log.Segments())
		r.disk.refuse(true)
		r.must(model.StorageFailed, request(0, model.OpPut, "c", "two", "lost"))
		for range 3 {
			time.Sleep(2 * resumeEvery)
			r.must(model.StorageFailed, request(0, model.OpPut, "c", "two", "refused"))
			r.must(model.StorageFailed, request(0, model.OpDelete, "c", "one", ""))
			r.must(model.OK, request(0, model.OpGet, "c", "one", ""))
			r.must(model.NotFound, request(0, model.OpGet, "c", "two", ""))
		}
		if n := r.disk.refuse(true); n != 1+6 && n != 1+5 { // the last attempt may still be due
			t.Errorf("the disk was tried %d times in %v, want once a second", n, 6*resumeEvery)
		}
		r.all.Go(func() { r.maintain(r.ctx) })
		r.must(model.StorageFailed, request(0, model.OpCompact, "", "", ""))
		r.disk.refuse(false)
		time.Sleep(2 * resumeEvery)
		r.must(model.OK, request(0, model.OpPut, "c", "three", "data of three"))
		if n := len(r.log.Segments()); n != segments+1 {
			t.Errorf("%d segments, then %d", segments, n)
		}
		r.must(model.OK, request(0, model.OpCompact, "", "", ""))
		var reasons []model.Reason
		for _, item := range bodies(r.must(model.OK, request(0, model.OpAlerts, "", "", ""))) {
			a, _ := frames.DecodeAlert(item)
			reasons = append(reasons, a.Reason)
		}
		if want := []model.Reason{model.ReasonStorage, model.ReasonStorage}; !slices.Equal(reasons, want) {
			t.Errorf("alerts for %v, want one when it failed and one when it went on", reasons)
		}
		r.close()

		r = openRig(t, r.disk.copy())
		defer r.close()
		r.must(model.OK, request(0, model.OpGet, "c", "one", ""))
		r.must(model.OK, request(0, model.OpGet, "c", "three", ""))
		r.must(model.NotFound, request(0, model.OpGet, "c", "two", ""))
	})
}

// TestACoreEndsThoughTheDiskRefuses: a goroutine that waits for the disk ends with the Core.
func TestACoreEndsThoughTheDiskRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		r.all.Go(func() { r.maintain(r.ctx) })
		r.disk.refuse(true)
		r.must(model.StorageFailed, request(0, model.OpPut, "c", "two", "lost"))
		time.Sleep(resumeEvery / 2)
		r.close()
	})
}

// TestAnAnchorIsPartOfTheHistoryOrNot: a store that lacks its anchor's head is refused, unless
// the loss is accepted. Then an alert is recorded.
func TestAnAnchorIsPartOfTheHistoryOrNot(t *testing.T) {
	l, err := seglog.Open(newMemory(), seal.Root{1}, rand.Read, nil)
	if err != nil {
		t.Fatal(err)
	}
	var heads []model.Head
	for lsn := uint64(1); lsn <= 6; lsn++ { // two records in each segment
		if _, _, err := l.Append([]seglog.Group{{{LSN: lsn, Kind: seglog.KindBarrier}}}); err != nil {
			t.Fatal(err)
		}
		at := l.Position()
		if heads = append(heads, at.Head()); lsn%2 == 0 {
			if err := l.Resume(); err != nil {
				t.Fatal(err)
			}
		}
	}
	change := func(h model.Head, lsn uint64, segment byte) model.Head {
		h.LSN += lsn
		h.Segment[0] ^= segment
		return h
	}
	for _, c := range []struct {
		name   string
		anchor model.Head
		accept bool
		ok     bool
	}{
		{"none", model.Head{}, false, true},
		{"the first record", heads[0], false, true},
		{"the last of a segment", heads[1], false, true},
		{"the first of the next", heads[2], false, true},
		{"the newest", heads[5], false, true},
		{"a newer one, of the same segment", change(heads[5], 1, 0), false, false},
		{"a newer one, of a fork", change(heads[5], 1, 1), false, false},
		{"one of a fork", change(heads[3], 0, 1), false, false},
		{"one after which the branches part", change(heads[1], 1, 0), false, false},
		{"a newer one, and it is accepted", change(heads[5], 1, 0), true, true},
		{"one of a fork, and the loss is accepted", change(heads[3], 0, 1), true, true},
	} {
		s := &server{Config: Config{Anchor: c.anchor, Accept: c.accept}, log: l, engine: engine.New(engine.Config{})}
		if err := s.compareWithAnchor(); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrOlder) {
			t.Errorf("%s: %v", c.name, err)
		}
		if noted := slices.Contains(s.engine.Notes, model.ReasonLossAccepted); noted != c.accept {
			t.Errorf("%s: an accepted loss is recorded: %v", c.name, noted)
		}
	}
}

// TestBuckets: bucket i counts durations below 2^i × 16 µs.
func TestBuckets(t *testing.T) {
	const unit = 16 * time.Microsecond
	for d, want := range map[time.Duration]int{
		0: 0, unit - 1: 0, unit: 1, 2*unit - 1: 1, 2 * unit: 2,
		unit<<18 - 1: 18, unit << 18: hostwire.Buckets - 1, time.Hour: hostwire.Buckets - 1,
	} {
		var h histogram
		if h.add(d); h.counts[want].Load() != 1 {
			t.Errorf("%v is not in bucket %d", d, want)
		}
	}
}
