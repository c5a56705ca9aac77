package engine

import (
	"motte/core/access"
	"motte/core/mapping"
	"motte/core/wire"
)

// Request takes a prepared request; its answer comes with a later Take.
func (e *Engine) Request(q *Request) {
	p := e.principals[q.Principal]
	switch {
	case p == nil:
		e.end(q, wire.UnknownPrincipal)
		return
	case e.stopping:
		e.end(q, wire.ShuttingDown)
		return
	case changes(q.Op) && e.barrier > 0:
		// A change of the catalogue is on its way; what comes after it must
		// see it.
		e.held = append(e.held, q)
		return
	}
	switch q.Op {
	case wire.OpPut, wire.OpDelete, wire.OpBatch:
		e.write(q, p)
	case wire.OpGet:
		e.get(q, p)
	case wire.OpSearch, wire.OpCount, wire.OpDeleteWhere:
		e.search(q, p)
	case wire.OpList:
		e.list(q, p)
	case wire.OpStatus:
		e.report(q, p)
	case wire.OpAlerts:
		e.reportAlerts(q, p)
	case wire.OpHead:
		e.end(q, wire.OK)
	default:
		e.administer(q, p)
	}
}

// Knows reports whether a principal is registered.
func (e *Engine) Knows(p access.Principal) bool { return e.principals[p] != nil }

// changes reports whether an operation appends to the log when it is decided.
func changes(o wire.Operation) bool {
	return o == wire.OpPut || o == wire.OpDelete || o == wire.OpBatch ||
		o >= wire.OpCreateCollection && o <= wire.OpRevoke
}

// release takes up what waited for the barrier.
func (e *Engine) release() {
	for len(e.held) > 0 && e.barrier == 0 {
		q := e.held[0]
		e.held = e.held[1:]
		e.Request(q)
	}
}

// get answers a GET by name or by identity: header, rights, mapping, and then
// the shell reads and checks the record.
func (e *Engine) get(q *Request, p *principal) {
	c, code := e.collectionFor(q, wire.RightRead|wire.RightReadOwn)
	if code != wire.OK {
		e.end(q, code)
		return
	}
	v := q.Identity.Value()
	if len(q.Name) > 0 {
		v = e.Maker.Named(c.id, q.Name)
	}
	o, ok := e.live(c, v)
	if !ok || len(q.Name) == 0 && o.ID != q.Identity || !access.Read(c.grants.Rights(p.id), o.Owner == p.owner) {
		e.end(q, wire.NotFound)
		return
	}
	e.reply(q, Reply{Objects: []mapping.Entry{o}, Single: true})
}

// collectionFor finds the collection of a request and checks that the
// principal has at least one of the rights that its operation can need. A
// collection in which it has none does not exist for it.
func (e *Engine) collectionFor(q *Request, want wire.Rights) (*collection, wire.Code) {
	c := e.byName[q.Collection]
	if c == nil {
		return nil, wire.NoCollection
	}
	r := c.grants.Rights(q.Principal)
	switch {
	case access.Any(r, want):
		return c, wire.OK
	case r == 0 && !e.isAdmin(q.Principal):
		return nil, wire.NoCollection
	}
	return nil, wire.Denied
}

// reply sends r as the answer to q.
func (e *Engine) reply(q *Request, r Reply) {
	if q == nil {
		return
	}
	r.Conn, r.Number, r.Head = q.Conn, q.Number, e.head
	e.out.Replies = append(e.out.Replies, r)
}

// end answers q with a code alone.
func (e *Engine) end(q *Request, code wire.Code) { e.reply(q, Reply{Code: code}) }
