package engine

import (
	"slices"

	"motte/core/access"
	"motte/core/frame"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/task"
	"motte/core/wire"
)

// write is the flow of a PUT, a DELETE, a batch, the deletions of a DELETE by
// predicate, or a change of the catalogue: decide, append, apply, let the Tasks
// follow, or the data key be destroyed, answer.
type write struct {
	req      *Request
	ids      []byte          // for the answer
	count    uint32          // for the answer
	confirms int             // missing: of the disk, and of Tasks
	flags    wire.ReplyFlags // a Task refused an input, there may be more to delete
	code     wire.Code
	owner    uint32 // who is erased
}

// write decides a request that changes objects (paper, section 5, "PUT
// Operation"; design, section 5). Either all of its writes are appended as
// one group, or the first that is not allowed decides the answer and nothing
// is changed.
func (e *Engine) write(q *Request, p *principal) wire.Code {
	c, code := e.collectionFor(q, wire.RightWrite|wire.RightDelete)
	if code != wire.OK {
		return code
	}
	if slices.ContainsFunc(c.indexes, (*index).full) {
		return wire.Overloaded
	}
	w := &write{req: q}
	d := decision{e: e, c: c, p: p, rights: c.grants.Rights(p.id), staged: make(map[identity.Value]mapping.Entry)}
	group := make(log.Group, len(q.Writes))
	for i := range q.Writes {
		if group[i], code = d.decide(&q.Writes[i]); code != wire.OK {
			w.code = code
			w.wait(e)
			return wire.OK
		}
		w.ids = append(w.ids, group[i].ID[:]...)
	}
	w.add(e, group)
	w.wait(e)
	return wire.OK
}

// add sends a group of the flow's records on its way to the disk. Until they
// are durable, decisions on writes see what they will do.
func (w *write) add(e *Engine, g log.Group) {
	w.count += uint32(len(g))
	e.append(w, g...)
	for i := range g {
		r := &g[i]
		e.pending[r.ID.Value()] = mapping.Entry{ID: r.ID, LSN: r.LSN, Collection: r.Collection, Owner: r.Owner}
	}
}

// wait holds the answer back until all that is on its way now is durable: what
// was decided depends on it.
func (w *write) wait(e *Engine) {
	w.confirms++
	e.then(func(code wire.Code) {
		w.code = max(w.code, code)
		w.confirmed(e, false)
	})
}

// decision looks at the writes of one request in order; each sees what those
// before it will do.
type decision struct {
	e      *Engine
	c      *collection
	p      *principal
	rights wire.Rights
	staged map[identity.Value]mapping.Entry // as pending
}

// current returns the object as it will be once all that is on its way is
// durable.
func (d *decision) current(v identity.Value) (mapping.Entry, bool) {
	s, ok := d.staged[v]
	if !ok {
		s, ok = d.e.pending[v]
	}
	if ok {
		return s, s.Owner != log.CoreOwner
	}
	return d.e.live(d.c, v)
}

// decide makes the record of one write, if it is allowed.
func (d *decision) decide(w *Write) (rec log.Record, code wire.Code) {
	v := w.Identity.Value()
	if len(w.Name) > 0 {
		v = d.e.Maker.Named(d.c.id, w.Name)
	} else if w.Op == wire.OpPut {
		d.e.random(v[:])
	}
	cur, exists := d.current(v)
	if w.Op == wire.OpDelete {
		d.staged[v] = mapping.Entry{Owner: log.CoreOwner}
		return deletion(cur), d.mayRemove(w, cur, exists)
	}
	id := d.e.Maker.ID(d.c.id, v, w.Sum)
	d.staged[v] = mapping.Entry{ID: id, Collection: d.c.id, Owner: d.p.owner}
	return log.Record{Kind: log.KindPut, Collection: d.c.id, Owner: d.p.owner, ID: id,
		Body: appendObject(w.Name, w.Query, w.Object)}, d.mayPut(w, cur, exists)
}

// mayPut decides whether a PUT may make an object, or replace the current one.
func (d *decision) mayPut(w *Write, cur mapping.Entry, exists bool) wire.Code {
	switch {
	case !access.Any(d.rights, wire.RightWrite):
		return wire.Denied
	case w.Flags&wire.FlagIfAbsent != 0 && exists,
		w.Flags&wire.FlagIfIdentity != 0 && !(exists && cur.ID == w.Identity):
		return wire.PreconditionFailed
	case exists && !access.Replace(d.rights, cur.Owner == d.p.owner):
		return wire.Denied
	}
	for name := range w.Attributes {
		if x := d.c.index(name); x == nil || x.flags&wire.FlagAttribute == 0 {
			return wire.NoIndex
		}
	}
	return wire.OK
}

// mayRemove decides whether an object may be deleted. What the principal may
// not see does not exist for it.
func (d *decision) mayRemove(w *Write, cur mapping.Entry, exists bool) wire.Code {
	own := cur.Owner == d.p.owner
	switch {
	case !exists, !access.Read(d.rights, own) && !access.Delete(d.rights, own),
		len(w.Name) == 0 && cur.ID != w.Identity:
		return wire.NotFound
	case !access.Delete(d.rights, own):
		return wire.Denied
	case w.Flags&wire.FlagIfIdentity != 0 && cur.ID != w.Identity:
		return wire.PreconditionFailed
	}
	return wire.OK
}

func deletion(o mapping.Entry) log.Record {
	return log.Record{Kind: log.KindDelete, Collection: o.Collection, Owner: log.CoreOwner, ID: o.ID}
}

// applyObject makes a durable PUT or deletion visible and feeds it to the
// indexes. What a collection was dropped under is not kept.
func (e *Engine) applyObject(r *log.Record, at log.Location, w *write) {
	v, c := r.ID.Value(), e.byID[r.Collection]
	if e.pending[v].LSN == r.LSN {
		delete(e.pending, v)
	}
	if c == nil {
		return
	}
	d := delivery{step: task.Remove, lsn: r.LSN}
	if r.Kind == log.KindPut {
		d.step, d.put = task.Insert, mapping.Entry{ID: r.ID, LSN: r.LSN, Loc: at, Collection: r.Collection, Owner: r.Owner}
		d.gone, d.hasGone = e.put(d.put)
	} else {
		d.gone, d.hasGone = e.remove(v)
	}
	for _, x := range c.indexes {
		x.follow(d, r.Body, w)
	}
}

// put and remove change the mapping, and what is counted of it.
func (e *Engine) put(o mapping.Entry) (gone mapping.Entry, had bool) {
	if gone, had = e.objects.Put(o); had {
		e.use(gone, -1)
	}
	e.use(o, 1)
	return gone, had
}

func (e *Engine) remove(v identity.Value) (gone mapping.Entry, had bool) {
	if gone, had = e.objects.Delete(v); had {
		e.use(gone, -1)
	}
	return gone, had
}

// use counts a live object, with n 1, or no more, with n -1. A segment in which
// nothing is alive is not kept.
func (e *Engine) use(o mapping.Entry, n int64) {
	if e.used[o.Loc.Segment] += n * int64(o.Loc.Length); e.used[o.Loc.Segment] == 0 {
		delete(e.used, o.Loc.Segment)
	}
	if c := e.byID[o.Collection]; c != nil {
		c.objects += uint64(n)
	}
}

// confirmed: a Task has followed one change, or need not any more; or all that w
// waited for is durable, or never will be; or a data key is destroyed. The last of
// them sends the answer.
func (w *write) confirmed(e *Engine, refused bool) {
	w.confirms--
	if refused {
		w.flags |= wire.ReplyNotIndexed
	}
	if w.confirms > 0 {
		return
	}
	if w.code != wire.OK {
		e.end(w.req, w.code)
		return
	}
	e.reply(w.req, Reply{Count: w.count, Body: w.ids, Flags: w.flags})
}

// appendObject encodes the body of a KindPut record:
// len(name) 2 | len(attributes) 4 | name … | attributes … | object ….
func appendObject(name, attributes, data []byte) []byte {
	return make(frame.Writer, 0, 6+len(name)+len(attributes)+len(data)).
		U16(uint16(len(name))).U32(uint32(len(attributes))).Bytes(name).Bytes(attributes).Bytes(data)
}

// DecodeObject reads the body of a KindPut record; the result aliases it.
func DecodeObject(body []byte) (o Object, err error) {
	r := frame.NewReader(body)
	name, attributes := int(r.U16()), int(r.U32())
	o.Name, o.Attributes, o.Data = r.Take(name), r.Take(attributes), r.Rest()
	return o, r.Done()
}
