package engine

import (
	"motte/core/access"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/wire"
)

// change begins a change of the catalogue. While it is on its way to the disk, later
// changes and writes wait, so that each is decided on what the one before it made.
func (e *Engine) change(q *Request, group ...log.Record) {
	e.changing = true
	w := &write{req: q}
	e.append(w, group...)
	w.wait(e)
	e.then(func(wire.Code) {
		e.changing = false
		for len(e.held) > 0 && !e.changing {
			next := e.held[0]
			e.held[0] = nil // with the request's body
			e.held = e.held[1:]
			next()
		}
	})
}

// administer decides a request that changes the catalogue: who asks, whether
// it makes sense, and then one record.
func (e *Engine) administer(q *Request, p *principal) wire.Code {
	c := e.byName[q.Collection]
	if code := e.mayAdminister(q); code != wire.OK {
		return code
	}
	if c == nil && q.Collection != "" && q.Op != wire.OpCreateCollection {
		return wire.NoCollection
	}
	rec, code := e.decideChange(q, p, c)
	if code != wire.OK {
		return code
	}
	if c != nil {
		rec.Collection = c.id
	}
	e.change(q, rec)
	return wire.OK
}

// mayAdminister: a server administrator may change everything; the
// administrator of a collection its indexes and grants, and drop it.
func (e *Engine) mayAdminister(q *Request) wire.Code {
	if e.isAdmin(q.Principal) {
		return wire.OK
	}
	switch q.Op {
	case wire.OpCreateIndex, wire.OpDropIndex, wire.OpGrant, wire.OpRevoke, wire.OpDropCollection:
		if q.Collection != "" {
			_, code := e.collectionFor(q, wire.RightAdmin)
			return code
		}
	}
	return wire.Denied
}

func (e *Engine) decideChange(q *Request, p *principal, c *collection) (rec log.Record, code wire.Code) {
	switch q.Op {
	case wire.OpCreateCollection:
		switch {
		case !wire.ValidIdentifier(q.Collection):
			return rec, wire.InvalidRequest
		case c != nil:
			return rec, wire.Exists
		case len(e.collections) >= MaxCollections, e.identifiers+1 >= mapping.Limit:
			return rec, wire.LimitReached
		}
		return entry{name: q.Collection, principal: p.id, flags: wire.Flags(wire.RightsAll)}.record(log.KindCreateCollection, e.identifiers+1), wire.OK
	case wire.OpDropCollection:
		return entry{}.record(log.KindDropCollection, 0), wire.OK
	case wire.OpCreateIndex:
		return e.decideCreateIndex(q, c)
	case wire.OpDropIndex:
		if c.index(q.Index) == nil {
			return rec, wire.NoIndex
		}
		return entry{name: q.Index}.record(log.KindDropIndex, 0), wire.OK
	case wire.OpRegisterTask:
		name := string(q.Name)
		if _, err := wire.DecodeRow(q.Query); err != nil || !wire.ValidIdentifier(name) {
			return rec, wire.InvalidRequest
		}
		if e.tasks[name] == nil && len(e.tasks) >= MaxTasks {
			return rec, wire.LimitReached
		}
		return entry{name: name, rest: q.Query}.record(log.KindRegisterTask, 0), wire.OK
	}
	return e.decidePrincipal(q, c)
}

func (e *Engine) decideCreateIndex(q *Request, c *collection) (rec log.Record, code wire.Code) {
	row := e.tasks[string(q.Name)]
	switch {
	case !wire.ValidIdentifier(q.Index):
		return rec, wire.InvalidRequest
	case row == nil:
		return rec, wire.NoTask
	case c.index(q.Index) != nil:
		return rec, wire.Exists
	case len(c.indexes) >= MaxIndexes:
		return rec, wire.LimitReached
	case q.Flags&wire.FlagOrdered != 0 && !row.Ordered, !compatible(row.Type, q.Type):
		return rec, wire.InvalidRequest
	}
	return entry{name: q.Index, task: string(q.Name), dataType: q.Type, flags: q.Flags, rest: q.Query}.
		record(log.KindCreateIndex, 0), wire.OK
}

// decidePrincipal decides on principals and their grants. The last server
// administrator can't be taken away: nobody could undo it.
func (e *Engine) decidePrincipal(q *Request, c *collection) (rec log.Record, code wire.Code) {
	subject, rights := access.Principal(q.Identity), wire.Rights(q.Flags)
	known, last := e.principals[subject] != nil, e.isAdmin(subject) && len(e.server) == 1
	grant := entry{principal: subject, flags: q.Flags}
	switch {
	case q.Op == wire.OpAddPrincipal:
		for _, k := range e.principals {
			known = known || k.label == string(q.Name)
		}
		switch {
		case !wire.ValidLabel(string(q.Name)):
			return rec, wire.InvalidRequest
		case known:
			return rec, wire.Exists
		case len(e.principals) >= MaxPrincipals, e.owners+1 >= mapping.Limit:
			return rec, wire.LimitReached
		}
		return e.addPrincipal(subject, string(q.Name)), wire.OK
	case !known:
		return rec, wire.NoPrincipal
	case q.Op == wire.OpRemovePrincipal && !last:
		grant.owner = e.principals[subject].owner
		return grant.record(log.KindRemovePrincipal, 0), wire.OK
	case rights == 0, c == nil && rights != wire.RightAdmin:
		return rec, wire.InvalidRequest
	case q.Op == wire.OpGrant:
		return grant.record(log.KindGrant, 0), wire.OK
	case q.Op == wire.OpRevoke && (c != nil || !last):
		return grant.record(log.KindRevoke, 0), wire.OK
	}
	return rec, wire.InvalidRequest
}

// addPrincipal makes the record of a new principal, with an owner's number, which
// stands for a data key, of its own.
// A principal that was removed and comes back is a new owner: what it put
// before is not its own any more.
func (e *Engine) addPrincipal(id access.Principal, label string) log.Record {
	n := entry{principal: id, owner: e.owners + 1, label: label}
	for !e.History.HasKey(n.owner) { // an older copy of the log may not know that it was given out
		n.owner++
	}
	return n.record(log.KindAddPrincipal, 0)
}
