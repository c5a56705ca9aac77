package engine

import (
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
)

// setQuota decides a QUOTA. Only a server administrator sets quotas, since the disk belongs to
// the server.
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

// usage is the size of a collection: the number of objects, and the bytes of their records in
// the log, with seals and padding. So it is the disk space that the objects take.
type usage struct{ objects, bytes int64 }

// count adds an object, if n is 1, or subtracts it, if n is -1. It ignores a deletion.
func (u *usage) count(o mapping.Entry, n int64) {
	if o.Owner == seglog.CoreOwner {
		return
	}
	u.objects += n
	u.bytes += n * int64(o.Loc.Length)
}

// fits reports whether a collection stays within its quota after the staged objects replace
// the objects of the same values. Uncommitted records count as if they were durable. A write
// that does not grow the collection always fits. So a quota below the present size stops
// growth alone, and a deletion is never refused.
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
	return within(c.projected.objects, grows.objects, c.quota.Objects) &&
		within(c.projected.bytes, grows.bytes, c.quota.Bytes)
}

// within reports whether a size may grow by that amount. A quota of 0 does not limit it.
func within(there, grows int64, quota uint64) bool {
	return quota == 0 || grows <= 0 || uint64(there+grows) <= quota
}

// limited reports whether a collection has a quota. Only then does the engine maintain
// projected, since that costs two more look-ups in the mapping for each write.
func (c *collection) limited() bool { return c != nil && c.quota != (model.Quota{}) }

// recount computes projected, the size of a collection once all uncommitted records are
// durable.
func (e *Engine) recount(c *collection) {
	c.projected = usage{int64(c.objects.Len()), int64(c.bytes)}
	for v, o := range e.pending {
		if o.Collection != c.id {
			continue
		}
		if cur, exists := c.objects.Get(v); exists {
			c.projected.count(cur, -1)
		}
		c.projected.count(o, 1)
	}
}

// addPending adds the state of an object after an uncommitted record. Decisions on writes and
// quotas see that state.
func (e *Engine) addPending(r *seglog.Record) {
	v, c := r.ID.Value(), e.byID[r.Collection]
	o := mapping.Entry{ID: r.ID, LSN: r.LSN, Collection: r.Collection, Owner: r.Owner, Loc: size(r)}
	if c.limited() {
		if before, exists := e.expected(c, v); exists {
			c.projected.count(before, -1)
		}
		c.projected.count(o, 1)
	}
	e.pending[v] = o
}

// size returns a location that has only the length of a record: the record is not stored yet.
func size(r *seglog.Record) seglog.Location {
	return seglog.Location{Length: uint32(seglog.RecordSize(len(r.Body)))}
}
