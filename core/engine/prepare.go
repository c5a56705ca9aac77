package engine

import (
	"crypto/sha256"

	"motte/core/identity"
	"motte/core/wire"
)

// parts says which parts of a request an operation uses; a part that is not
// used must be empty, so that a request has one meaning.
type parts struct {
	collection, index, identity, name, query, object, data, limit need
	flags                                                         wire.Flags // those allowed
}

type need uint8

const (
	never need = iota
	maybe
	always
)

// ok reports whether a part may be as it is.
func (n need) ok(present bool) bool { return n == maybe || present == (n == always) }

// shape returns the parts of an operation. Those missing here use none.
func shape(o wire.Operation) parts {
	const writes = wire.FlagIfAbsent | wire.FlagIfIdentity
	switch o {
	case wire.OpPut:
		return parts{collection: always, identity: maybe, name: maybe, query: maybe, object: maybe, flags: writes}
	case wire.OpGet:
		return parts{collection: always, identity: maybe, name: maybe}
	case wire.OpDelete:
		return parts{collection: always, identity: maybe, name: maybe, flags: wire.FlagIfIdentity}
	case wire.OpSearch:
		return parts{collection: always, index: always, query: maybe, data: maybe, limit: maybe, flags: wire.FlagIDsOnly}
	case wire.OpCount, wire.OpDeleteWhere:
		return parts{collection: always, index: always, query: maybe, data: maybe, limit: maybe}
	case wire.OpList:
		return parts{collection: always, flags: wire.FlagIDsOnly}
	case wire.OpBatch:
		return parts{collection: always, object: always}
	case wire.OpCreateCollection, wire.OpDropCollection:
		return parts{collection: always}
	case wire.OpCreateIndex:
		return parts{collection: always, index: always, name: always, query: maybe, data: maybe,
			flags: wire.FlagOrdered | wire.FlagLazy | wire.FlagAttribute}
	case wire.OpDropIndex:
		return parts{collection: always, index: always}
	case wire.OpRegisterTask:
		return parts{name: always, query: always}
	case wire.OpAddPrincipal:
		return parts{identity: always, name: always}
	case wire.OpRemovePrincipal:
		return parts{identity: always}
	case wire.OpGrant, wire.OpRevoke:
		return parts{collection: maybe, identity: always, flags: wire.Flags(wire.RightsAll)}
	}
	return parts{}
}

// Prepare checks the parts of a request against its operation, decodes the
// writes of a PUT, DELETE or batch, and hashes their contents. It needs no
// state, so each connection does it on its own.
func Prepare(r wire.Request) (*Request, wire.Code) {
	s, given, named := shape(r.Op), r.Identity != identity.ID{}, len(r.Name) > 0
	ok := s.collection.ok(r.Collection != "") && s.index.ok(r.Index != "") && s.identity.ok(given) &&
		s.name.ok(named) && s.query.ok(len(r.Query) > 0) && s.object.ok(len(r.Object) > 0) &&
		s.data.ok(r.Type != wire.TypeAny) && s.limit.ok(r.Limit != 0) && r.Flags&^s.flags == 0
	q := &Request{Request: r}
	switch r.Op {
	case wire.OpPut, wire.OpDelete:
		q.Writes = []Write{{BatchOp: wire.BatchOp{Op: r.Op, Flags: r.Flags, Identity: r.Identity,
			Name: r.Name, Query: r.Query, Object: r.Object}}}
	case wire.OpBatch:
		ops, err := wire.DecodeBatch(r.Object)
		q.Writes, ok = make([]Write, len(ops)), ok && err == nil
		for i := range ops {
			q.Writes[i].BatchOp = ops[i]
		}
	case wire.OpGet:
		ok = ok && named != given
	}
	for i := range q.Writes {
		ok = ok && q.Writes[i].prepare()
	}
	if !ok {
		return nil, wire.InvalidRequest
	}
	return q, wire.OK
}

// prepare checks one write and fills in what can be computed from it alone.
func (w *Write) prepare() bool {
	given, named := w.Identity != identity.ID{}, len(w.Name) > 0
	absent, expects := w.Flags&wire.FlagIfAbsent != 0, w.Flags&wire.FlagIfIdentity != 0
	if w.Op == wire.OpDelete {
		// By identity, or by name, or by name with the identity it must have.
		return w.Flags&^wire.FlagIfIdentity == 0 && len(w.Query) == 0 && len(w.Object) == 0 &&
			(given || named) && (given && named) == expects
	}
	var err error
	w.Attributes, err = wire.DecodeAttributes(w.Query)
	w.Sum = sha256.Sum256(w.Object)
	return err == nil && w.Flags&^(wire.FlagIfAbsent|wire.FlagIfIdentity) == 0 && given == expects &&
		!(absent && expects) && (named || !absent && !expects)
}
