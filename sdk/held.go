package sdk

import "motte/core/taskwire"

// held records the identities of all objects that the Core has told the index, and that the index
// was not told to drop.
type held struct {
	entries table
	voids   table // objects that are not in the index: refused, skipped, or without an input
}

// note records a change that the index has applied. It reports whether the value was held before.
func (h *held) note(c *Change) (had bool) {
	v := c.Identity.Value()
	switch {
	case c.void || c.refused || c.skipped:
		had = h.entries.drop(&v)
		return h.voids.put(&c.Identity) || had
	case c.Remove:
		had = h.entries.drop(&v)
	default:
		had = h.entries.put(&c.Identity)
	}
	return h.voids.drop(&v) || had
}

// record records an object that an earlier process held.
func (h *held) record(r *record) {
	v := r.Identity.Value()
	h.voids.drop(&v)
	switch r.kind {
	case recordEntry:
		h.entries.put(&r.Identity)
		return
	case recordVoid:
		h.voids.put(&r.Identity)
	}
	h.entries.drop(&v)
}

// atLeast returns the first value that is not below v.
func (h *held) atLeast(v *Value) (Value, bool) {
	a, okA := h.entries.atLeast(v)
	b, okB := h.voids.atLeast(v)
	if okB && (!okA || lessValue(&b, &a)) {
		return b, true
	}
	return a, okA
}

// run returns the number and the sum of the tags from one value to another.
func (h *held) run(first, last *Value) (r taskwire.Run) {
	for _, t := range []*table{&h.entries, &h.voids} {
		t.ascend(first, func(v *Value, g *tag) bool {
			if lessValue(last, v) {
				return false
			}
			id := join(v, g)
			r.Sum.Add(&id)
			r.Count++
			return true
		})
	}
	return r
}

// unlisted returns the identities from one value to another that are not in a list. The list is
// in ascending order.
func (t *table) unlisted(first, last *Value, list []Identity) (ids []Identity) {
	t.ascend(first, func(v *Value, g *tag) bool {
		if lessValue(last, v) {
			return false
		}
		id := join(v, g)
		for len(list) > 0 && list[0].Compare(id) < 0 {
			list = list[1:]
		}
		if len(list) == 0 || list[0] != id {
			ids = append(ids, id)
		}
		return true
	})
	return ids
}

// holds reports whether the index holds exactly this identity.
func (h *held) holds(id *Identity) bool {
	v, g := id.Value(), tag(id[len(Value{}):])
	if entry, ok := h.entries.get(&v); ok && entry == g {
		return true
	}
	void, ok := h.voids.get(&v)
	return ok && void == g
}
