package engine

import (
	"bytes"
	"maps"
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
	e.walk(access.Principal{}, true, func(c *collection, kind log.Kind, n entry) { add(n.record(kind, c.id)) })
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
			e.owners, e.identifiers, e.alertCount, e.cleaned = c.U32(), c.U32(), c.U64(), int64(c.U64())
		} else if rec.Kind < log.KindCreateCollection {
			return frame.ErrMalformed // objects are in the shards alone
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
func (e *Engine) Mark(done func(wire.Code)) {
	e.append(nil, log.Record{Kind: log.KindMark})
	e.then(done)
}

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
	if len(alive) > 1 {
		e.append(nil, alive...)
	}
	e.then(done)
}

// applyErase takes away all that an owner put; its key has to follow, and w, if not
// nil, waits for that. It looks at each object of the store: some 50 ms for ten
// million.
func (e *Engine) applyErase(owner uint32, lsn uint64, w *write) {
	e.erased[owner] = true
	for e.swept = 0; e.swept < mapping.Shards; {
		e.sweep(lsn)
	}
	if w == nil {
		w = &write{} // from before the start: nobody waits
	}
	w.confirms++
	e.erase = append(e.erase, erasure{owner, w})
}

// erasure is the end of an owner: its data key is to be destroyed.
type erasure struct {
	owner uint32
	write *write // waits for that
}

// Chores returns the owners whose data keys are to be destroyed, to be followed by
// Erased; and whether all dead records are to be given back, because it is time or
// somebody waits for it, to be followed by Done.
func (e *Engine) Chores() (erase []uint32, clean bool) {
	e.begun = len(e.compact)
	for e.begun > 0 && e.swept < mapping.Shards { // what was dropped is to be given back, too
		e.sweep(0)
	}
	for _, x := range e.erase {
		erase = append(erase, x.owner)
	}
	return erase, e.begun > 0 || e.Now.Unix()-e.cleaned > int64(cleanEvery/time.Second)
}

// Erased says that the data keys of the first n erasures are destroyed.
func (e *Engine) Erased(n int) {
	for _, x := range e.erase[:n] {
		x.write.confirmed(e, false)
	}
	e.erase = e.erase[n:]
}

// Cleaned notes that all records that were dead at a time have been given back.
func (e *Engine) Cleaned(at time.Time) { e.cleaned = at.Unix() }

// Done answers those who waited for the chores, and not who came later.
func (e *Engine) Done(code wire.Code) {
	for _, q := range e.compact[:e.begun] {
		e.end(q, code)
	}
	e.compact, e.begun = e.compact[e.begun:], 0
}

// report is the flow of a STATUS: all to a server administrator, to others
// what concerns them.
func (e *Engine) report(q *Request, p *principal) wire.Code {
	var items [][]byte
	add := func(s wire.StatusItem) { items = append(items, wire.AppendStatus(nil, &s)) }
	admin := e.isAdmin(p.id)
	if admin {
		s := wire.StatusItem{Kind: wire.StatusServer, Numbers: e.observed[wire.StatusServer]}
		s.Numbers[0], s.Numbers[3] = uint64(e.objects.Len()), e.alertCount
		s.Numbers[5] = uint64(e.Now.Sub(e.began) / time.Second)
		if e.KeyInStore {
			s.Flags |= wire.StatusKeyInStore
		}
		if e.readOnly {
			s.Flags |= wire.StatusReadOnly
		}
		add(s)
		s = wire.StatusItem{Kind: wire.StatusStorage, Numbers: e.observed[wire.StatusStorage]}
		s.Numbers[0] = 0
		for _, n := range e.used {
			s.Numbers[0] += uint64(n)
		}
		if s.Numbers[3] > 0 {
			s.Numbers[3] = uint64(e.Now.Unix()) - s.Numbers[3]
		}
		add(s)
	}
	e.walk(p.id, admin, func(c *collection, kind log.Kind, n entry) {
		rights := c.grants.Rights(p.id)
		all := admin || access.Any(rights, wire.RightRead)
		s := wire.StatusItem{Type: n.dataType, Flags: uint8(n.flags), Collection: c.name, Task: n.task, Principal: n.id, Label: n.label}
		switch kind {
		case log.KindRegisterTask:
			s.Kind, s.Task, s.Row = wire.StatusTask, n.name, e.tasks[n.name]
		case log.KindAddPrincipal:
			s.Kind = wire.StatusPrincipal
		case log.KindGrant:
			s.Kind = wire.StatusGrant
		case log.KindCreateCollection:
			if s.Kind, s.Flags = wire.StatusCollection, uint8(rights); all {
				s.Numbers[0] = c.objects
			}
		case log.KindCreateIndex:
			x := c.index(n.name)
			s.Kind, s.Index, s.State, s.Numbers[3] = wire.StatusIndex, n.name, x.state, x.restarts
			if all { // the bits of an answer tell how many objects there are
				s.Numbers[2], s.Numbers[4] = x.leaked[p.id], x.refused
			}
			if all && x.state == wire.IndexBuilding {
				s.Numbers[0], s.Numbers[1] = x.fed, max(c.objects, x.fed)
			}
		}
		add(s)
	})
	e.reply(q, Reply{Kind: wire.KindStatus, Items: items, Count: uint32(len(items))})
	return wire.OK
}

// reportAlerts answers an ALERTS with the newest MaxAlerts, oldest first.
func (e *Engine) reportAlerts(q *Request) wire.Code {
	r := Reply{Kind: wire.KindAlert, Count: uint32(len(e.alerts))}
	for i := range e.alerts {
		r.Items = append(r.Items, wire.AppendAlert(nil, &e.alerts[i]))
	}
	e.reply(q, r)
	return wire.OK
}
