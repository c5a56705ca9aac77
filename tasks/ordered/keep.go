package main

import "motte/sdk"

// An entry on the shelf has the keys of an object, in ascending order.

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (sdk.Entry, bool) { return x.keys.Entry(v) }

// Restore implements sdk.Keeper.
func (x *index) Restore(e sdk.Entry) bool { return x.keys.Restore(e) }

// Entry implements keyTree.
func (t *tree[K]) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	m, ok := t.held[v]
	if !ok {
		return e, false
	}
	keys := t.keysOf(t.owners.at(m))
	held, _ := t.entries.Get(entry[K]{key: keys[0], id: join(v)})
	t.scratch = t.scratch[:0]
	for _, k := range keys {
		t.scratch = t.domain.saved.add(t.scratch, k)
	}
	return sdk.Entry{Identity: held.id, Owner: t.owners.lists[m.owner].owner, Data: t.scratch}, true
}

// join returns an identity with a value.
func join(v sdk.Value) (id sdk.Identity) {
	copy(id[:], v[:])
	return id
}

// Restore implements keyTree.
func (t *tree[K]) Restore(e sdk.Entry) bool {
	t.drop(e.Identity)
	keys, ok := t.savedKeys(e.Data)
	if ok {
		t.hold(&sdk.Change{Identity: e.Identity, Owner: e.Owner}, keys)
	}
	return ok
}

// savedKeys reads the keys of an entry: at least one, and in ascending order.
func (t *tree[K]) savedKeys(p []byte) (keys []K, ok bool) {
	for len(p) > 0 && len(keys) < maxKeys {
		var k K
		if k, p, ok = t.domain.saved.read(p); !ok {
			return nil, false
		}
		if n := len(keys); n > 0 && t.domain.compare(keys[n-1], k) >= 0 {
			return nil, false
		}
		keys = append(keys, k)
	}
	return keys, len(p) == 0 && len(keys) > 0
}
