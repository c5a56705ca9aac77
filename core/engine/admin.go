package engine

import (
	"io"

	"motte/core/access"
	"motte/core/frame"
	"motte/core/log"
	"motte/core/wire"
)

// change is the flow of a change of the catalogue. While it is on its way to
// the disk it is a barrier: later changes and writes wait, so that each is
// decided on what the one before it made.
type catalogueChange struct{ req *Request }

func (e *Engine) change(q *Request, group ...log.Record) {
	e.barrier++
	e.append(&catalogueChange{q}, group...)
}

func (f *catalogueChange) settled(e *Engine) {
	e.barrier--
	if f.req != nil {
		e.end(f.req, wire.OK)
	}
	e.release()
}

func (f *catalogueChange) failed(e *Engine, c wire.Code) {
	e.barrier = 0
	if f.req != nil {
		e.end(f.req, c)
	}
}

// administer decides a request that changes the catalogue: who asks, whether
// it makes sense, and then one record, or two.
func (e *Engine) administer(q *Request, p *principal) {
	if code := e.mayAdminister(q); code != wire.OK {
		e.end(q, code)
		return
	}
	rec, code := e.decideChange(q, p)
	if code != wire.OK {
		e.end(q, code)
		return
	}
	e.change(q, rec)
}

// mayAdminister: a server administrator may change everything; the
// administrator of a collection its indexes and grants.
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

func (e *Engine) decideChange(q *Request, p *principal) (rec log.Record, code wire.Code) {
	c := e.byName[q.Collection]
	if c == nil && q.Collection != "" && q.Op != wire.OpCreateCollection {
		return rec, wire.NoCollection
	}
	switch q.Op {
	case wire.OpCreateCollection:
		switch {
		case !wire.ValidIdentifier(q.Collection):
			return rec, wire.InvalidRequest
		case c != nil:
			return rec, wire.Exists
		case len(e.collections) >= MaxCollections:
			return rec, wire.LimitReached
		}
		return createCollectionRecord(e.identifiers+1, q.Collection, p.id), wire.OK
	case wire.OpDropCollection:
		return log.Record{Kind: log.KindDropCollection, Collection: c.id}, wire.OK
	case wire.OpCreateIndex:
		return e.decideCreateIndex(q, c)
	case wire.OpDropIndex:
		if c.index(q.Index) == nil {
			return rec, wire.NoIndex
		}
		name := frame.AppendText(nil, q.Index, wire.MaxIdentifier)
		return log.Record{Kind: log.KindDropIndex, Collection: c.id, Body: name}, wire.OK
	case wire.OpRegisterTask:
		return e.decideRegisterTask(q)
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
	case q.Flags&wire.FlagOrdered != 0 && !row.Ordered,
		row.Type != wire.TypeAny && q.Type != wire.TypeAny && q.Type != row.Type:
		return rec, wire.InvalidRequest
	}
	return createIndexRecord(c.id, q), wire.OK
}

func (e *Engine) decideRegisterTask(q *Request) (rec log.Record, code wire.Code) {
	name := string(q.Name)
	if _, err := wire.DecodeRow(q.Query); err != nil || !wire.ValidIdentifier(name) {
		return rec, wire.InvalidRequest
	}
	if e.tasks[name] == nil && len(e.tasks) >= MaxTasks {
		return rec, wire.LimitReached
	}
	body := append(frame.AppendText(nil, name, wire.MaxIdentifier), q.Query...)
	return log.Record{Kind: log.KindRegisterTask, Body: body}, wire.OK
}

// decidePrincipal decides on principals and their grants. The last server
// administrator can't be taken away: nobody could undo it.
func (e *Engine) decidePrincipal(q *Request, c *collection) (rec log.Record, code wire.Code) {
	subject, rights, collection := access.Principal(q.Identity), wire.Rights(q.Flags), uint32(0)
	if c != nil {
		collection = c.id
	}
	known := e.principals[subject] != nil
	last := e.isAdmin(subject) && e.admins() == 1
	switch q.Op {
	case wire.OpAddPrincipal:
		switch {
		case !wire.ValidLabel(string(q.Name)):
			return rec, wire.InvalidRequest
		case known || e.labelled(string(q.Name)):
			return rec, wire.Exists
		case len(e.principals) >= MaxPrincipals:
			return rec, wire.LimitReached
		}
		return e.addPrincipal(subject, string(q.Name)), wire.OK
	case wire.OpRemovePrincipal:
		switch {
		case !known:
			return rec, wire.NoPrincipal
		case last:
			return rec, wire.InvalidRequest
		}
		return log.Record{Kind: log.KindRemovePrincipal, Body: subject[:]}, wire.OK
	case wire.OpGrant, wire.OpRevoke:
		revoke := q.Op == wire.OpRevoke
		switch {
		case !known:
			return rec, wire.NoPrincipal
		case rights == 0, c == nil && rights != wire.RightAdmin, c == nil && revoke && last:
			return rec, wire.InvalidRequest
		case revoke:
			return grantRecord(log.KindRevoke, collection, subject, rights), wire.OK
		}
		return grantRecord(log.KindGrant, collection, subject, rights), wire.OK
	}
	return rec, wire.InvalidRequest
}

// addPrincipal makes the record of a new principal with a data key of its own.
// A principal that was removed and comes back is a new owner: what it put
// before is not its own any more.
func (e *Engine) addPrincipal(id access.Principal, label string) log.Record {
	var key [32]byte
	if _, err := io.ReadFull(e.Random, key[:]); err != nil {
		panic("engine: no randomness for a data key") // not reachable by input: crypto/rand never fails
	}
	return principalRecord(id, e.owners+1, key, label)
}

func (e *Engine) labelled(label string) bool {
	for _, p := range e.principals {
		if p.label == label {
			return true
		}
	}
	return false
}

func (e *Engine) admins() (n int) {
	for _, r := range e.server {
		if access.Any(r, wire.RightAdmin) {
			n++
		}
	}
	return n
}
