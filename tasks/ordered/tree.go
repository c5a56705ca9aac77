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
// of 8 bytes takes about 120 bytes.
type tree[K any] struct {
	domain  domain[K]
	path    pointer.Pointer // nil: the whole input is the key, as text
	ordered bool

	entries *btree.BTreeG[entry[K]]
	held    map[identity.Value]K   // the key of an object that has one
	more    map[identity.Value][]K // the keys of an object that has several
}

// entry is one key of one object. Entries are ordered by key, then by the
// identity's value.
type entry[K any] struct {
	key K
	id  identity.ID
}

func newTree[K any](d domain[K], path pointer.Pointer, ordered bool) *tree[K] {
	t := &tree[K]{domain: d, path: path, ordered: ordered,
		held: make(map[identity.Value]K), more: make(map[identity.Value][]K)}
	less := func(a, b entry[K]) bool {
		if c := d.compare(a.key, b.key); c != 0 {
			return c < 0
		}
		return bytes.Compare(a.id[:identity.ValueSize], b.id[:identity.ValueSize]) < 0
	}
	t.entries = btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
	return t
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
		t.hold(c.Identity, keys)
	}
}

func (t *tree[K]) drop(id identity.ID) {
	v := id.Value()
	if k, ok := t.held[v]; ok {
		t.entries.Delete(entry[K]{k, id})
		delete(t.held, v)
		return
	}
	for _, k := range t.more[v] {
		t.entries.Delete(entry[K]{k, id})
	}
	delete(t.more, v)
}

func (t *tree[K]) hold(id identity.ID, keys []K) {
	switch len(keys) {
	case 0:
		return
	case 1:
		t.held[id.Value()] = keys[0]
	default:
		t.more[id.Value()] = keys
	}
	for _, k := range keys {
		t.entries.Set(entry[K]{k, id})
	}
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

// Search visits the keys in the predicate's set, in ascending or descending order.
func (t *tree[K]) Search(asked sdk.Query) (iter.Seq[sdk.Identity], error) {
	q, err := parse(&t.domain, asked.Predicate, t.ordered)
	if err != nil {
		return nil, err
	}
	all := func(yield func(sdk.Identity) bool) {
		f := finder[K]{tree: t, yield: yield}
		if len(t.more) > 0 {
			f.seen = make(map[identity.Value]bool)
		}
		f.visit(q)
	}
	return sdk.Behind(all, asked.After)
}
