package main

import (
	"bytes"
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
// of 8 bytes takes about 145 bytes, 30 of them in the list of its owner.
type tree[K any] struct {
	domain  domain[K]
	path    pointer.Pointer // nil: the whole input is the key, as text
	ordered bool

	entries *btree.BTreeG[entry[K]]
	held    map[identity.Value]member
	owners  owners[K]
	more    map[identity.Value][]K // objects that have several keys, in ascending order
	scratch []byte                 // the data of the entry that Entry returned last
}

// entry is one key of one object. Entries are ordered by key, then by the
// identity's value.
type entry[K any] struct {
	key K
	id  identity.ID
}

func newTree[K any](d domain[K], path pointer.Pointer, ordered bool) *tree[K] {
	t := &tree[K]{domain: d, path: path, ordered: ordered,
		held: make(map[identity.Value]member), owners: owners[K]{number: make(map[sdk.Owner]uint32)},
		more: make(map[identity.Value][]K)}
	less := func(a, b entry[K]) bool { return t.compare(a, b) < 0 }
	t.entries = btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
	return t
}

// compare orders entries.
func (t *tree[K]) compare(a, b entry[K]) int {
	if c := t.domain.compare(a.key, b.key); c != 0 {
		return c
	}
	return bytes.Compare(a.id[:identity.ValueSize], b.id[:identity.ValueSize])
}

// Apply applies changes in order. Each change first drops the keys under the same value.
func (t *tree[K]) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		t.drop(c.Identity)
		if c.Remove {
			continue
		}
		keys, err := t.keys(c.Input)
		if err != nil {
			c.Refuse()
			continue
		}
		if len(keys) == 0 {
			c.Skip()
			continue
		}
		t.hold(c, keys)
	}
}

func (t *tree[K]) drop(id identity.ID) {
	v := id.Value()
	m, ok := t.held[v]
	if !ok {
		return
	}
	for _, k := range t.keysOf(t.owners.at(m)) {
		t.entries.Delete(entry[K]{k, id})
	}
	delete(t.held, v)
	delete(t.more, v)
	if moved, ok := t.owners.remove(m); ok {
		t.held[moved] = m
	}
}

func (t *tree[K]) hold(c *sdk.Change, keys []K) {
	v := c.Identity.Value()
	t.held[v] = t.owners.add(c.Owner, object[K]{v, [1]K{keys[0]}})
	if len(keys) > 1 {
		t.more[v] = keys
	}
	for _, k := range keys {
		t.entries.Set(entry[K]{k, c.Identity})
	}
}

// keysOf returns the keys of an object that the index holds, in ascending order.
func (t *tree[K]) keysOf(o *object[K]) []K {
	if len(t.more) > 0 {
		if keys := t.more[o.value]; keys != nil {
			return keys
		}
	}
	return o.key[:]
}

// keys returns the distinct keys of an input: no key if it has no value, one key, or a key for
// each element of an array. Ambiguous JSON is an error.
func (t *tree[K]) keys(input []byte) ([]K, error) {
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
	if asked.Owner == sdk.AllOwners {
		return f.all, nil
	}
	owner, ok := t.owners.number[asked.Owner]
	if !ok {
		return func(func(sdk.Identity) bool) {}, nil
	}
	return func(yield func(sdk.Identity) bool) { f.of(owner, yield) }, nil
}
