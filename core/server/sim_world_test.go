package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"motte/core/access"
	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seal"
	"motte/core/seglog"
)

// simFailure is the failure of a history.
type simFailure string

// sim runs one store through one history. It replaces the loop, the disk, the host, the clients
// and the Tasks around the goroutines of a real server. It makes one event happen, and waits
// until all of its effects have come to rest. So its own random numbers determine the order of
// all events.
type sim struct {
	seed       uint64
	rng        *rand.Rand
	root       seal.Root
	hash       uint64
	trace      []string
	disk       *simDisk
	model      *simModel
	newest     model.Head          // newest head that any client saw
	heads      []model.Head        // some heads that clients saw
	chains     map[uint64][16]byte // chain values of heads, by LSN
	repeated   map[string]bool     // contents that were put more than once
	foreign    []model.Head        // heads of forks
	copies     []simCopy
	people     []access.Principal
	number     uint64 // number of the last request
	hostile    bool   // Tasks may be hostile
	full       bool   // the disk refuses writes
	faults     int    // writes refused so far
	refused    bool   // the engine knows of a fault, and serves only reads
	limbo      *simLimbo
	counts     map[string]int
	lastFailed uint64   // last record of the last failed write
	lastWrite  struct { // the last durable write
		name string
		at   int
	}
	branch bool // this is a fork of another history

	disturbed bool                     // a file was changed from outside: the Core's findings are recorded, and not compared
	noticed   int                      // number of alerts since then
	altered   func(mapping.Entry) bool // which records the host has altered; nil: none

	// State of the running process.
	*server
	storage *simStorage
	cancel  context.CancelFunc
	all     sync.WaitGroup
	queue   []event
	clients []*simClient
	asked   []*simRequest // open requests
	fakes   []*simTask
	checked uint64 // LSN up to which engine and model were compared
	ready   bool
}

// simLimbo is the part of a failed write that may be on the disk.
type simLimbo struct {
	model *simModel
	last  uint64
}

func newSim(seed uint64) *sim {
	s := &sim{seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), disk: newSimDisk(), model: newSimModel(), chains: map[uint64][16]byte{}, repeated: map[string]bool{}, counts: map[string]int{}}
	s.random(s.root[:])
	for i := range 6 {
		s.people = append(s.people, access.Principal{0: byte(1 + i), 31: 1})
	}
	s.hostile = seed%3 == 0
	return s
}

func (s *sim) random(p []byte) { _, _ = io.ReadFull(simReader{s.rng}, p) }

type simReader struct{ r *rand.Rand }

func (r simReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.r.Uint32())
	}
	return len(p), nil
}

// lockedReader is a source of randomness for several goroutines.
type lockedReader struct {
	mu sync.Mutex
	r  io.Reader
}

func (l *lockedReader) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.r.Read(p)
}

func (s *sim) chance(percent int) bool { return s.rng.IntN(100) < percent }

// note adds a line to the trace, whose hash identifies a run.
func (s *sim) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", s.hash, line)
	s.hash = h.Sum64()
	if s.trace = append(s.trace, line); len(s.trace) > 4000 {
		s.trace = slices.Clone(s.trace[2000:])
	}
}

func (s *sim) fail(format string, args ...any) { panic(simFailure(fmt.Sprintf(format, args...))) }

// rest lets all goroutines run until each of them waits. No two events happen in the same
// nanosecond, so that no two timers end at the same time.
func (s *sim) rest() {
	time.Sleep(time.Nanosecond)
	synctest.Wait()
}

// open opens a store on a disk, and returns its server. The process may die at any call of the
// storage.
func (s *sim) open(disk *simDisk, rng *rand.Rand, calls int, anchor model.Head) (*server, *simStorage, error) {
	st := &simStorage{rng: rng, disk: disk, direct: true, left: calls}
	sh := newServer(Config{Admin: s.people[0], Anchor: anchor})
	one, other := rand.New(rand.NewPCG(rng.Uint64(), 2)), rand.New(rand.NewPCG(rng.Uint64(), 3))
	err := sh.restore(st, s.root, (&lockedReader{r: simReader{one}}).Read, engine.Config{Random: simReader{other}.Read})
	if err == nil && st.dead {
		err = errSimDead // the process died at a call whose failure a start tolerates
	}
	return sh, st, err
}

// boot starts a process. The disk must have the state of the model as of some LSN: at least the
// durable one, and at most the last that may have been written.
func (s *sim) boot() {
	for {
		calls := 1 << 30
		if s.chance(15) {
			calls = s.rng.IntN(12)
		}
		var err error
		if s.server, s.storage, err = s.open(s.disk, s.rng, calls, s.newest); err == nil {
			break
		}
		if !errors.Is(err, errSimDead) {
			s.fail("the store does not open: %v", err)
		}
		s.note("dies while it starts")
		s.counts["death at start"]++
		if s.chance(50) {
			s.disk.lose(s.rng)
		}
	}
	s.storage.left = 1 << 30
	at := s.log.Position()
	s.settleModel(at.LSN)
	s.model.maker = identity.NewMaker(s.log.Keys().Identity())
	s.note("boot: LSN %d, segment %d, end %d", at.LSN, at.Segment, at.End)
	s.refused, s.ready, s.checked = false, false, 1<<63
	s.chains[at.LSN] = at.Head().Chain
	s.compareState(s.server, s.model, at.LSN)
	s.readAll(s.server, s.model, at.LSN, s.altered)
	s.storage.direct = false
	s.engine.Start(time.Now(), at)
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	sh := s.server
	s.all.Go(func() { sh.writeLog(ctx) })
	s.all.Go(func() { sh.readFetches(ctx) })
	s.all.Go(func() { sh.maintain(ctx) })
	s.all.Go(func() { sh.watchFiles(ctx) })
	s.rest()
	s.pump(1 << 30)
}

// settleModel cuts the model to the LSN of the opened store.
func (s *sim) settleModel(lsn uint64) {
	m := s.model
	if l := s.limbo; l != nil && lsn > m.durable && lsn <= l.last {
		m = l.model.clone()
	}
	if lsn < s.model.durable || !slices.Contains(m.versions(m.durable, m.decided()), lsn) {
		s.fail("the store goes up to record %d; it was durable up to %d, and groups end at %v", lsn, m.durable, m.versions(m.durable, m.decided()))
	}
	if m.cut(lsn); lsn > m.durable {
		s.lastWrite.name = "" // the beginning of the last write is unknown
	}
	m.durable, m.generations = lsn, 0
	s.model, s.limbo = m, nil
}

// stop ends the process: by a kill, or by a power failure.
func (s *sim) stop(power bool) {
	s.note("stop, power %v, %d calls wait", power, s.storage.calls())
	// All records for which Append has returned are durable, whether the engine knows it or not.
	s.learn(s.log.Position().LSN)
	s.storage.kill()
	s.halt()
	if power {
		s.disk.lose(s.rng)
	}
}

// halt ends all goroutines of a process whose storage is dead.
func (s *sim) halt() {
	s.cancel()
	for _, c := range s.clients {
		c.net.Close()
	}
	ended := make(chan struct{})
	go func() {
		s.all.Wait()
		s.server.producers.Wait()
		close(ended)
	}()
	for over := false; !over; {
		for _, happened := range append(s.queue, s.events.take()...) {
			happened(s.engine)
		}
		s.queue = nil
		for _, t := range s.tasks {
			t.close()
		}
		clear(s.tasks)
		for _, c := range s.conns {
			c.shut()
		}
		s.engine.Take()
		select {
		case <-s.events.wake:
		case <-ended:
			over = true
		}
	}
	s.clients, s.asked, s.fakes, s.queue = nil, nil, nil, nil
}

// learn records that all changes up to an LSN are durable.
func (s *sim) learn(lsn uint64) {
	if lsn > s.model.decided() {
		s.fail("record %d is durable, and %d is the last that was appended", lsn, s.model.decided())
	}
	s.model.durable = max(s.model.durable, lsn)
}

// pump acts as the loop: it passes at most n events to the engine, and carries out the outputs.
func (s *sim) pump(n int) {
	for batch := s.rng.IntN(4); n > 0; n-- {
		if s.queue = append(s.queue, s.events.take()...); len(s.queue) == 0 {
			if more := s.engine.Work(); !s.carry() && !more {
				return
			}
			continue
		}
		if s.chance(30) {
			s.engine.Work()
		}
		happened := s.queue[0]
		s.queue = s.queue[1:]
		before := s.engine.Head().LSN
		happened(s.engine)
		if at := s.engine.Head().LSN; at != before {
			s.note("applied up to %d", at)
			s.learn(at)
			s.chains[at] = s.engine.Head().Chain
		}
		s.rest()
		if batch--; batch < 0 {
			s.carry()
			batch = s.rng.IntN(4)
		}
	}
	s.carry()
}

// carry carries out the engine's outputs one by one. It reports whether there were any.
func (s *sim) carry() (any bool) {
	one := func(o engine.Output) {
		any = true
		next := s.dispatch(o)
		next.wake()
		s.rest()
	}
	o := s.engine.Take()
	for _, m := range o.Host {
		s.hear(m)
	}
	for _, g := range o.Append {
		s.appended(g)
		one(engine.Output{Append: []seglog.Group{g}})
	}
	if len(o.Fetch) > 0 {
		one(engine.Output{Fetch: o.Fetch})
	}
	for _, r := range o.Replies {
		one(engine.Output{Replies: []engine.Reply{r}})
	}
	for _, p := range o.Ended {
		one(engine.Output{Ended: []access.Principal{p}})
	}
	for _, f := range o.Frames {
		one(engine.Output{Frames: []engine.TaskFrame{f}})
	}
	for _, m := range o.Host {
		if _, ready := m.(hostwire.Ready); !ready {
			one(engine.Output{Host: []hostwire.Message{m}})
		}
	}
	for _, m := range s.toHost.take() {
		s.host(m)
	}
	s.collect()
	return any
}

// hear records the information about the engine in a message to the host.
func (s *sim) hear(message hostwire.Message) {
	switch m := message.(type) {
	case hostwire.Ready:
		s.ready = true
	case hostwire.Event:
		s.note("event: reason %d", m.Reason)
		if s.disturbed && m.Reason != model.ReasonStorage {
			s.noticed++
			return
		}
		if m.Reason == model.ReasonDamagedRecord || m.Reason == model.ReasonReadFailed || m.Reason < model.ReasonTooSlow && !s.hostile {
			s.fail("an alert for reason %d", m.Reason)
		}
		if m.Reason == model.ReasonStorage {
			if s.refused = !s.refused; s.refused {
				// Writes in flight will not become durable. The part of them that the failed write
				// left may come back at a restart.
				s.limbo = &simLimbo{s.model.clone(), s.lastFailed}
				s.model.cut(s.engine.Head().LSN)
				for _, q := range s.asked {
					q.from = min(q.from, s.model.durable)
				}
			} else {
				s.limbo = nil
			}
		}
	}
}

// appended records a decision of the engine.
func (s *sim) appended(g seglog.Group) {
	if n := len(g) - 1; g[n].Sealed != nil { // after a barrier
		s.note("carries %d records", n)
		s.counts["records carried"] += n
		g = g[:1]
	}
	last := s.model.decided()
	n := &simGroup{first: g[0].LSN, last: g[len(g)-1].LSN, records: g}
	if n.first != last+1 || n.last != last+uint64(len(g)) {
		s.fail("records %d to %d are appended behind record %d", n.first, n.last, last)
	}
	s.note("appends %d to %d: kind %d", n.first, n.last, g[0].Kind)
	s.explain(n, g)
	for i := range g {
		s.model.apply(&g[i])
	}
	if s.model.groups = append(s.model.groups, n); len(s.model.groups) > 3000 {
		s.model.groups = slices.Clone(s.model.groups[1000:])
	}
}

// explain finds the request that led to a group, and compares the group with the expected
// result.
func (s *sim) explain(n *simGroup, g seglog.Group) {
	switch k := g[0].Kind; {
	case k == seglog.KindAlert || k == seglog.KindBarrier || k == seglog.KindDrawn:
		return
	case k == seglog.KindAddPrincipal && len(s.model.catalogue(n.first-1).principals) == 0:
		return // the record of the first administrator
	case s.model.ofShelf(g):
		s.explainShelf(g)
		return
	}
	n.open = true
	for _, q := range s.asked { // also requests of disconnected clients
		n.where = n.where || q.group == nil && q.where() && s.model.explainsWhere(q, g, s.hostile)
	}
	for _, q := range s.asked {
		if q.group == nil && q.changes() && s.model.explains(q, g) {
			if n.other = true; q.unique {
				q.group, n.request, n.open = n, q, false
			}
			return
		}
	}
	if !n.where {
		s.fail("nobody asked for the group %d to %d (kind %d, %x)", n.first, n.last, g[0].Kind, g[0].ID[:4])
	}
}

// compareState compares the engine with the model: every object, right and identity.
func (s *sim) compareState(sh *server, m *simModel, lsn uint64) map[identity.Value]mapping.Entry {
	want, have := m.state(lsn), make(map[identity.Value]mapping.Entry)
	cat := m.catalogue(lsn)
	used := make(map[uint32]int64)
	for c, more := (engine.Cursor{}), true; more; {
		list := sh.engine.Scan(&c, 7)
		more = len(list) > 0
		for _, e := range list {
			used[e.Loc.Segment] += int64(e.Loc.Length)
			if at, erased := m.erased[e.Owner]; erased && at <= lsn {
				continue // not removed yet
			}
			if !cat.has(e.Collection) {
				s.fail("as of record %d there is no collection %d, and %+v is in it", lsn, e.Collection, e)
			}
			have[e.ID.Value()] = e
		}
	}
	for v, o := range want {
		// The data keys may be newer than the log, if the host has rolled the log back. An owner
		// without a key was erased, whatever the log says.
		if at, erased := m.erased[o.owner]; erased && at > lsn && !sh.log.HasKey(o.owner) {
			delete(have, v)
			continue
		}
		if e, ok := have[v]; !ok || e.ID != o.id || e.Owner != o.owner || e.Collection != o.collection || !e.Wrote(o.lsn) {
			s.fail("as of record %d the object %x of collection %d should be there, put by record %d: the engine has %v, %+v", lsn, v[:4], o.collection, o.lsn, ok, e)
		}
	}
	for v, e := range have {
		if want[v] == nil {
			s.fail("as of record %d there should be no object %x in collection %d, of owner %d", lsn, v[:4], e.Collection, e.Owner)
		}
	}
	for segment, n := range sh.engine.Live() {
		if used[segment] != n || n > 0 && !sh.log.Has(segment) {
			s.fail("segment %d: %d bytes are counted as live, %d are; it is there: %v", segment, n, used[segment], sh.log.Has(segment))
		}
		delete(used, segment)
	}
	if len(used) > 0 {
		s.fail("live bytes are not counted: %v", used)
	}
	return have
}

// compareCatalogue compares the engine's catalogue with the model's.
func (s *sim) compareCatalogue(sh *server, m *simModel, lsn uint64) {
	at, piece, _ := sh.engine.Checkpoint()
	got := newSimCatalogue()
	for _, r := range decodePieces(piece) {
		switch r.Kind {
		case seglog.KindAlert, seglog.KindDrawn:
		case seglog.KindShelf:
			got.applyShelf(r.Collection, r.Body)
		case seglog.KindRemovePrincipal: // its data key is not destroyed yet
		case seglog.KindCounters:
			got.owners, got.identifiers, got.numbered = simU32(r.Body), simU32(r.Body[4:]), simU32(r.Body[24:])
		default:
			got.apply(r.Kind, r.Collection, decodeSimEntry(r.Body))
		}
	}
	if want := m.catalogue(lsn); at.LSN != lsn || got.describe() != want.describe() {
		s.fail("as of record %d the catalogue is\n%s, of record %d, and should be\n%s", lsn, got.describe(), at.LSN, want.describe())
	}
}

// readAll reads every object through the server. If damaged is not nil, it says which objects
// may be damaged.
func (s *sim) readAll(sh *server, m *simModel, lsn uint64, damaged func(mapping.Entry) bool) {
	maker := identity.NewMaker(sh.log.Keys().Identity())
	for v, e := range s.compareState(sh, m, lsn) {
		o, _, _, err := sh.readObject(readTries, sh.log.Read, maker, nil, e)
		want := m.object(v, lsn)
		if may := damaged != nil && damaged(e); err != nil && !may {
			s.fail("object %x of record %d, at %+v, can't be read: %v", v[:4], want.lsn, e.Loc, err)
		}
		if err == nil && (string(o.Data) != want.data || string(o.Name) != want.name) {
			s.fail("object %x is %q, and should be %q", v[:4], o.Data, want.data)
		}
	}
}

// simSealed is the offset of the sealed body in a record.
const simSealed = 96

// check compares the engine with the model, if records were applied since the last check.
func (s *sim) check() {
	at := s.engine.Head().LSN
	if at == s.checked || s.disturbed {
		return
	}
	s.checked = at
	for v, e := range s.compareState(s.server, s.model, at) {
		if o := s.model.object(v, at); o.sealed == nil {
			o.sealed = bytes.Clone(s.disk.files[segmentFile(e.Loc.Segment)].data[e.Loc.Offset:][simSealed : simSealed+20])
		}
	}
	s.compareCatalogue(s.server, s.model, at)
}

// simConn is one end of a connection in memory. The simulator has the other end.
type simConn struct {
	mu     sync.Mutex
	cond   *sync.Cond
	in     []byte // bytes for the Core
	eof    bool
	out    []byte // bytes from the Core
	closed bool
}

func newSimConn() *simConn {
	c := &simConn{}
	c.cond = sync.NewCond(&c.mu)
	return c
}

func (c *simConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.in) == 0 && !c.eof && !c.closed {
		c.cond.Wait()
	}
	if c.closed {
		return 0, &net.OpError{Op: "read", Err: net.ErrClosed}
	}
	n := copy(p, c.in)
	if c.in = c.in[n:]; n == 0 && c.eof {
		return 0, io.EOF
	}
	return n, nil
}

func (c *simConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.eof {
		return 0, &net.OpError{Op: "write", Err: net.ErrClosed}
	}
	c.out = append(c.out, p...)
	return len(p), nil
}

func (c *simConn) Close() error { return c.end(&c.closed) }

func (c *simConn) CloseRead() error { return c.end(&c.eof) }

// end closes one direction, or both.
func (c *simConn) end(what *bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	*what = true
	c.cond.Broadcast()
	return nil
}

// send gives bytes to the Core.
func (c *simConn) send(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, p...)
	c.cond.Broadcast()
}

// take takes the bytes that the Core has written.
func (c *simConn) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.out
	c.out = nil
	return p
}

func (c *simConn) LocalAddr() net.Addr              { return nil }
func (c *simConn) RemoteAddr() net.Addr             { return nil }
func (c *simConn) SetDeadline(time.Time) error      { return nil }
func (c *simConn) SetReadDeadline(time.Time) error  { return nil }
func (c *simConn) SetWriteDeadline(time.Time) error { return nil }
