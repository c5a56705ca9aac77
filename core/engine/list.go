package engine

import (
	"motte/core/access"
	"motte/core/mapping"
	"motte/core/wire"
)

// A LIST is answered in parts, so that neither its size nor a slow reader
// takes memory or holds up the engine.
const (
	listPart = 512     // objects after which a part ends
	listScan = 1 << 16 // entries of the mapping looked at for one part
)

type listKey struct {
	conn   Conn
	number uint64
}

// list is the flow of a LIST: every object of the collection that the
// principal may read. It shows each object at most once, and every object that
// was there all the time.
type list struct {
	req   *Request
	c     *collection
	p     *principal
	shard int
	count uint32
}

func (e *Engine) list(q *Request, p *principal) {
	c, code := e.collectionFor(q, wire.RightRead|wire.RightReadOwn)
	if code != wire.OK {
		e.end(q, code)
		return
	}
	key := listKey{q.Conn, q.Number}
	e.lists[key] = &list{req: q, c: c, p: p}
	e.Next(key.conn, key.number)
}

// Next asks for the next part of a LIST whose last part was sent.
func (e *Engine) Next(conn Conn, number uint64) {
	key := listKey{conn, number}
	l := e.lists[key]
	if l == nil {
		return
	}
	if e.byID[l.c.id] == nil || e.principals[l.p.id] != l.p {
		delete(e.lists, key)
		e.end(l.req, wire.NoCollection)
		return
	}
	rights := l.c.grants.Rights(l.p.id)
	var part []mapping.Entry
	for scanned := 0; l.shard < mapping.Shards && len(part) < listPart && scanned < listScan; l.shard++ {
		for o := range e.objects.Shard(l.shard) {
			scanned++
			if o.Collection == l.c.id && access.Read(rights, o.Owner == l.p.owner) {
				part = append(part, o)
			}
		}
	}
	l.count += uint32(len(part))
	more := l.shard < mapping.Shards
	if !more {
		delete(e.lists, key)
	}
	e.reply(l.req, Reply{Objects: part, IDsOnly: l.req.Flags&wire.FlagIDsOnly != 0, More: more, Count: l.count})
}

// Closed says that a connection is gone: nobody reads its answers any more.
func (e *Engine) Closed(conn Conn) {
	for key := range e.lists {
		if key.conn == conn {
			delete(e.lists, key)
		}
	}
}
