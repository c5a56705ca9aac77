package engine

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"motte/core/access"
	"motte/core/frame"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/wire"
)

// What the storage is made of changes beside traffic: a checkpoint is taken piece
// by piece, records are moved. The shell does the work, and asks here what only
// the engine knows.

// cleanEvery is the time within which dead records are given back, however few
// they are.
const cleanEvery = 7 * 24 * time.Hour

// Checkpoint returns the first piece of a checkpoint, the catalogue, and the
// position as of which it holds; false: not before all erasures are done, which only
// the log remembers. The shards of the mapping follow, one Shard each, any time
// later: records behind the position say what else became of them.
func (e *Engine) Checkpoint() (at log.Position, piece []byte, ok bool) {
	w := frame.Writer(nil)
	add := func(rec log.Record) {
		w = w.U64(rec.LSN).U8(byte(rec.Kind)).U32(rec.Collection).U32(uint32(len(rec.Body))).Bytes(rec.Body)
	}
	for _, id := range shown(e.principals, access.Principal{}, true) {
		p := e.principals[id]
		add(entry{principal: id, owner: p.owner, label: p.label}.record(log.KindAddPrincipal, 0))
	}
	grants := func(collection uint32, g access.Grants) {
		for _, id := range shown(g, access.Principal{}, true) {
			add(entry{principal: id, flags: wire.Flags(g[id])}.record(log.KindGrant, collection))
		}
	}
	grants(0, e.server)
	for _, name := range slices.Sorted(maps.Keys(e.tasks)) {
		add(entry{name: name, rest: wire.AppendRow(nil, e.tasks[name])}.record(log.KindRegisterTask, 0))
	}
	for _, c := range e.collections {
		add(entry{name: c.name}.record(log.KindCreateCollection, c.id))
		grants(c.id, c.grants)
		for _, x := range c.indexes {
			add(x.entry.record(log.KindCreateIndex, c.id))
		}
	}
	for i := range e.alerts {
		add(log.Record{LSN: e.alerts[i].LSN, Kind: log.KindAlert, Body: wire.AppendAlert(nil, &e.alerts[i])})
	}
	add(log.Record{LSN: e.at.LSN, Kind: log.KindCounters, Body: frame.Writer(nil).
		U32(e.owners).U32(e.identifiers).U64(e.alertCount).U64(uint64(e.cleaned))})
	return e.at, w, len(e.erase) == 0
}

// Shard returns another piece of a checkpoint, one for each shard of the mapping.
func (e *Engine) Shard(i int) []byte { return e.objects.AppendShard(nil, i) }

// Restore takes the pieces of a checkpoint, in their order.
func (e *Engine) Restore(piece []byte) error {
	if e.pieces++; e.pieces > mapping.Shards+1 {
		return frame.ErrMalformed
	} else if e.pieces > 1 {
		return e.objects.LoadShard(e.pieces-2, piece)
	}
	r := frame.NewReader(piece)
	for r.Len() > 0 {
		rec := log.Record{LSN: r.U64(), Kind: log.Kind(r.U8()), Collection: r.U32()}
		if rec.Body = bytes.Clone(r.Take(int(r.U32()))); rec.Kind == log.KindCounters {
			c := frame.NewReader(rec.Body)
			e.lsn, e.owners, e.identifiers, e.alertCount, e.cleaned = rec.LSN, c.U32(), c.U32(), c.U64(), int64(c.U64())
		} else if err := e.apply(&rec, log.Location{}, nil); err != nil {
			return err
		}
	}
	return r.Done()
}

// Live returns the bytes of live records in each segment.
func (e *Engine) Live() map[uint32]int64 { return maps.Clone(e.used) }

// Mark appends a record that does nothing; done hears when it, and all before it,
// is durable and applied, or can't be.
func (e *Engine) Mark(done func(wire.Code)) { e.tell(done, log.Record{Kind: log.KindMark}) }

// Carry appends those of the records, which lie where at says, that are live, once
// more; done hears when they have their new places. It keeps what they hold until
// then.
func (e *Engine) Carry(records []log.Record, at []log.Location, done func(wire.Code)) {
	alive := log.Group{{Kind: log.KindMark}} // it proves that all before is durable: what is carried can't
	for i := range records {
		if o, ok := e.objects.Get(records[i].ID.Value()); ok && o.Loc == at[i] {
			alive = append(alive, records[i])
		}
	}
	if len(alive) == 1 {
		done(wire.OK)
		return
	}
	e.tell(done, alive...)
}

func (e *Engine) tell(done func(wire.Code), group ...log.Record) {
	if e.readOnly {
		done(wire.StorageFailed)
	} else {
		e.append(nil, group...)
		e.then(done)
	}
}

// applyCarried gives an object, unless it was changed meanwhile, its new place.
func (e *Engine) applyCarried(r *log.Record, at log.Location) {
	o, ok := e.objects.Get(r.ID.Value())
	if ok && o.ID == r.ID && o.Owner == r.Owner && o.Wrote(r.LSN) {
		o.Loc = at
		e.put(o)
	}
}

// applyErase takes away all that an owner put; its key has to follow. It looks at
// each object of the store: some 50 ms for ten million.
func (e *Engine) applyErase(owner uint32, lsn uint64, w *write) {
	e.erased[owner] = true
	for e.dropped, e.swept = true, 0; e.dropped; {
		e.sweep(lsn)
	}
	e.erase = append(e.erase, erasure{owner, w})
	if w != nil {
		w.confirms++
	}
}

// erasure is the end of an owner: its data key is to be destroyed.
type erasure struct {
	owner  uint32
	waiter *write // nil: nobody waits
}

// Chores returns who waits for a compaction, to be given to Done; the owners whose
// data keys are to be destroyed, to be followed by Erased; and whether it is time to
// give back all dead records.
func (e *Engine) Chores() (compact []*Request, erase []uint32, clean bool) {
	for len(e.compact) > 0 && e.dropped { // what was dropped is to be given back, too
		e.sweep(0)
	}
	compact, e.compact = e.compact, nil
	for _, x := range e.erase {
		erase = append(erase, x.owner)
	}
	return compact, erase, e.Now.Unix()-e.cleaned > int64(cleanEvery/time.Second)
}

// Cleaned notes that all records that were dead at a time have been given back.
func (e *Engine) Cleaned(at time.Time) { e.cleaned = at.Unix() }

// Done answers who waited.
func (e *Engine) Done(waiting []*Request, code wire.Code) {
	for _, q := range waiting {
		e.end(q, code)
	}
}

// Erased says that the data keys of the first n erasures are destroyed.
func (e *Engine) Erased(n int) {
	for _, x := range e.erase[:n] {
		if x.waiter != nil {
			x.waiter.confirmed(e, false)
		}
	}
	e.erase = e.erase[n:]
}

// ObserveStorage notes what only the shell knows: see wire.StatusStorage.
func (e *Engine) ObserveStorage(numbers [6]uint64) { e.storage = numbers }
