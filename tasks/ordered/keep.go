package main

import "motte/sdk"

// An entry on the shelf has the keys of an object, in ascending order.

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (sdk.Entry, bool) { return x.keys.Entry(v) }

// Restore implements sdk.Keeper.
func (x *index) Restore(e sdk.Entry) bool { return x.keys.Restore(e) }

// Restored implements sdk.BulkKeeper.
func (x *index) Restored() { x.keys.Restored() }

// Entry implements keyTree.
func (t *tree[K]) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	var id sdk.Identity
	copy(id[:], v[:])
	n, ok := t.objects.find(&id)
	if !ok {
		return e, false
	}
	t.scratch = t.scratch[:0]
	for _, k := range t.keysOf(n) {
		t.scratch = t.domain.saved.add(t.scratch, k)
	}
	o := t.objects.at(n)
	return sdk.Entry{Identity: o.id, Owner: t.owners.lists[o.owner].owner, Data: t.scratch}, true
}

// Restore implements keyTree. It leaves the entries of the tree to Restored: to sort them all at the
// end takes a fraction of the time.
func (t *tree[K]) Restore(e sdk.Entry) bool {
	t.entries = nil
	keys, ok := t.savedKeys(e.Data)
	if !ok {
		t.drop(&e.Identity)
		return false
	}
	t.replace(&e, keys)
	return true
}

// replace holds an object in the place of the one with the same value. While the index is restored,
// most objects that are replaced have the same owner and one key.
func (t *tree[K]) replace(e *sdk.Entry, keys []K) {
	n, held := t.objects.find(&e.Identity)
	if held && len(keys) == 1 && len(t.keysOf(n)) == 1 {
		if o := t.objects.at(n); t.owners.lists[o.owner].owner == e.Owner {
			o.id, o.key[0] = e.Identity, keys[0]
			return
		}
	}
	if held {
		t.drop(&e.Identity)
	}
	t.hold(&e.Identity, e.Owner, keys)
}

// savedKeys reads the keys of an entry: at least one, and in ascending order. The next call
// overwrites them.
func (t *tree[K]) savedKeys(p []byte) (keys []K, ok bool) {
	keys = t.read[:0]
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
	t.read = keys
	return keys, len(p) == 0 && len(keys) > 0
}
