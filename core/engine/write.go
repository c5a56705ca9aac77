package engine

import (
	"slices"

	"motte/core/access"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
)

// write is the flow of a PUT, a DELETE, a batch, the deletions of a DELETE by predicate, or
// a change of the catalogue. Its steps are: decide, append, apply, wait for the Tasks, or
// for the destruction of a data key, and answer.
type write struct {
	req         *Request
	answer      Reply  // sent when acksMissing is 0; if its code is not OK, only the code is sent
	acksMissing int    // calls of acked that are missing
	opFlags     []byte // the flags of each operation of a PUT, DELETE or batch
	applied     int    // operations that are durable and applied
}

// write decides a request that changes objects (paper, section 5, "PUT Operation"; design,
// section 5). All of its writes are appended as one group. If a write is not allowed, no
// record is appended, and the first such write decides the answer.
func (e *Engine) write(q *Request) model.Code {
	p, c := q.by, q.in
	if slices.ContainsFunc(c.indexes, e.full) || e.tooMuchUnsent(p.id, len(q.Writes)*(identity.Size+1)) {
		return model.Overloaded
	}
	n := len(q.Writes)
	w := &write{req: q, answer: Reply{End: End{Count: uint32(n)}}, opFlags: make([]byte, n)}
	group := make(seglog.Group, n)
	// Like pending: each write of the batch sees the effect of the writes before it.
	staged := make(map[identity.Value]mapping.Entry)
	for i := range q.Writes {
		if group[i], w.answer.Code = e.decide(&q.Writes[i], p, c, staged); w.answer.Code != model.OK {
			w.wait(e)
			return model.OK
		}
		id := group[i].ID
		staged[id.Value()] = mapping.Entry{ID: id, Collection: c.id,
			Owner: group[i].Owner, Loc: size(&group[i])}
		w.answer.Body = append(w.answer.Body, id[:]...)
	}
	if w.answer.Code = model.QuotaExceeded; e.fits(c, staged) {
		w.answer.Code = model.OK
		e.append(w, group...)
	}
	q.Writes, q.Request.Name, q.Request.Query, q.Request.Object = nil, nil, nil, nil // the records hold them
	w.wait(e)
	return model.OK
}

// wait delays the answer until all uncommitted records are durable, since the decision
// depends on them.
func (w *write) wait(e *Engine) {
	w.acksMissing++
	e.afterDurable(func(code model.Code) {
		w.answer.Code = max(w.answer.Code, code)
		w.acked(e)
	})
}

// decide makes the record of one write, if the write is allowed. It decides on the object as
// it will be when all uncommitted records, and the staged writes, are durable.
func (e *Engine) decide(w *Write, p *principal, c *collection,
	staged map[identity.Value]mapping.Entry) (rec seglog.Record, code model.Code) {
	v := w.Identity.Value()
	if len(w.Name) > 0 {
		v = e.Maker.Named(c.id, w.Name)
	} else if w.Op == model.OpPut {
		_, _ = e.Random(v[:])
	}
	cur, exists := e.expected(c, v)
	if o, ok := staged[v]; ok {
		cur, exists = o, o.Owner != seglog.CoreOwner
	}
	exists = exists && !e.erased[cur.Owner]
	rights, own := c.grants.Rights(p.id), cur.Owner == p.owner
	if w.Op == model.OpDelete {
		return deletion(cur), w.mayDelete(cur, exists, rights, own)
	}
	if code = w.mayPut(cur, exists, rights, own); code != model.OK {
		return rec, code
	}
	for name := range w.Attributes {
		if x := c.index(name); x == nil || x.options&model.OptionAttribute == 0 {
			return rec, model.NoIndex
		}
	}
	id := e.Maker.ID(c.id, p.owner, v, w.Content)
	body := w.body
	if body == nil {
		body = appendObject(w.Name, w.Query, w.Object)
	}
	return seglog.Record{Kind: seglog.KindPut, Collection: c.id, Owner: p.owner, ID: id, Body: body}, model.OK
}

// expected returns the entry that an object of a collection will have when all uncommitted
// records are durable. Objects of an erased owner are included until they are removed.
func (e *Engine) expected(c *collection, v identity.Value) (o mapping.Entry, exists bool) {
	if o, pending := e.pending[v]; pending {
		return o, o.Owner != seglog.CoreOwner && o.Collection == c.id
	}
	return c.objects.Get(v)
}

// differs reports whether the client requires an identity that the object does not have.
func (w *Write) differs(cur mapping.Entry, exists bool) bool {
	return w.Flags&wire.FlagIfIdentity != 0 && !(exists && cur.ID == w.Identity)
}

// mayDelete decides a DELETE. An object that the principal may neither read nor delete does
// not exist for it.
func (w *Write) mayDelete(cur mapping.Entry, exists bool, rights model.Rights, own bool) model.Code {
	deletes := access.Delete(rights, own)
	switch {
	case !exists, !access.Read(rights, own) && !deletes, len(w.Name) == 0 && cur.ID != w.Identity:
		return model.NotFound
	case !deletes:
		return model.Denied
	case w.differs(cur, exists):
		return model.PreconditionFailed
	}
	return model.OK
}

// mayPut decides a PUT, except for its attributes.
func (w *Write) mayPut(cur mapping.Entry, exists bool, rights model.Rights, own bool) model.Code {
	switch {
	case !access.Any(rights, model.RightWrite):
		return model.Denied
	case w.Flags&wire.FlagIfAbsent != 0 && exists, w.differs(cur, exists):
		return model.PreconditionFailed
	case exists && !access.Replace(rights, own):
		return model.Denied
	}
	return model.OK
}

func deletion(o mapping.Entry) seglog.Record {
	return seglog.Record{Kind: seglog.KindDelete, Collection: o.Collection, Owner: seglog.CoreOwner, ID: o.ID}
}

// applyObject makes a durable PUT or deletion visible, and feeds it to the indexes. It does
// not apply a record whose collection was dropped by an earlier record.
func (e *Engine) applyObject(r *seglog.Record, at seglog.Location, w *write) {
	v, c := r.ID.Value(), e.byID[r.Collection]
	if c != nil {
		e.applyTo(c, r, at, w)
	}
	if e.pending[v].LSN == r.LSN {
		delete(e.pending, v) // from now on the mapping has the state
	}
}

// applyTo makes the record visible in its collection. The projected size of the collection
// includes the record since its append: see use.
func (e *Engine) applyTo(c *collection, r *seglog.Record, at seglog.Location, w *write) {
	d := delivery{kind: taskwire.Remove, lsn: r.LSN}
	if r.Kind == seglog.KindPut {
		d.kind = taskwire.Insert
		d.put = mapping.Entry{ID: r.ID, LSN: r.LSN, Loc: at, Collection: r.Collection, Owner: r.Owner}
		d.replaced, d.hasReplaced = e.add(c, d.put)
		c.versions++
		e.notePut(c, r.ID)
	} else {
		d.replaced, d.hasReplaced = e.remove(c, r.ID.Value())
	}
	if w != nil {
		d.op = w.applied
		w.applied++
		if d.kind == taskwire.Insert && d.hasReplaced {
			w.setFlag(d.op, wire.ReplyReplaced)
		}
	}
	for _, x := range c.indexes {
		e.follow(x, d, r.Body, w)
		if x.successor != nil {
			e.follow(x.successor, d, r.Body, w)
		}
	}
}

// add and remove change the mapping of a collection, and its counts. They return the entry
// before.
func (e *Engine) add(c *collection, o mapping.Entry) (before mapping.Entry, had bool) {
	if before, had = c.objects.Put(o); had {
		e.use(c, before, -1)
	}
	e.use(c, o, 1)
	return before, had
}

func (e *Engine) remove(c *collection, v identity.Value) (gone mapping.Entry, had bool) {
	if gone, had = c.objects.Delete(v); had {
		e.use(c, gone, -1)
	}
	return gone, had
}

// use adds the bytes of an object to the live bytes, if n is 1, or subtracts them, if n is
// -1. Before the start it does nothing: countAll follows.
func (e *Engine) use(c *collection, o mapping.Entry, n int64) {
	if e.lsn == 0 {
		return
	}
	bytes := n * int64(o.Loc.Length)
	count(c.used, o.Loc.Segment, bytes)
	count(e.used, o.Loc.Segment, bytes)
	c.bytes += uint64(bytes)
	if !c.limited() {
		return
	}
	if _, pending := e.pending[o.ID.Value()]; !pending { // otherwise addPending has counted it
		c.projected.count(o, n)
	}
}

// countAll counts the live bytes of a collection at the end of a replay.
func (e *Engine) countAll(c *collection) {
	clear(c.used)
	c.bytes, c.versions = 0, 0
	for o := range c.objects.After(identity.Value{}) {
		c.used[o.Loc.Segment] += int64(o.Loc.Length)
	}
	for segment, bytes := range c.used {
		e.used[segment] += bytes
		c.bytes += uint64(bytes)
	}
	e.recount(c)
}

// count adds to the live bytes of a segment. It removes the entry of a segment without live
// bytes.
func count(used map[uint32]int64, segment uint32, bytes int64) {
	if used[segment] += bytes; used[segment] == 0 {
		delete(used, segment)
	}
}

// acked notes that w no longer waits for an event: an index has its change, or w does not wait
// for this index any more; the records of w are durable, or can't become durable; or a data key
// is destroyed. After the last event it sends the answer.
func (w *write) acked(e *Engine) {
	if w.acksMissing--; w.acksMissing > 0 {
		return
	}
	if w.answer.Code != model.OK {
		w.answer = Reply{End: End{Code: w.answer.Code}}
	} else if w.answer.Flags != 0 && w.req.Op == model.OpBatch {
		w.answer.Body = append(w.answer.Body, w.opFlags...)
	}
	e.reply(w.req, w.answer)
}

// setFlag sets a flag of the answer, and of one of its operations.
func (w *write) setFlag(op int, flag wire.ReplyFlags) {
	w.answer.Flags |= flag
	w.opFlags[op] |= byte(flag)
}

// appendObject encodes the body of a KindPut record:
// len(name) 2 | len(attributes) 4 | name … | attributes … | object ….
func appendObject(name, attributes, data []byte) []byte {
	p := make(codec.Writer, 0, RecordFront+len(name)+len(attributes)+len(data))
	return objectFront(p, name, attributes).Bytes(name).Bytes(attributes).Bytes(data)
}

// RecordFront is the number of bytes before the name in the body of a KindPut record. The
// rest of the body has the bytes of the body of a PUT, in the same order.
const RecordFront = 6

func objectFront(p codec.Writer, name, attributes []byte) codec.Writer {
	return p.U16(uint16(len(name))).U32(uint32(len(attributes)))
}

// DecodeObject reads the body of a KindPut record; the result aliases it.
func DecodeObject(body []byte) (o Object, err error) {
	r := codec.NewReader(body)
	name, attributes := int(r.U16()), int(r.U32())
	o.Name, o.Attributes, o.Data = r.Take(name), r.Take(attributes), r.Rest()
	return o, r.Done()
}
