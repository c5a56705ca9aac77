package engine

import (
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
)

// setQuota decides a QUOTA. It is not for a collection's own administrator: the disk is
// the server's.
func (e *Engine) setQuota(q *Request) model.Code {
	if !e.isAdmin(q.by.id) {
		return model.Denied
	}
	quota, err := model.DecodeQuota(q.Query)
	if err != nil {
		return model.InvalidRequest
	}
	return e.change(q, quotaLimit(quota).record(q.in.id))
}

// usage is the size of a collection: objects, and the bytes of their records as the log
// stores them, seals and padding included. So it is the cost of the objects on the
// disk, however small they are.
type usage struct{ objects, bytes int64 }

// count adds an object n times; with n -1 it takes one away. A deletion is no object.
func (u *usage) count(o mapping.Entry, n int64) {
	if o.Owner == seglog.CoreOwner {
		return
	}
	u.objects += n
	u.bytes += n * int64(o.Loc.Length)
}

// fits reports whether a collection stays within its quota when the staged objects have
// replaced those of the same values. Records on their way count as if they were
// durable, and a write that does not grow the collection always fits: so a quota below
// the present size stops growth alone, and a deletion is never refused.
func (e *Engine) fits(c *collection, staged map[identity.Value]mapping.Entry) bool {
	if !c.limited() {
		return true
	}
	var grows usage
	for v, o := range staged {
		grows.count(o, 1)
		if cur, exists := e.expected(c, v); exists {
			grows.count(cur, -1)
		}
	}
	return within(c.coming.objects, grows.objects, c.quota.Objects) &&
		within(c.coming.bytes, grows.bytes, c.quota.Bytes)
}

// within reports whether a size may grow by so much; a quota of 0 is no limit.
func within(there, grows int64, quota uint64) bool {
	return quota == 0 || grows <= 0 || uint64(there+grows) <= quota
}

// limited reports whether a collection has a quota. Only then does the Core count the
// coming objects, since that costs each write two more look-ups in the mapping.
func (c *collection) limited() bool { return c != nil && c.quota != (model.Quota{}) }

// recount counts the size of a collection as it will be when all records on their way
// are durable.
func (e *Engine) recount(c *collection) {
	c.coming = usage{int64(c.objects.Len()), int64(c.bytes)}
	for v, o := range e.pending {
		if o.Collection != c.id {
			continue
		}
		if cur, exists := c.objects.Get(v); exists {
			c.coming.count(cur, -1)
		}
		c.coming.count(o, 1)
	}
}

// addPending notes the state that an object will have after a record on its way: decisions on
// writes see that state, and the quota counts it.
func (e *Engine) addPending(r *seglog.Record) {
	v, c := r.ID.Value(), e.byID[r.Collection]
	o := mapping.Entry{ID: r.ID, LSN: r.LSN, Collection: r.Collection, Owner: r.Owner, Loc: size(r)}
	if c.limited() {
		if before, exists := e.expected(c, v); exists {
			c.coming.count(before, -1)
		}
		c.coming.count(o, 1)
	}
	e.pending[v] = o
}

// size is the location of a record that has none yet: its length alone.
func size(r *seglog.Record) seglog.Location {
	return seglog.Location{Length: uint32(seglog.RecordSize(len(r.Body)))}
}
