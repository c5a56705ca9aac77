package engine

import (
	"fmt"

	"motte/core/access"
	"motte/core/codec"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// takeOver makes a principal the only administrator of the server, for an operator who
// lost the keys of all others, and records an alert with it, all or nothing. The others
// lose that right alone, since somebody else may have their keys. Clients can come when
// this is durable.
func (e *Engine) takeOver(id access.Principal) {
	group := seglog.Group{e.raise(model.Alert{Reason: model.ReasonNewAdmin})}
	for _, other := range visible(e.byID[0].grants, id, true) {
		revoked := entry{id: other, flags: wire.Flags(model.RightAdmin)}
		group = append(group, revoked.record(seglog.KindRevoke, 0))
	}
	if e.principals[id] == nil {
		admin := e.newPrincipal(id, fmt.Sprintf("admin-%x", id[:8]))
		group = append(group, admin.record(seglog.KindAddPrincipal, 0))
	}
	e.openWith(id, group...)
}

// rotate is the flow of a ROTATE PRINCIPAL: an administrator gives a principal another key.
// A principal can't do it itself, since whoever stole its key could.
func (e *Engine) rotate(q *Request) model.Code {
	next, err := decodePrincipal(q.Query)
	switch {
	case err != nil, next == access.Principal{}:
		return model.InvalidRequest
	case e.principals[access.Principal(q.Identity)] == nil:
		return model.NoPrincipal
	case e.principals[next] != nil:
		return model.Exists
	}
	n := entry{id: access.Principal(q.Identity), rest: q.Query}
	return e.change(q, n.record(seglog.KindRotatePrincipal, 0))
}

func decodePrincipal(p []byte) (id access.Principal, err error) {
	r := codec.NewReader(p)
	r.Copy(id[:])
	return id, r.Done()
}

// applyRotate gives a principal its next name, and ends what the old key has open. Objects,
// data key and what indexes told belong to the owner's number, which stays.
func (e *Engine) applyRotate(rec *seglog.Record) error {
	n, err := decodeEntry(rec.Body)
	if err != nil {
		return err
	}
	next, err := decodePrincipal(n.rest)
	p := e.principals[n.id]
	if err != nil || p == nil || e.principals[next] != nil {
		return err // a principal that a damaged record has made is not known
	}
	p.id = next
	e.principals[next] = p
	delete(e.principals, n.id)
	e.out.Ended = append(e.out.Ended, n.id)
	for _, c := range e.collections {
		c.grants.Set(next, c.grants.Rights(n.id))
		c.grants.Set(n.id, 0)
	}
	return nil
}
