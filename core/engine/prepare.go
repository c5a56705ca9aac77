package engine

import (
	"crypto/sha256"

	"motte/core/identity"
	"motte/core/wire"
)

// parts says which parts of a request an operation uses; a part that is not
// used must be empty, so that a request has one meaning.
type parts struct {
	collection, index, identity, name, query, object need
	flags                                            wire.Flags // those allowed
	data                                             bool       // a data type may be given
	limit                                            bool       // a limit may be given
}

type need uint8

const (
	never need = iota
	maybe
	always
)

// shape returns the parts of an operation. The operations that are missing
// here use none.
func shape(o wire.Operation) parts {
	query := parts{collection: always, index: always, query: maybe, data: true, limit: true}
	switch o {
	case wire.OpPut:
		return parts{collection: always, identity: maybe, name: maybe, query: maybe, object: maybe,
			flags: wire.FlagIfAbsent | wire.FlagIfIdentity}
	case wire.OpGet:
		return parts{collection: always, identity: maybe, name: maybe}
	case wire.OpDelete:
		return parts{collection: always, identity: maybe, name: maybe, flags: wire.FlagIfIdentity}
	case wire.OpSearch:
		query.flags = wire.FlagIDsOnly
		return query
	case wire.OpCount, wire.OpDeleteWhere:
		return query
	case wire.OpList:
		return parts{collection: always, flags: wire.FlagIDsOnly}
	case wire.OpBatch:
		return parts{collection: always, object: always}
	case wire.OpCreateCollection, wire.OpDropCollection:
		return parts{collection: always}
	case wire.OpCreateIndex:
		return parts{collection: always, index: always, name: always, query: maybe, data: true,
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

func (n need) ok(present bool) bool {
	return n == maybe || present == (n == always)
}

// Prepare checks the parts of a request against its operation, decodes the
// writes of a PUT, DELETE or batch, and hashes their contents. It needs no
// state, so each connection does it on its own.
func Prepare(r wire.Request) (*Request, wire.Code) {
	s, none := shape(r.Op), identity.ID{}
	ok := s.collection.ok(r.Collection != "") && s.index.ok(r.Index != "") &&
		s.identity.ok(r.Identity != none) && s.name.ok(len(r.Name) > 0) &&
		s.query.ok(len(r.Query) > 0) && s.object.ok(len(r.Object) > 0) &&
		r.Flags&^s.flags == 0 && (s.data || r.Type == wire.TypeAny) && (s.limit || r.Limit == 0)
	if !ok {
		return nil, wire.InvalidRequest
	}
	q := &Request{Request: r}
	switch r.Op {
	case wire.OpPut, wire.OpDelete:
		q.Writes = []Write{{BatchOp: wire.BatchOp{Op: r.Op, Flags: r.Flags, Identity: r.Identity,
			Name: r.Name, Query: r.Query, Object: r.Object}}}
	case wire.OpBatch:
		ops, err := wire.DecodeBatch(r.Object)
		if err != nil {
			return nil, wire.InvalidRequest
		}
		q.Writes = make([]Write, len(ops))
		for i := range ops {
			q.Writes[i].BatchOp = ops[i]
		}
	case wire.OpGet:
		if (len(r.Name) > 0) == (r.Identity != none) {
			return nil, wire.InvalidRequest
		}
	}
	for i := range q.Writes {
		if !q.Writes[i].prepare() {
			return nil, wire.InvalidRequest
		}
	}
	return q, wire.OK
}

// prepare checks one write and fills in what can be computed from it alone.
func (w *Write) prepare() bool {
	given, named := w.Identity != identity.ID{}, len(w.Name) > 0
	expects := w.Flags&wire.FlagIfIdentity != 0
	if w.Op == wire.OpDelete {
		// By identity, or by name, or by name with the identity it must have.
		return w.Flags&^wire.FlagIfIdentity == 0 && len(w.Query) == 0 && len(w.Object) == 0 &&
			(given || named) && (given && named) == expects
	}
	absent := w.Flags&wire.FlagIfAbsent != 0
	if w.Flags&^(wire.FlagIfAbsent|wire.FlagIfIdentity) != 0 || given != expects || absent && expects ||
		(absent || expects) && !named {
		return false
	}
	var err error
	w.Attributes, err = wire.DecodeAttributes(w.Query)
	w.Sum = sha256.Sum256(w.Object)
	return err == nil
}
