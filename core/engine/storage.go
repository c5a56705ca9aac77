package engine

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"motte/core/access"
	"motte/core/frame"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/task"
	"motte/core/wire"
)

// What the storage is made of changes beside traffic: a checkpoint is taken piece
// by piece, records are moved. The shell does the work, and asks here what only
// the engine knows.

// cleanEvery is the time within which dead records are given back, however few
// they are.
const cleanEvery = 7 * 24 * time.Hour

// Checkpoint returns the first piece of a checkpoint, the catalogue, and the
// position as of which it holds. The shards of the mapping follow, one Shard
// each, any time later: records behind the position say what else became of them.
func (e *Engine) Checkpoint() (at log.Position, piece []byte) {
	w := frame.Writer(nil)
	add := func(rec log.Record) {
		w = w.U64(rec.LSN).U8(byte(rec.Kind)).U32(rec.Collection).U32(uint32(len(rec.Body))).Bytes(rec.Body)
	}
	byOwner := make(map[uint32]*principal)
	for _, p := range e.principals {
		byOwner[p.owner] = p
	}
	for _, owner := range e.Keys.Owners() {
		n := entry{owner: owner}
		if p := byOwner[owner]; p != nil {
			n.principal, n.label = p.id, p.label
		}
		if owner != log.CoreOwner {
			add(e.wrapped(n).record(log.KindAddPrincipal, 0))
		}
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
	return e.at, w
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

// Alive returns those of the records that are live, in their order.
func (e *Engine) Alive(list []log.Moved) []log.Moved {
	return slices.DeleteFunc(list, func(m log.Moved) bool {
		o, ok := e.objects.Get(m.Value)
		return !ok || o.Loc != m.From
	})
}

// told is a flow that is only told.
type told func(wire.Code)

func (f told) settled(_ *Engine, code wire.Code) { f(code) }

// maxMoved bounds the moves of one record.
const maxMoved = 1 << 16

// Moved says that live records have copies elsewhere; done hears when that is in
// the log, as is then all that was before, or can't be.
func (e *Engine) Moved(list []log.Moved, done func(wire.Code)) {
	if e.readOnly {
		done(wire.StorageFailed)
		return
	}
	group := log.Group{{Kind: log.KindMoved}}
	for some := range slices.Chunk(list, maxMoved) {
		var w frame.Writer
		for _, m := range some {
			w = w.Bytes(m.Value[:]).U32(m.From.Segment).U32(m.From.Offset).U32(m.To.Segment).U32(m.To.Offset)
		}
		group = append(group, log.Record{Kind: log.KindMoved, Body: w})
	}
	e.append(told(done), group...)
}

// applyMoved applies a KindMoved record, of each object: value 16 | from segment 4
// | offset 4 | to segment 4 | offset 4. What was changed meanwhile is not moved.
func (e *Engine) applyMoved(body []byte) error {
	r := frame.NewReader(body)
	for r.Len() > 0 {
		var v identity.Value
		r.Copy(v[:])
		from, offset, to, place := r.U32(), r.U32(), r.U32(), r.U32()
		if o, ok := e.objects.Get(v); ok && o.Loc.Segment == from && o.Loc.Offset == offset {
			o.Loc.Segment, o.Loc.Offset = to, place
			e.put(o)
		}
	}
	return r.Done()
}

// applyErase takes an owner's key, and with it all that it put. It looks at each
// object of the store: some 50 ms for ten million.
func (e *Engine) applyErase(owner uint32, lsn uint64) {
	e.Keys.Forget(owner)
	for i := range mapping.Shards {
		for _, o := range slices.Collect(e.objects.Shard(i)) {
			c := e.byID[o.Collection]
			if o.Owner != owner {
				continue
			}
			if e.remove(o.ID.Value()); c == nil {
				continue
			}
			c.objects--
			for _, x := range c.indexes {
				x.follow(delivery{step: task.Remove, lsn: lsn, gone: o, hasGone: true}, nil, nil)
			}
		}
	}
	if !e.started {
		e.erase = append(e.erase, nil)
	}
}

// Chores returns who waits for a compaction and for an erasure, to be given to
// Done, and whether it is time to give back all dead records.
func (e *Engine) Chores() (compact, erase []*Request, clean bool) {
	compact, erase = e.compact, e.erase
	e.compact, e.erase = nil, nil
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

// ObserveStorage notes what only the shell knows: see wire.StatusStorage.
func (e *Engine) ObserveStorage(numbers [6]uint64) { e.storage = numbers }
