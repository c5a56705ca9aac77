package main

import (
	"cmp"
	"iter"
	"slices"

	"github.com/tidwall/btree"

	"motte/core/identity"
	"motte/sdk"
	"motte/sdk/pointer"
)

// maxKeys bounds the keys of one object whose value is an array. A key in memory is many times
// larger than its text. If an index outgrew the Task's memory, it could never be rebuilt.
const maxKeys = 64

// tree keeps the keys of one type in order, and the keys of each object. An object with one key
// of 8 bytes takes about 85 bytes.
type tree[K any] struct {
	domain  domain[K]
	path    pointer.Pointer // nil: the whole input is the key, as text
	ordered bool

	keys func(input []byte) ([]K, error) // the keys of an input, in ascending order

	objects store[K]
	entries *btree.BTreeG[entry[K]] // nil until Restored: see Restore
	owners  owners
	more    map[slot][]K // objects that have several keys, in ascending order
	scratch []byte       // the data of the entry that Entry returned last
	read    []K          // the keys of the entry that Restore took last
}

// entry is one key of one object. Entries are ordered by key, then by the value of the object.
type entry[K any] struct {
	key    K
	prefix uint32 // the first bytes of the value: they nearly always decide
	object slot
}

func newTree[K any](d domain[K], path pointer.Pointer, ordered bool) *tree[K] {
	t := &tree[K]{domain: d, path: path, ordered: ordered,
		owners: owners{number: make(map[sdk.Owner]uint32)}, more: make(map[slot][]K)}
	t.keys = t.valueKeys
	t.entries = t.newEntries()
	return t
}

func (t *tree[K]) newEntries() *btree.BTreeG[entry[K]] {
	less := func(a, b entry[K]) bool { return t.compare(a, b) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// compare orders entries.
func (t *tree[K]) compare(a, b entry[K]) int {
	if c := t.domain.compare(a.key, b.key); c != 0 {
		return c
	}
	return t.compareValues(a, b)
}

// compareValues orders entries by the values of their objects.
func (t *tree[K]) compareValues(a, b entry[K]) int {
	switch {
	case a.prefix != b.prefix:
		return cmp.Compare(a.prefix, b.prefix)
	case a.object == b.object:
		return 0
	case min(a.object, b.object) == firstSlot || max(a.object, b.object) == lastSlot:
		return cmp.Compare(a.object, b.object)
	}
	return compareValues(&t.objects.at(a.object).id, &t.objects.at(b.object).id)
}

// entry returns the entry of a key of an object.
func (t *tree[K]) entry(k K, n slot) entry[K] {
	return entry[K]{k, prefixOf(&t.objects.at(n).id), n}
}

// Apply applies changes in order. Each change first drops the keys under the same value.
func (t *tree[K]) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		t.drop(&c.Identity)
		if c.Remove {
			continue
		}
		keys, err := t.keys(c.Input)
		switch {
		case err != nil:
			c.Refuse()
		case len(keys) == 0:
			c.Skip()
		default:
			t.hold(&c.Identity, c.Owner, keys)
		}
	}
}

// drop drops the object with the value of an identity.
func (t *tree[K]) drop(id *identity.ID) {
	n, ok := t.objects.find(id)
	if !ok {
		return
	}
	o := t.objects.at(n)
	if t.entries != nil {
		for _, k := range t.keysOf(n) {
			t.entries.Delete(t.entry(k, n))
		}
	}
	delete(t.more, n)
	if moved, ok := t.owners.remove(o.owner, o.place); ok {
		t.objects.at(moved).place = o.place
	}
	t.objects.remove(n)
}

// hold holds an object, whose value is not held. The first key is kept apart from the others.
func (t *tree[K]) hold(id *identity.ID, owner sdk.Owner, keys []K) {
	n := t.objects.add(object[K]{id: *id, key: [1]K{keys[0]}})
	o := t.objects.at(n)
	o.owner, o.place = t.owners.add(owner, n)
	if len(keys) > 1 {
		t.more[n] = slices.Clone(keys)
	}
	if t.entries != nil {
		for _, k := range keys {
			t.entries.Set(t.entry(k, n))
		}
	}
}

// keysOf returns the keys of an object that the index holds, in ascending order.
func (t *tree[K]) keysOf(n slot) []K {
	if len(t.more) > 0 {
		if keys := t.more[n]; keys != nil {
			return keys
		}
	}
	return t.objects.at(n).key[:]
}

// valueKeys returns the distinct keys of an input: no key if it has no value, one key, or a key for
// each element of an array. Ambiguous JSON is an error.
func (t *tree[K]) valueKeys(input []byte) ([]K, error) {
	if t.path == nil {
		k, err := t.domain.parse(string(input))
		return []K{k}, err
	}
	value, ok, err := t.path.Find(input)
	if !ok {
		return nil, err
	}
	var keys []K
	var wrong error
	add := func(value []byte) {
		if string(value) == "null" || wrong != nil {
			return
		}
		k, err := t.domain.fromJSON(value)
		keys = append(keys, k)
		if wrong = err; len(keys) > maxKeys {
			wrong = errKey
		}
	}
	if !pointer.Elements(value, add) {
		add(value)
	}
	slices.SortFunc(keys, t.domain.compare)
	keys = slices.CompactFunc(keys, func(a, b K) bool { return t.domain.compare(a, b) == 0 })
	return keys, wrong
}

// Search implements keyTree. The answer has the objects in the order of their keys.
func (t *tree[K]) Search(asked sdk.Query) (iter.Seq[sdk.Identity], error) {
	q, err := parse(&t.domain, asked.Predicate, t.ordered)
	if err != nil {
		return nil, err
	}
	f := &finder[K]{tree: t, query: q, limit: asked.Limit}
	if len(asked.After) > 0 {
		if f.after = f.anchor(asked.After); f.after == nil {
			return nil, sdk.ErrGone
		}
	}
	var p part[K]
	owner, ok := t.owners.number[asked.Owner]
	switch {
	case len(asked.Within) > 0:
		p = t.candidates(&asked)
	case asked.Owner == sdk.AllOwners:
		return f.all, nil
	case !ok:
		return nil, nil
	default:
		p = t.owned(owner)
	}
	return func(yield func(sdk.Identity) bool) { f.of(p, yield) }, nil
}
