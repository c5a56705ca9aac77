package engine

import (
	"slices"

	"motte/core/access"
	"motte/core/frame"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/task"
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
	collections []*collection   // by identifier, so that walks have one order
	server      access.Grants   // rights on the server itself
	owners      uint32          // the highest owner given out
	identifiers uint32          // the highest given to a collection; never given again
	cleaned     int64           // Unix time at which all dead records had been given back
	erased      map[uint32]bool // owners without a data key, or whose key is to be destroyed
	dropped     bool            // objects of dropped collections, or of erased owners, may still be in the mapping
	swept       int             // the next shard of the mapping to clear of them
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
		erased:     make(map[uint32]bool),
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

// entry is the body of every record of the catalogue, in one layout for all
// kinds; fields that a kind does not use are zero:
//
//	name 32 | Task 32 | data type 1 | flags or rights 1 | principal 32
//	owner 4 | label 64 | configuration or row …
type entry struct {
	name, task string
	dataType   wire.DataType
	flags      wire.Flags // or rights
	principal  access.Principal
	owner      uint32
	label      string
	rest       []byte
}

func (n entry) record(kind log.Kind, collection uint32) log.Record {
	return log.Record{Kind: kind, Collection: collection, Body: frame.Writer(nil).
		Text(n.name, wire.MaxIdentifier).Text(n.task, wire.MaxIdentifier).U8(byte(n.dataType), byte(n.flags)).
		Bytes(n.principal[:]).U32(n.owner).Text(n.label, wire.MaxLabel).Bytes(n.rest)}
}

func decodeEntry(p []byte) (n entry, err error) {
	r := frame.NewReader(p)
	n.name, n.task = r.Text(wire.MaxIdentifier), r.Text(wire.MaxIdentifier)
	n.dataType, n.flags = wire.DataType(r.U8()), wire.Flags(r.U8())
	r.Copy(n.principal[:])
	n.owner = r.U32()
	n.label, n.rest = r.Text(wire.MaxLabel), r.Rest()
	return n, r.Done()
}

// applyChange applies a durable record of the catalogue. Its collection may
// have been dropped by a record before it; then it changes nothing.
func (e *Engine) applyChange(rec *log.Record) error {
	n, err := decodeEntry(rec.Body)
	if err != nil {
		return err
	}
	c, grants := e.byID[rec.Collection], e.server
	if c != nil {
		grants = c.grants
	}
	switch {
	case rec.Kind == log.KindCreateCollection:
		c := &collection{id: rec.Collection, name: n.name, grants: access.Grants{}}
		c.grants.Set(n.principal, wire.Rights(n.flags))
		e.byName[c.name], e.byID[c.id] = c, c
		e.collections = append(e.collections, c)
		e.identifiers = max(e.identifiers, c.id)
	case rec.Kind == log.KindRegisterTask:
		return e.applyRegisterTask(n)
	case rec.Kind == log.KindAddPrincipal:
		e.owners = max(e.owners, n.owner)
		e.principals[n.principal] = &principal{id: n.principal, owner: n.owner, label: n.label}
	case rec.Kind == log.KindRemovePrincipal:
		e.forget(n.principal)
		if n.flags&wire.FlagErase != 0 {
			e.applyErase(n.owner, rec.LSN)
		}
	case c == nil && rec.Collection != 0:
	case rec.Kind == log.KindGrant:
		grants.Set(n.principal, grants.Rights(n.principal)|wire.Rights(n.flags))
	case rec.Kind == log.KindRevoke:
		grants.Set(n.principal, grants.Rights(n.principal)&^wire.Rights(n.flags))
		e.out.Ended = append(e.out.Ended, n.principal)
	case c == nil:
		return frame.ErrMalformed
	case rec.Kind == log.KindDropCollection:
		for _, x := range c.indexes {
			e.stopIndex(x, wire.NoCollection)
		}
		delete(e.byName, c.name)
		delete(e.byID, c.id)
		e.collections = slices.DeleteFunc(e.collections, func(k *collection) bool { return k == c })
		e.dropped, e.swept = true, 0
	case rec.Kind == log.KindCreateIndex:
		x := &index{c: c, entry: n, state: wire.IndexStarting, leaked: make(map[access.Principal]uint64)}
		c.indexes = append(c.indexes, x)
		if e.started {
			e.startIndex(x)
		}
	case rec.Kind == log.KindDropIndex && c.index(n.name) != nil:
		e.stopIndex(c.index(n.name), wire.NoIndex)
		c.indexes = slices.DeleteFunc(c.indexes, func(x *index) bool { return x.name == n.name })
	}
	return nil
}

// applyRegisterTask writes a row of the API format table. Indexes whose row is
// replaced are rebuilt by the new executable: that is how a Task is upgraded.
func (e *Engine) applyRegisterTask(n entry) error {
	row, err := wire.DecodeRow(n.rest)
	if err != nil {
		return err
	}
	e.tasks[n.name] = &row
	for _, x := range e.indexes() {
		if x.task == n.name && e.started {
			e.stopIndex(x, wire.IndexUnavailable)
			x.accepted = false
			e.startIndex(x)
		}
	}
	return nil
}

// forget takes a principal away, with all its rights and connections.
func (e *Engine) forget(p access.Principal) {
	delete(e.principals, p)
	e.out.Ended = append(e.out.Ended, p)
	e.server.Set(p, 0)
	for _, c := range e.collections {
		c.grants.Set(p, 0)
	}
}

// sweep clears one shard of the mapping of the objects of dropped collections and of
// erased owners. A drop takes effect at once, and its memory comes back bit by bit; an
// erasure clears all shards at once. The LSN is that of its record: indexes hear of it.
func (e *Engine) sweep(lsn uint64) {
	if !e.dropped {
		return
	}
	var gone []mapping.Entry
	for o := range e.objects.Shard(e.swept) {
		if e.byID[o.Collection] == nil || e.erased[o.Owner] {
			gone = append(gone, o)
		}
	}
	for _, o := range gone {
		e.remove(o.ID.Value())
		if c := e.byID[o.Collection]; c != nil {
			for _, x := range c.indexes {
				x.follow(delivery{step: task.Remove, lsn: lsn, gone: o, hasGone: true}, nil, nil)
			}
		}
	}
	e.swept++
	e.dropped = e.swept < mapping.Shards
}
