package engine

import (
	"fmt"

	"motte/core/access"
	"motte/core/codec"
	"motte/core/model"
	"motte/core/seglog"
)

// takeOver makes a principal the only administrator of the server, for an operator who lost
// the keys of all administrators. The old administrators keep their other rights. The group of
// records has an alert. Clients can connect when the group is durable.
func (e *Engine) takeOver(id access.Principal) {
	group := seglog.Group{e.raise(model.Alert{Reason: model.ReasonNewAdmin})}
	for _, other := range visible(e.byID[serverID].grants, id, true) {
		revoked := grant{to: other, rights: model.RightAdmin}
		group = append(group, revoked.revocation(serverID))
	}
	if e.principals[id] == nil {
		admin := e.newPrincipal(id, fmt.Sprintf("admin-%x", id[:8]))
		group = append(group, admin.record(serverID))
	}
	e.openWith(id, group...)
}

// rotate is the flow of a ROTATE PRINCIPAL: an administrator gives a principal another key. A
// principal can't rotate its own key, since a thief of the key could do the same.
func (e *Engine) rotate(q *Request) model.Code {
	var next access.Principal
	r := codec.NewReader(q.Query)
	r.Copy(next[:])
	switch {
	case r.Done() != nil, next == access.Principal{}:
		return model.InvalidRequest
	case e.principals[q.subject()] == nil:
		return model.NoPrincipal
	case e.principals[next] != nil:
		return model.Exists
	}
	return e.change(q, rotation{id: q.subject(), next: next}.record(serverID))
}

// applyRotate gives a principal its next identifier, and ends the connections of the old
// key. Objects, data key and ledgers belong to the owner's number, which stays.
func (e *Engine) applyRotate(body []byte) error {
	n, err := decodeRotation(body)
	p := e.principals[n.id]
	if err != nil || p == nil || e.principals[n.next] != nil {
		return err // a principal whose record is damaged is not known
	}
	p.id = n.next
	e.principals[n.next] = p
	delete(e.principals, n.id)
	e.out.Ended = append(e.out.Ended, n.id)
	for _, c := range e.collections {
		c.grants.Set(n.next, c.grants.Rights(n.id))
		c.grants.Set(n.id, 0)
	}
	return nil
}
