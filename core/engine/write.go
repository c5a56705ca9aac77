package engine

import (
	"io"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/wire"
)

// write is the flow of a PUT, a DELETE, a batch, or the deletions of a DELETE
// by predicate: decide, append, apply, let the Tasks follow, answer.
type write struct {
	req        *Request
	ids        []identity.ID // for the answer
	count      uint32        // for the answer
	groups     int           // on their way to the disk
	confirms   int           // missing from Tasks
	notIndexed bool          // a Task refused an input
	truncated  bool          // there may be more to delete
	code       wire.Code
}

// write decides a request that changes objects (paper, section 5, "PUT
// Operation"; design, section 5). Either all of its writes are appended as
// one group, or the first that is not allowed decides the answer and nothing
// is changed.
func (e *Engine) write(q *Request, p *principal) {
	c, code := e.collectionFor(q, wire.RightWrite|wire.RightDelete)
	if code != wire.OK {
		e.end(q, code)
		return
	}
	for _, x := range c.indexes {
		if len(x.queue) > maxBacklog {
			e.end(q, wire.Overloaded)
			return
		}
	}
	w := &write{req: q, count: uint32(len(q.Writes)), groups: 1}
	d := decision{e: e, c: c, p: p, rights: c.grants.Rights(p.id), staged: make(map[identity.Value]pendingObject)}
	group := make(log.Group, 0, len(q.Writes))
	for i := range q.Writes {
		rec, code := d.decide(&q.Writes[i])
		if code != wire.OK {
			e.end(q, code)
			return
		}
		group = append(group, rec)
		w.ids = append(w.ids, rec.ID)
	}
	e.append(w, group...)
	for i := range group {
		v := group[i].ID.Value()
		s := d.staged[v]
		s.lsn = group[i].LSN
		e.pending[v] = s
	}
	if e.readOnly {
		clear(e.pending)
	}
}

// decision looks at the writes of one request in order; each sees what those
// before it will do.
type decision struct {
	e      *Engine
	c      *collection
	p      *principal
	rights wire.Rights
	staged map[identity.Value]pendingObject
}

func (d *decision) decide(w *Write) (log.Record, wire.Code) {
	if w.Op == wire.OpDelete {
		return d.remove(w)
	}
	return d.put(w)
}

// current returns the object as it will be once all that is on its way is
// durable.
func (d *decision) current(v identity.Value) (mapping.Entry, bool) {
	s, ok := d.staged[v]
	if !ok {
		s, ok = d.e.pending[v]
	}
	if ok {
		return s.state, !s.gone
	}
	return d.e.live(d.c, v)
}

// put makes the identity of an object and its record.
func (d *decision) put(w *Write) (rec log.Record, code wire.Code) {
	var v identity.Value
	if len(w.Name) > 0 {
		v = d.e.Maker.Named(d.c.id, w.Name)
	} else if _, err := io.ReadFull(d.e.Random, v[:]); err != nil {
		return rec, wire.Overloaded
	}
	cur, exists := d.current(v)
	own := cur.Owner == d.p.owner
	switch {
	case !access.Any(d.rights, wire.RightWrite):
		return rec, wire.Denied
	case w.Flags&wire.FlagIfAbsent != 0 && exists,
		w.Flags&wire.FlagIfIdentity != 0 && !(exists && cur.ID == w.Identity):
		return rec, wire.PreconditionFailed
	case exists && !access.Replace(d.rights, own):
		return rec, wire.Denied
	}
	for _, a := range w.Attributes {
		if x := d.c.index(a.Index); x == nil || x.flags&wire.FlagAttribute == 0 {
			return rec, wire.NoIndex
		}
	}
	id := identity.New(v, d.e.Maker.Tag(d.c.id, v, w.Sum))
	body := make([]byte, 0, 6+len(w.Name)+len(w.Query)+len(w.Object))
	rec = log.Record{Kind: log.KindPut, Collection: d.c.id, Owner: d.p.owner, ID: id,
		Body: appendObject(body, w.Name, w.Query, w.Object)}
	d.staged[v] = pendingObject{state: mapping.Entry{ID: id, Collection: d.c.id, Owner: d.p.owner}}
	return rec, wire.OK
}

// remove makes the record that deletes an object. What the principal may not
// see does not exist for it.
func (d *decision) remove(w *Write) (rec log.Record, code wire.Code) {
	v := w.Identity.Value()
	if len(w.Name) > 0 {
		v = d.e.Maker.Named(d.c.id, w.Name)
	}
	cur, exists := d.current(v)
	own := cur.Owner == d.p.owner
	switch {
	case !exists, !access.Read(d.rights, own) && !access.Delete(d.rights, own),
		len(w.Name) == 0 && cur.ID != w.Identity:
		return rec, wire.NotFound
	case !access.Delete(d.rights, own):
		return rec, wire.Denied
	case w.Flags&wire.FlagIfIdentity != 0 && cur.ID != w.Identity:
		return rec, wire.PreconditionFailed
	}
	d.staged[v] = pendingObject{state: cur, gone: true}
	return deletion(cur), wire.OK
}

func deletion(o mapping.Entry) log.Record {
	return log.Record{Kind: log.KindDelete, Collection: o.Collection, Owner: log.CoreOwner, ID: o.ID}
}

// live returns the object of a collection that has this value.
func (e *Engine) live(c *collection, v identity.Value) (mapping.Entry, bool) {
	o, ok := e.objects.Get(v)
	return o, ok && o.Collection == c.id
}

// applyPut makes a durable object visible and feeds it to the indexes. What a
// collection was dropped under is not kept.
func (e *Engine) applyPut(r *log.Record, at log.Location, w *write) {
	e.unpend(r)
	c := e.byID[r.Collection]
	if c == nil {
		return
	}
	o := mapping.Entry{ID: r.ID, Loc: at, Collection: r.Collection, Owner: r.Owner}
	old, replaced := e.objects.Put(o)
	if !replaced {
		c.objects++
	}
	for _, x := range c.indexes {
		x.follow(e, change{lsn: r.LSN, put: o, hasPut: true, gone: old, hasGone: replaced, body: r.Body}, w)
	}
}

// applyDelete makes a durable deletion visible and lets the indexes follow.
func (e *Engine) applyDelete(r *log.Record, w *write) {
	e.unpend(r)
	c := e.byID[r.Collection]
	if c == nil {
		return
	}
	old, ok := e.objects.Delete(r.ID.Value())
	if !ok {
		return
	}
	c.objects--
	for _, x := range c.indexes {
		x.follow(e, change{lsn: r.LSN, gone: old, hasGone: true}, w)
	}
}

func (e *Engine) unpend(r *log.Record) {
	if v := r.ID.Value(); e.pending[v].lsn == r.LSN {
		delete(e.pending, v)
	}
}

// settled: a group is durable and applied; what is missing now are the Tasks.
func (w *write) settled(e *Engine) {
	if w.groups--; w.groups == 0 {
		e.waiting++
		w.finish(e)
	}
}

// confirmed: a Task has followed one change, or need not any more.
func (w *write) confirmed(e *Engine, refused bool) {
	w.confirms--
	w.notIndexed = w.notIndexed || refused
	w.finish(e)
}

func (w *write) failed(e *Engine, code wire.Code) {
	w.code = code
	if w.groups--; w.groups == 0 {
		e.waiting++
		w.finish(e)
	}
}

func (w *write) finish(e *Engine) {
	if w.groups > 0 || w.confirms > 0 {
		return
	}
	e.waiting--
	r := Reply{Code: w.code}
	if w.code == wire.OK {
		r.Count = w.count
		for _, id := range w.ids {
			r.Body = append(r.Body, id[:]...)
		}
	}
	if w.truncated {
		r.Flags |= wire.ReplyTruncated
	}
	if w.notIndexed {
		r.Flags |= wire.ReplyNotIndexed
	}
	e.reply(w.req, r)
}
