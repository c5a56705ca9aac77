package engine

import (
	"encoding/binary"
	"slices"

	"motte/core/access"
	"motte/core/frame"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/wire"
)

// Limits of the catalogue, which is held in memory.
const (
	MaxCollections = 1024
	MaxIndexes     = wire.MaxAttributes // of one collection
	MaxTasks       = 256
	MaxPrincipals  = 65536
)

// catalogue is all that the log says beside the objects: who there is, what
// they may do, what is indexed how. It changes only in applyChange.
type catalogue struct {
	principals  map[access.Principal]*principal
	tasks       map[string]*wire.Row // the API format table
	byName      map[string]*collection
	byID        map[uint32]*collection
	collections []*collection // by identifier, so that walks have one order
	server      access.Grants // rights on the server itself
	owners      uint32        // the highest owner given out
	identifiers uint32        // the highest given to a collection; never given again
	dropped     bool          // objects of dropped collections may still be in the mapping
	swept       int           // the next shard of the mapping to clear of them
}

type principal struct {
	id    access.Principal
	owner uint32 // whose data key seals what it puts
	label string
}

type collection struct {
	id      uint32
	name    string
	grants  access.Grants
	indexes []*index // in the order of their making
	objects uint64
}

func newCatalogue() catalogue {
	return catalogue{
		principals: make(map[access.Principal]*principal),
		tasks:      make(map[string]*wire.Row),
		byName:     make(map[string]*collection),
		byID:       make(map[uint32]*collection),
		server:     make(access.Grants),
	}
}

func (c *collection) index(name string) *index {
	for _, x := range c.indexes {
		if x.name == name {
			return x
		}
	}
	return nil
}

// indexes lists all indexes in a fixed order.
func (c *catalogue) indexes() (all []*index) {
	for _, k := range c.collections {
		all = append(all, k.indexes...)
	}
	return all
}

func (c *catalogue) isAdmin(p access.Principal) bool {
	return access.Any(c.server.Rights(p), wire.RightAdmin)
}

// grants returns the grants of a collection, or of the server for 0.
func (c *catalogue) grants(collection uint32) access.Grants {
	if collection == 0 {
		return c.server
	}
	if k := c.byID[collection]; k != nil {
		return k.grants
	}
	return nil
}

// The records of the catalogue. Each body has one fixed layout:
//
//	create collection: name 32 | first principal 32
//	drop collection:   (empty)
//	create index:      name 32 | Task 32 | data type 1 | flags 1 | configuration …
//	drop index:        name 32
//	register Task:     name 32 | row
//	add principal:     principal 32 | owner 4 | data key 32 | label 64
//	remove principal:  principal 32
//	grant, revoke:     principal 32 | rights 1

func grantRecord(kind log.Kind, collection uint32, p access.Principal, r wire.Rights) log.Record {
	return log.Record{Kind: kind, Collection: collection, Body: append(p[:], byte(r))}
}

func createCollectionRecord(id uint32, name string, first access.Principal) log.Record {
	body := append(frame.AppendText(nil, name, wire.MaxIdentifier), first[:]...)
	return log.Record{Kind: log.KindCreateCollection, Collection: id, Body: body}
}

func createIndexRecord(collection uint32, q *Request) log.Record {
	body := frame.AppendText(nil, q.Index, wire.MaxIdentifier)
	body = frame.AppendText(body, string(q.Name), wire.MaxIdentifier)
	body = append(body, byte(q.Type), byte(q.Flags))
	return log.Record{Kind: log.KindCreateIndex, Collection: collection, Body: append(body, q.Query...)}
}

func principalRecord(p access.Principal, owner uint32, key [32]byte, label string) log.Record {
	body := binary.BigEndian.AppendUint32(append([]byte(nil), p[:]...), owner)
	body = frame.AppendText(append(body, key[:]...), label, wire.MaxLabel)
	return log.Record{Kind: log.KindAddPrincipal, Body: body}
}

// applyChange applies a durable record of the catalogue.
func (e *Engine) applyChange(rec *log.Record) error {
	r := frame.NewReader(rec.Body)
	switch rec.Kind {
	case log.KindCreateCollection:
		e.applyCreateCollection(rec.Collection, r)
	case log.KindDropCollection:
		e.applyDropCollection(rec.Collection)
	case log.KindCreateIndex:
		e.applyCreateIndex(e.byID[rec.Collection], r)
	case log.KindDropIndex:
		e.applyDropIndex(e.byID[rec.Collection], r.Text(wire.MaxIdentifier))
	case log.KindRegisterTask:
		e.applyRegisterTask(r)
	case log.KindAddPrincipal:
		e.applyAddPrincipal(r)
	case log.KindRemovePrincipal:
		var p access.Principal
		r.Copy(p[:])
		delete(e.principals, p)
		e.server.Remove(p, wire.RightsAll)
		for _, c := range e.collections {
			c.grants.Remove(p, wire.RightsAll)
		}
	case log.KindGrant, log.KindRevoke:
		var p access.Principal
		r.Copy(p[:])
		rights := wire.Rights(r.U8())
		// The collection may have been dropped by the record before.
		if g := e.grants(rec.Collection); g == nil {
			break
		} else if rec.Kind == log.KindGrant {
			g.Add(p, rights)
		} else {
			g.Remove(p, rights)
		}
	default:
		return frame.ErrMalformed
	}
	return r.Done()
}

func (e *Engine) applyCreateCollection(id uint32, r *frame.Reader) {
	c := &collection{id: id, name: r.Text(wire.MaxIdentifier), grants: make(access.Grants)}
	var first access.Principal
	r.Copy(first[:])
	c.grants.Add(first, wire.RightsAll)
	e.byName[c.name], e.byID[id] = c, c
	e.collections = append(e.collections, c)
	e.identifiers = max(e.identifiers, id)
}

func (e *Engine) applyDropCollection(id uint32) {
	c := e.byID[id]
	if c == nil {
		return
	}
	for _, x := range c.indexes {
		e.stopIndex(x, wire.NoCollection)
	}
	delete(e.byName, c.name)
	delete(e.byID, id)
	e.collections = slices.DeleteFunc(e.collections, func(k *collection) bool { return k == c })
	e.dropped, e.swept = true, 0
}

func (e *Engine) applyCreateIndex(c *collection, r *frame.Reader) {
	x := newIndex(c, r.Text(wire.MaxIdentifier), r.Text(wire.MaxIdentifier))
	x.dataType, x.flags = wire.DataType(r.U8()), wire.Flags(r.U8())
	x.config = r.Rest()
	if c == nil {
		return
	}
	c.indexes = append(c.indexes, x)
	if e.started {
		e.startIndex(x)
	}
}

func (e *Engine) applyDropIndex(c *collection, name string) {
	if c == nil || c.index(name) == nil {
		return
	}
	e.stopIndex(c.index(name), wire.NoIndex)
	c.indexes = slices.DeleteFunc(c.indexes, func(x *index) bool { return x.name == name })
}

// applyRegisterTask writes a row of the API format table. Indexes whose row is
// replaced are rebuilt by the new executable: that is how a Task is upgraded.
func (e *Engine) applyRegisterTask(r *frame.Reader) {
	name := r.Text(wire.MaxIdentifier)
	row, err := wire.DecodeRow(r.Rest())
	r.Require(err == nil)
	e.tasks[name] = &row
	for _, x := range e.indexes() {
		if x.task == name && e.started {
			e.stopIndex(x, wire.IndexUnavailable)
			e.startIndex(x)
		}
	}
}

func (e *Engine) applyAddPrincipal(r *frame.Reader) {
	p := &principal{}
	r.Copy(p.id[:])
	p.owner = r.U32()
	var key [32]byte
	r.Copy(key[:])
	p.label = r.Text(wire.MaxLabel)
	if r.Err() != nil {
		return
	}
	e.Keys.Set(p.owner, key)
	e.owners = max(e.owners, p.owner)
	e.principals[p.id] = p
}

// sweep clears one shard of the mapping of the objects of dropped collections:
// a drop takes effect at once, and its memory comes back bit by bit.
func (e *Engine) sweep() {
	if !e.dropped {
		return
	}
	for _, o := range slices.Collect(e.objects.Shard(e.swept)) {
		if e.byID[o.Collection] == nil {
			e.objects.Delete(o.ID.Value())
		}
	}
	e.swept++
	e.dropped = e.swept < mapping.Shards
}
