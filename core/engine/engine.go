// Package engine is the Core's state machine: it decides, and does no I/O.
//
// Inputs are method calls: a prepared request, a frame from a Task, records
// made durable, a record read, a tick. Outputs are collected and taken with
// Take: records to append, answers to send, frames for Tasks, processes to
// start and stop. The engine has one owner, who calls one method at a time;
// it starts no goroutine, reads no clock and no randomness but what it is
// given, so a history of inputs has exactly one outcome.
//
// What holds between any two inputs:
//
//  1. The mapping and the catalogue are what the durable log says, and nothing
//     else: a record is applied when it has become durable, in log order.
//     Decisions on writes also see what is on its way (pending).
//  2. An answer leaves only after all that it depends on is durable.
//  3. An object leaves only if its identity is live in the collection asked,
//     and the principal may read it now, whoever named it (Only-In-Never-Out).
//  4. A Task is believed only while it keeps its contract; whoever breaks it
//     is quarantined and the index is rebuilt from the Core's copy.
//  5. A SEARCH sees every write that was acknowledged before it began: a write
//     is acknowledged after the serving Tasks confirmed it, and a query is
//     queued behind all that was committed before (lazy indexes included).
//
// Each flow stands in one file, its steps in order: write.go, read.go,
// search.go, admin.go; index.go follows the log for one index.
package engine

import (
	"fmt"
	"io"
	"time"

	"motte/core/access"
	"motte/core/control"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/wire"
)

// Config is what an engine starts from.
type Config struct {
	Maker      *identity.Maker
	Random     io.Reader // unpredictable; an error of it is fatal
	History    History
	Admin      access.Principal // the first server administrator, if the log is empty
	KeyInStore bool             // for status: the root key lies beside the data
	Notes      []wire.Reason    // alerts to be recorded at the start
	Now        time.Time
}

// Engine is the state machine. See the package comment.
type Engine struct {
	Config
	catalogue
	objects *mapping.Map
	used    map[uint32]int64 // bytes of live records, by segment
	pieces  int              // of a checkpoint that were restored
	out     Output
	at      log.Position // up to which all is applied
	head    wire.Head    // of it
	began   time.Time

	lsn       uint64                           // of the last record appended
	unsettled []unsettled                      // appended, not yet durable, in order
	pending   map[identity.Value]pendingObject // the newest state on its way, by value
	changing  bool                             // a change of the catalogue is on its way
	held      []func()                         // waiting until it is not

	instances    map[uint64]*index // by the Task's process
	lastInstance uint64
	unsent       map[access.Principal]int // objects in answers that are not sent

	alerts     []wire.Alert // the newest MaxAlerts
	alertCount uint64
	damaged    map[log.Location]bool // reported already
	started    bool
	stopping   bool
	readOnly   bool
	observed   [6]uint64  // what the shell knows, for a status
	storage    [6]uint64  // and of the storage
	compact    []*Request // to be answered when compaction is done
	erase      []erasure
}

// Limits of what is kept in memory.
const (
	MaxAlerts  = 1000 // alerts that can be listed; all are in the log
	maxDamaged = 4096 // damaged records reported once each
)

// unsettled is a record on its way to the disk.
type unsettled struct {
	record log.Record
	flow   flow   // of the record's group; nil: nobody waits
	last   bool   // of its group
	after  []flow // wait for it without a record of their own
}

// settle tells all that wait for the record what became of it.
func (u *unsettled) settle(e *Engine, code wire.Code) {
	if u.last && u.flow != nil {
		u.flow.settled(e, code)
	}
	for _, f := range u.after {
		f.settled(e, code)
	}
}

// flow is what waits for a group of records: with OK all are durable and
// applied, with another code none will be.
type flow interface {
	settled(e *Engine, code wire.Code)
}

// pendingObject is the state that an object will have once what is on its way
// is durable.
type pendingObject struct {
	lsn   uint64
	gone  bool
	state mapping.Entry // unless it is gone
}

// New returns an engine for an empty log. Restore, Replay and Check follow, then
// Start.
func New(c Config) *Engine {
	return &Engine{
		Config:    c,
		catalogue: newCatalogue(),
		objects:   &mapping.Map{},
		used:      make(map[uint32]int64),
		began:     c.Now,
		pending:   make(map[identity.Value]pendingObject),
		instances: make(map[uint64]*index),
		unsent:    make(map[access.Principal]int),
		damaged:   make(map[log.Location]bool),
	}
}

// Replay applies a record that was durable before the start.
func (e *Engine) Replay(r log.Record, at log.Location) error {
	if r.Sealed == nil {
		e.lsn = r.LSN
	}
	return e.apply(&r, at, nil)
}

// Start begins to work on what was replayed; an empty log gets its first
// administrator. The host is told when clients can come.
func (e *Engine) Start(now time.Time, at log.Position) {
	e.Now, e.started = now, true
	e.reach(at)
	if at.LSN == 0 {
		e.cleaned = now.Unix()
	}
	for _, x := range e.indexes() {
		e.startIndex(x)
	}
	for _, r := range e.Notes {
		e.Note(r)
	}
	if len(e.principals) > 0 {
		e.ready()
		return
	}
	e.makeAdmin()
}

// makeAdmin makes the first administrator.
func (e *Engine) makeAdmin() {
	e.change(nil, e.addPrincipal(e.Admin, "admin"), entry{principal: e.Admin, flags: wire.Flags(wire.RightAdmin)}.record(log.KindGrant, 0))
}

// reach notes up to where all is durable and applied.
func (e *Engine) reach(at log.Position) { e.at, e.head = at, at.Head() }

// Check counts what the log led to; the segment of each live record has to be
// there. That of what was swept since the checkpoint may not be.
func (e *Engine) Check(has func(segment uint32) bool) error {
	// An older copy of the log may not know yet who was erased.
	for owner := range e.owners + 1 {
		if !e.History.HasKey(owner) {
			e.erased[owner] = true
		}
	}
	for _, id := range shown(e.principals, access.Principal{}, true) {
		if e.erased[e.principals[id].owner] {
			e.forget(id)
		}
	}
	clear(e.used)
	for _, c := range e.collections {
		c.objects = 0
	}
	e.dropped, e.swept = true, 0
	for i := range mapping.Shards {
		for o := range e.objects.Shard(i) {
			e.use(o, 1)
		}
		e.sweep(0) // that shard
	}
	for segment := range e.used {
		if !has(segment) {
			return fmt.Errorf("%w: segment %d, which holds objects, is missing", log.ErrDamaged, segment)
		}
	}
	return nil
}

func (e *Engine) ready() { e.out.Host = append(e.out.Host, control.Message{Type: control.Ready}) }

// Take returns what is to be done, and forgets it.
func (e *Engine) Take() Output {
	o := e.out
	e.out = Output{}
	return o
}

// Stop refuses all further requests; what is in flight goes on.
func (e *Engine) Stop() { e.stopping = true }

// Observe notes what only the shell knows, for the status: see wire.StatusServer.
func (e *Engine) Observe(numbers [6]uint64) { e.observed = numbers }

// Head returns the head of the log.
func (e *Engine) Head() wire.Head { return e.head }

// Objects returns how many objects the store holds, and the bytes of memory that
// the mapping takes.
func (e *Engine) Objects() (n int, bytes int64) { return e.objects.Size() }

// random fills p. It is not for input to reach that the kernel has none.
func (e *Engine) random(p []byte) {
	if _, err := io.ReadFull(e.Random, p); err != nil {
		panic("engine: no randomness: " + err.Error())
	}
}

// append hands a group to the log; f, if not nil, hears of the outcome.
func (e *Engine) append(f flow, group ...log.Record) {
	for i := range group {
		if group[i].Sealed == nil {
			e.lsn++
			group[i].LSN = e.lsn
		}
		e.unsettled = append(e.unsettled, unsettled{record: group[i], flow: f, last: i == len(group)-1})
	}
	e.out.Append = append(e.out.Append, group)
}

// Committed says that the oldest records on their way are durable, where they
// lie, and where the log ends now.
func (e *Engine) Committed(at []log.Location, end log.Position) {
	e.reach(end)
	for _, loc := range at {
		u := e.unsettled[0]
		e.unsettled[0] = unsettled{}
		e.unsettled = e.unsettled[1:]
		w, _ := u.flow.(*write)
		// A record that the engine made itself always applies.
		_ = e.apply(&u.record, loc, w)
		u.settle(e, wire.OK)
	}
	for _, x := range e.indexes() {
		e.pump(x)
	}
}

// WriteFailed says that what is on its way will not become durable: until Resumed
// the engine answers reads and refuses writes.
func (e *Engine) WriteFailed() {
	lost := e.unsettled
	e.readOnly, e.unsettled, e.out.Append, e.lsn = true, nil, nil, e.at.LSN
	clear(e.pending)
	for i := range lost {
		lost[i].settle(e, wire.StorageFailed)
	}
	e.Note(wire.ReasonStorage)
}

// Resumed says that the log takes records again.
func (e *Engine) Resumed(at log.Position) {
	e.readOnly = false
	e.reach(at)
	if e.Note(wire.ReasonStorage); len(e.principals) == 0 {
		e.makeAdmin()
	}
}

// Note records an alert that says no more than its reason.
func (e *Engine) Note(r wire.Reason) { e.alert(wire.Alert{Reason: r}) }

// Damaged says that a stored record failed its check when it was read.
func (e *Engine) Damaged(entry mapping.Entry) {
	if e.damaged[entry.Loc] || len(e.damaged) >= maxDamaged {
		return
	}
	e.damaged[entry.Loc] = true
	a := wire.Alert{Reason: wire.ReasonDamagedRecord, Segment: entry.Loc.Segment, Offset: entry.Loc.Offset}
	if c := e.byID[entry.Collection]; c != nil {
		a.Collection = c.name
	}
	e.alert(a)
}

// alert records an alert in the log and tells the host's operator its reason.
func (e *Engine) alert(a wire.Alert) {
	a.Time = e.Now.Unix()
	e.out.Host = append(e.out.Host, control.Message{Type: control.Event, Reason: a.Reason, Segment: a.Segment, Offset: a.Offset})
	if e.readOnly {
		e.keepAlert(a)
		return
	}
	e.append(nil, log.Record{Kind: log.KindAlert, Body: wire.AppendAlert(nil, &a)})
}

func (e *Engine) keepAlert(a wire.Alert) {
	e.alertCount++
	e.alerts = append(e.alerts, a)
	if len(e.alerts) > MaxAlerts {
		e.alerts = e.alerts[1:]
	}
}

// apply makes a durable record part of the state; w, if not nil, waits for the
// Tasks that have to follow.
func (e *Engine) apply(r *log.Record, at log.Location, w *write) error {
	if r.Sealed != nil {
		e.applyCarried(r, at)
		return nil
	}
	switch r.Kind {
	case log.KindPut, log.KindDelete:
		e.applyObject(r, at, w)
	case log.KindMark:
	case log.KindAlert:
		a, err := wire.DecodeAlert(r.Body)
		if err != nil {
			return err
		}
		a.LSN = r.LSN
		e.keepAlert(a)
	default:
		return e.applyChange(r)
	}
	return nil
}
