// Package engine is the Core's state machine: it decides, and does no I/O.
//
// Inputs are method calls: a prepared request, a frame from a Task, records that became
// durable, a record that was read, a tick. Take returns the outputs: records to append,
// answers to send, frames for Tasks, processes to start and stop. The engine starts no
// goroutine, and gets time and randomness from its caller. So a history of inputs has exactly
// one outcome.
//
// Invariants between any two inputs:
//
//  1. The mapping and the catalogue result from the durable records alone. A record is
//     applied when it has become durable, in log order. Decisions on writes also see
//     uncommitted records (pending).
//  2. An answer leaves only after every record that it depends on is durable.
//  3. An object leaves only if its identity is live in the collection of the request, and
//     the principal may read it now. This holds also for an object that a Task named
//     (Only-In-Never-Out). A query may also show a version that was replaced or deleted
//     after the query was queued.
//  4. A Task that breaks its contract is quarantined, and its index is rebuilt from the
//     stored objects. An input that ends one process after another is set aside.
//  5. A SEARCH sees every write that was acknowledged before it began: a query is queued
//     after all committed changes. All its rounds see the same changes. A write is
//     acknowledged after the serving Tasks have acknowledged it, unless the index is lazy or
//     the Task is slow.
//  6. One input costs a bounded amount of work. Longer work is divided into steps (work.go).
//
// Each flow is in one file, its steps in order: write.go, read.go, query.go with search.go,
// combine.go and finish.go, catalogue.go with records.go and apply.go, status.go. index.go
// feeds one index from the log and enforces the contract of its Task; deadline.go enforces the
// deadline. poison.go sets inputs aside, and has RETRY. apply.go upgrades indexes, and has
// REBUILD. meter.go charges outcomes.
package engine

import (
	"fmt"
	"time"

	"motte/core/access"
	"motte/core/codec"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
)

// Config configures an engine.
type Config struct {
	Maker      *identity.Maker
	Random     seglog.Random
	History    History
	Admin      access.Principal // the first server administrator, if the log has no principal
	NewAdmin   access.Principal // becomes the only server administrator at this start; zero: no change
	NextKey    []byte           // the public key that will replace the Core's own; empty: no key is planned
	KeyInStore bool             // the root key is in the data directory
	Notes      []model.Reason   // reasons of alerts that Start records
	Now        time.Time
}

// Engine is the state machine. See the package comment.
type Engine struct {
	Config
	catalogue
	used         map[uint32]int64 // bytes of live records, by segment, over all collections
	out          Output
	position     seglog.Position // the end of the applied records
	retryRequest func(*Request)
	began        time.Time
	uptime       time.Duration // the engine's clock: see Tick
	at           time.Duration // when it takes its present inputs, counted from began: see At

	lsn         uint64                           // LSN of the last record appended
	uncommitted []uncommitted                    // records that are appended and not yet durable, in order
	pending     map[identity.Value]mapping.Entry // newest uncommitted entry; owner CoreOwner: deleted
	changing    bool                             // a change of the catalogue is uncommitted
	deferred    []func()                         // calls that wait until changing is false
	work        []func() (more bool)             // unfinished work: see the method later
	stride      int                              // objects that a step of work scans, about
	pace                                         // of shelves
	touched     []*collection                    // collections whose indexes must be pumped
	turns       map[access.Principal]turns       // requests that take several events

	instances        map[uint64]*index // the index of each Task process, by instance
	lastInstance     uint64
	backlog          int                      // deliveries in the queues of all indexes
	queuedInputBytes int                      // bytes of inputs in these queues
	unsent           map[access.Principal]int // bytes of unsent long answers
	allUnsent        int                      // the same bytes, of all principals

	alerts             [][]byte // the newest MaxAlerts alerts, encoded by AppendAlert
	alertCount         uint64
	damaged            map[seglog.Location]bool // damaged records with an alert, up to maxDamaged
	damagedAt          time.Time                // when a damaged record was reported last
	unreadableAt       time.Time                // when a failed read was reported last
	stopping, readOnly bool
	diskFull           bool // see SetFull
	measured           model.Measurements
	compact            []*Request     // answered when all dead records are removed
	lastGeneration     uint32         // the highest owner number of a generation since the start
	renewed            bool           // the shelves were renewed for the cleaning pass that is due
	renewedFor         int            // COMPACT requests that waited then
	renewing           bool           // the records of that are uncommitted
	erasing            bool           // the record of an erasure is uncommitted
	verify             []*Request     // answered when every live record was read
	erase              []erasure      // acknowledged when the data keys of their owners are destroyed
	erasingObjects     int            // erasures of erase that are not of a generation of a shelf
	swept              int            // the first erasures of erase, whose objects are all removed
	sweeping           int            // the first erasures of erase, which the present pass completes
	sweptTo            Cursor         // position of the present pass
	sweepWaits         bool           // the sweep waits for indexes that lag behind
	erasures           map[uint32]int // by erased owner: the number of its erasure, counted from the start
	restored           Cursor         // of the checkpoint from which the engine starts
}

// Limits of alerts.
const (
	MaxAlerts   = 1000        // alerts that can be listed; all are in the log
	maxDamaged  = 4096        // damaged records that are reported once each, then one each reportEvery
	reportEvery = time.Minute // time between two reports of failed reads: a lost disk fails all reads
)

// uncommitted is a record that is not durable yet.
type uncommitted struct {
	record       seglog.Record
	write        *write             // the write that the record belongs to; nil: no write
	afterDurable []func(model.Code) // called when the record is durable, or can't become durable
}

// New returns an engine for an empty log. Restore, Replay and Check follow, then
// Start.
func New(c Config) *Engine {
	server := newCollection(0, "")
	e := &Engine{
		Config: c,
		catalogue: catalogue{
			principals:  make(map[access.Principal]*principal),
			labels:      make(map[string]bool),
			tasks:       make(map[string]*executable),
			byName:      map[string]*collection{"": server},
			byID:        map[uint32]*collection{0: server},
			collections: []*collection{server},
			erased:      make(map[uint32]bool),
		},
		stride:    stride,
		pace:      usualPace,
		used:      make(map[uint32]int64),
		began:     c.Now,
		pending:   make(map[identity.Value]mapping.Entry),
		instances: make(map[uint64]*index),
		turns:     make(map[access.Principal]turns),
		erasures:  make(map[uint32]int),
		unsent:    make(map[access.Principal]int),
		damaged:   make(map[seglog.Location]bool),
	}
	e.retryRequest = e.Request
	return e
}

// Replay applies a record that was durable before the start.
func (e *Engine) Replay(r seglog.Record, at seglog.Location) error { return e.apply(&r, at, nil) }

// Start ends the replay. An empty log gets its first administrator. The host is told when
// clients can connect.
func (e *Engine) Start(now time.Time, at seglog.Position) {
	e.position, e.lsn = at, at.LSN
	e.parkAtStart()
	e.Tick(now)
	for _, r := range e.Notes {
		e.Note(r)
	}
	if e.NewAdmin != (access.Principal{}) {
		e.takeOver(e.NewAdmin)
		return
	}
	e.open()
}

// open tells the host that clients can connect. If there is no principal, it makes the first
// administrator before that.
func (e *Engine) open() {
	if len(e.principals) > 0 {
		e.tellHost(hostwire.Ready{})
		return
	}
	e.cleanedAt = e.Now.Unix() // the log has no dead records
	e.openWith(e.Admin, e.newPrincipal(e.Admin, "admin").record(serverID))
}

// openWith appends changes of the catalogue, and a grant that makes admin a server
// administrator, as one group. Clients can connect when the group is durable.
func (e *Engine) openWith(admin access.Principal, group ...seglog.Record) {
	granted := grant{to: admin, rights: model.RightAdmin}.record(serverID)
	e.change(nil, append(group, granted)...)
	e.afterDurable(func(code model.Code) {
		if code == model.OK {
			e.open()
		}
	})
}

// Check ends the replay: it removes objects of erased owners and counts the live records. The
// segment of each live record must exist. Segments of objects that were reclaimed since the
// checkpoint may be missing.
func (e *Engine) Check(has func(segment uint32) bool) error {
	// An older copy of the log may lack the records of erasures.
	for owner := range e.lastOwner + 1 {
		if !e.History.HasKey(owner) {
			e.erased[owner] = true
		}
	}
	for _, id := range visible(e.principals, access.Principal{}, true) {
		if e.erased[e.principals[id].owner] {
			e.forget(id)
		}
	}
	for _, x := range e.indexes {
		e.recoverShelf(x)
	}
	e.resetAccounts()
	for more := len(e.erased) > 0; more; {
		more = e.sweep()
	}
	clear(e.used)
	for _, c := range e.collections {
		e.countAll(c)
	}
	for segment := range e.used {
		if !has(segment) {
			return fmt.Errorf("%w: segment %d, which holds objects, is missing", seglog.ErrDamaged, segment)
		}
	}
	return nil
}

// Take returns the outputs since the last call.
func (e *Engine) Take() (o Output) {
	o, e.out = e.out, o
	return o
}

// Stop refuses all further requests. Requests in flight are still answered.
func (e *Engine) Stop() { e.stopping = true }

// Observe takes the numbers that package server measures, for a STATUS.
func (e *Engine) Observe(m model.Measurements) { e.measured = m }

// Head returns the head of the log.
func (e *Engine) Head() model.Head { return e.position.Head() }

// Objects returns the number of objects in the store, and the bytes of memory of the
// mapping.
func (e *Engine) Objects() (n int, bytes int64) {
	for _, c := range e.collections {
		if !c.isShelf() {
			n += c.objects.Len()
		}
		bytes += c.objects.Bytes()
	}
	return n, bytes
}

// append hands a group to the log, unless the log takes no records. If w is not nil, it waits
// for the Tasks that must acknowledge the group. Until the group is durable, decisions on
// writes see its effect.
func (e *Engine) append(w *write, group ...seglog.Record) {
	if e.readOnly {
		return
	}
	for i := range group {
		r := &group[i]
		if r.Sealed == nil {
			e.lsn++
			r.LSN = e.lsn
		}
		if r.Sealed == nil && (r.Kind == seglog.KindPut || r.Kind == seglog.KindDelete) {
			e.addPending(r)
		}
		e.uncommitted = append(e.uncommitted, uncommitted{record: *r, write: w})
	}
	e.out.Append = append(e.out.Append, group)
}

// afterDurable calls f with OK when all records that are uncommitted now are durable and
// applied, or with another code when they can't become durable.
func (e *Engine) afterDurable(f func(model.Code)) {
	switch n := len(e.uncommitted); {
	case n > 0:
		e.uncommitted[n-1].afterDurable = append(e.uncommitted[n-1].afterDurable, f)
	case e.readOnly:
		f(model.StorageFailed)
	default:
		f(model.OK)
	}
}

// pop removes and returns the first element of a queue, and clears its slot.
func pop[S ~[]T, T any](queue *S) (first T) {
	first, (*queue)[0] = (*queue)[0], first
	*queue = (*queue)[1:]
	return first
}

// Committed says that the oldest uncommitted records are durable. It gets their locations, and
// the new end of the log.
func (e *Engine) Committed(at []seglog.Location, end seglog.Position) {
	e.position = end
	for _, loc := range at {
		u := pop(&e.uncommitted)
		// A record that the engine made itself always applies.
		_ = e.apply(&u.record, loc, u.write)
		e.touch(e.byID[u.record.Collection])
		for _, f := range u.afterDurable {
			f(model.OK)
		}
	}
	e.pumpTouched()
}

// touch notes that the queues of a collection's indexes may have changed. pumpTouched pumps
// only such indexes, so a commit has no cost for the indexes of other collections.
func (e *Engine) touch(c *collection) {
	if c != nil && len(c.indexes) > 0 && !c.touched {
		c.touched = true
		e.touched = append(e.touched, c)
	}
}

func (e *Engine) pumpTouched() {
	for len(e.touched) > 0 {
		c := pop(&e.touched)
		c.touched = false
		for _, x := range c.indexes {
			if e.pump(x); x.successor != nil {
				e.pump(x.successor)
			}
		}
	}
}

// WriteFailed says that the uncommitted records will not become durable. Until Resumed the
// engine answers reads and refuses writes.
func (e *Engine) WriteFailed() {
	e.readOnly, e.out.Append, e.lsn = true, nil, e.position.LSN
	clear(e.pending)
	for _, c := range e.collections {
		e.recount(c)
	}
	e.shelvesFailed()
	for len(e.uncommitted) > 0 {
		for _, f := range pop(&e.uncommitted).afterDurable {
			f(model.StorageFailed)
		}
	}
	e.Note(model.ReasonStorage)
}

// Resumed says that the log takes records again.
func (e *Engine) Resumed(at seglog.Position) {
	e.readOnly, e.position = false, at
	if e.Note(model.ReasonStorage); len(e.principals) == 0 {
		e.open()
	}
}

// SetFull sets whether the disk is full except for the reserve. While it is full, requests
// that make the store grow are refused.
func (e *Engine) SetFull(full bool) { e.diskFull = full }

// Note records an alert that has only a reason.
func (e *Engine) Note(r model.Reason) { e.alert(model.Alert{Reason: r}) }

// Lost reports that another program removed, truncated or replaced a file that the Core needs:
// the segment with this number, or, with 0, another file.
func (e *Engine) Lost(segment uint32) {
	e.alert(model.Alert{Reason: model.ReasonFileLost, Segment: segment})
}

// Damaged says that a stored record failed its check in two reads. Reads of the same record
// cause one alert. If very many records are damaged, an alert each reportEvery says that there
// are more.
func (e *Engine) Damaged(entry mapping.Entry) {
	switch {
	case e.damaged[entry.Loc]:
		return
	case len(e.damaged) < maxDamaged:
		e.damaged[entry.Loc] = true
	case e.Now.Sub(e.damagedAt) < reportEvery:
		return
	}
	e.damagedAt = e.Now
	e.alertAt(model.ReasonDamagedRecord, entry)
}

// Unreadable says that the disk failed to read a stored record. The record may be intact, so
// this is not reported as damage.
func (e *Engine) Unreadable(entry mapping.Entry) {
	if e.Now.Sub(e.unreadableAt) < reportEvery {
		return
	}
	e.unreadableAt = e.Now
	e.alertAt(model.ReasonReadFailed, entry)
}

// alertAt records an alert with the location of a record.
func (e *Engine) alertAt(reason model.Reason, entry mapping.Entry) {
	a := model.Alert{Reason: reason, Segment: entry.Loc.Segment, Offset: entry.Loc.Offset}
	switch c := e.byID[entry.Collection]; {
	case c == nil:
	case c.isShelf():
		a.Collection, a.Index = c.shelfOf.c.name, c.shelfOf.name
	default:
		a.Collection = c.name
	}
	e.alert(a)
}

// raise tells the host about an alert, and returns the record of the alert.
func (e *Engine) raise(a model.Alert) seglog.Record {
	a.Time = e.Now.Unix()
	e.tellHost(hostwire.Event{Reason: a.Reason, Segment: a.Segment, Offset: a.Offset})
	return seglog.Record{Kind: seglog.KindAlert, Body: model.AppendAlert(nil, &a)}
}

func (e *Engine) tellHost(m hostwire.Message) { e.out.Host = append(e.out.Host, m) }

// alert raises an alert, and records it in the log, unless the log takes no records.
func (e *Engine) alert(a model.Alert) {
	rec := e.raise(a)
	if e.readOnly {
		_ = e.apply(&rec, seglog.Location{}, nil) // so that ALERTS shows it until the next start
	}
	e.append(nil, rec)
}

// apply makes a durable record part of the state. If w is not nil, it waits for the Tasks that
// must acknowledge the record.
func (e *Engine) apply(r *seglog.Record, at seglog.Location, w *write) error {
	switch {
	case r.Sealed != nil: // relocated: a new location, unless the object was changed meanwhile
		o, ok := e.live(r.Collection, r.ID.Value())
		if ok && o.ID == r.ID && o.Owner == r.Owner && o.Wrote(r.LSN) {
			o.Loc = at
			e.add(e.byID[r.Collection], o)
		}
	case r.Kind == seglog.KindPut, r.Kind == seglog.KindDelete:
		e.applyObject(r, at, w)
	case r.Kind == seglog.KindAlert:
		if r.LSN > 0 { // 0: a checkpoint has set the LSN, or the alert is not in the log
			copy(r.Body, codec.Writer(nil).U64(r.LSN))
		}
		e.alerts = append(e.alerts[max(0, len(e.alerts)-MaxAlerts+1):], r.Body)
		e.alertCount++
	case r.Kind == seglog.KindDrawn:
		return e.applyDrawn(r)
	case r.Kind != seglog.KindBarrier:
		return e.applyChange(r, w)
	}
	return nil
}
