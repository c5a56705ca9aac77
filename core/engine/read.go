package engine

import (
	"slices"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/wire"
)

// Request takes a prepared request. A later Take returns its answer.
func (e *Engine) Request(q *Request) {
	if changes(q.Op) && (e.changing || len(e.deferred) > 0) {
		// A change of the catalogue is uncommitted. A later request must be decided on its
		// result, and after the earlier requests.
		e.deferred = append(e.deferred, func() { e.begin(q) })
		return
	}
	e.begin(q)
}

// begin decides a request, or begins the work that its answer needs.
func (e *Engine) begin(q *Request) {
	code := e.mayBegin(q)
	if code == model.OK {
		code = operations[q.Op].flow(e, q)
	}
	if code != model.OK {
		e.end(q, code)
	}
}

// mayBegin finds the principal and the collection of a request, and makes the checks that
// come before its flow.
func (e *Engine) mayBegin(q *Request) model.Code {
	q.by, q.in = e.principals[q.Principal], e.byName[q.Collection]
	code := e.mayUse(q)
	switch {
	case q.by == nil:
		return model.UnknownPrincipal
	case e.stopping:
		return model.ShuttingDown
	case e.readOnly && changes(q.Op):
		return model.StorageFailed
	case code == model.OK && e.diskFull && q.grows():
		return model.DiskFull
	}
	return code
}

// grows reports whether a request makes the store grow for good. A full disk refuses such
// requests only.
func (q *Request) grows() bool {
	switch q.Op {
	case model.OpPut, model.OpCreateCollection, model.OpCreateIndex,
		model.OpRegisterTask, model.OpAddPrincipal, model.OpGrant:
		return true
	case model.OpBatch:
		return slices.ContainsFunc(q.Writes, func(w Write) bool { return w.Op == model.OpPut })
	}
	return false
}

// mayUse checks that the principal has at least one of the rights that its operation needs,
// in the collection or on the server. Rights on single objects are checked later. For a
// principal without any right in a collection, the collection does not exist. A server
// administrator may administer all collections, and make new ones.
func (e *Engine) mayUse(q *Request) model.Code {
	c := q.in
	if q.Op == model.OpCreateCollection {
		c = e.byID[0]
	}
	switch need, admin := operations[q.Op].rights, e.isAdmin(q.Principal); {
	case need == 0:
		return model.OK
	case c == nil, c.id != 0 && c.grants.Rights(q.Principal) == 0 && !admin:
		return model.NoCollection
	case need == model.RightAdmin && admin, access.Any(c.grants.Rights(q.Principal), need):
		return model.OK
	}
	return model.Denied
}

// compare answers a HEAD. If the client sent the head that it remembers, that head must be
// part of the log's history. The answer holds the public key that will replace the Core's
// own.
func (e *Engine) compare(q *Request) model.Code {
	switch h, err := model.DecodeHead(q.Query); {
	case len(q.Query) == 0:
	case err != nil:
		return model.InvalidRequest
	case h.LSN > e.position.LSN || !e.History.Contains(h):
		return model.HistoryDiffers
	}
	return e.answer(q, Reply{End: End{Body: e.NextKey}})
}

// requestCompaction lets a COMPACT wait until all dead records are removed.
func (e *Engine) requestCompaction(q *Request) model.Code {
	e.compact = append(e.compact, q)
	return model.OK
}

// Current returns the present entry of an object whose record has moved since an earlier
// entry. It returns false if the object was removed or changed, or if its record has not moved.
func (e *Engine) Current(o mapping.Entry) (mapping.Entry, bool) {
	cur, ok := e.live(o.Collection, o.ID.Value())
	return cur, ok && !e.erased[cur.Owner] && cur.ID == o.ID && cur.Loc != o.Loc
}

// lookup returns the entry of an object of a collection. Objects of an erased owner are
// hidden, also before they are removed.
func (e *Engine) lookup(c *collection, v identity.Value) (o mapping.Entry, ok bool) {
	o, ok = c.objects.Get(v)
	return o, ok && !e.erased[o.Owner]
}

// live returns the entry of an object in the collection with this number. It returns false
// if the collection or the object does not exist. The owner may be erased.
func (e *Engine) live(collection uint32, v identity.Value) (o mapping.Entry, ok bool) {
	if c := e.byID[collection]; c != nil {
		o, ok = c.objects.Get(v)
	}
	return o, ok
}

// Knows reports whether a principal is registered.
func (e *Engine) Knows(p access.Principal) bool { return e.principals[p] != nil }

// changes reports whether an operation appends to the log when it is decided.
func changes(o model.Operation) bool {
	catalogue := o >= model.OpCreateCollection && o <= model.OpQuota || o == model.OpRotatePrincipal
	return catalogue || o == model.OpPut || o == model.OpDelete || o == model.OpBatch
}

// Get decides a GET or a GETMANY. Then the server reads and checks the records. Get changes
// the request alone. Any number of goroutines may call it at the same time, each with its
// own maker, while no other method runs.
func (e *Engine) Get(m *identity.Maker, q *Request) Reply {
	r := Reply{Conn: q.Conn, Principal: q.Principal, Number: q.Number, Head: e.Head(), Reserved: q.Reserved}
	if r.Code = e.mayBegin(q); r.Code == model.OK {
		e.show(m, q, &r)
	}
	return r
}

// show sets the content of the answer to a GET or GETMANY that mayBegin accepted.
func (e *Engine) show(m *identity.Maker, q *Request, r *Reply) {
	if q.Op == model.OpGetMany {
		list := make(Objects, len(q.Wanted))
		for i, w := range q.Wanted {
			list[i], _ = e.find(m, q, w)
		}
		r.Content, r.Count = list, uint32(len(list))
		return
	}
	o, ok := e.find(m, q, wire.Wanted{Name: q.Name, Identity: q.Identity})
	if !ok {
		r.Code = model.NotFound
		return
	}
	r.Content = Single{o}
}

// find returns the entry of a wanted object. It returns false if the object does not exist, or if
// the principal may not read it. Then the entry has only the identity that the client gave, so
// that the client learns no other identity.
func (e *Engine) find(m *identity.Maker, q *Request, w wire.Wanted) (o mapping.Entry, ok bool) {
	v := w.Identity.Value()
	if len(w.Name) > 0 {
		v = m.Named(q.in.id, w.Name)
	}
	o, ok = q.in.objects.Get(v)
	if !ok || len(w.Name) == 0 && o.ID != w.Identity || !e.readable(q.by, q.in, o) {
		return mapping.Entry{ID: w.Identity}, false
	}
	return o, true
}

// get answers a GET or GETMANY in its turn among other requests.
func (e *Engine) get(q *Request) model.Code {
	var r Reply
	if e.show(e.Maker, q, &r); r.Code != model.OK {
		return r.Code
	}
	return e.answer(q, r)
}

const idsPerFrame = 2048 // 64 KiB
