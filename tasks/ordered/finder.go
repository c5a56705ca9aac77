package main

import (
	"iter"
	"slices"

	"motte/sdk"
)

// finder finds the objects of one answer: those with a key in the predicate's set. An object
// stands in the answer where its first entry stands, in the direction of the answer. Entries
// whose keys are not in the set do not count.
type finder[K any] struct {
	tree *tree[K]
	query[K]
	after *entry[K] // the answer begins behind this entry, whose key is in the set; nil: at its first entry
	limit int       // the answer needs one object more, to show whether more match
}

// anchor returns the entry behind which an answer continues: the first entry of the first of
// these objects that the index holds in the same version. It is nil if there is no such object.
func (f *finder[K]) anchor(after []sdk.Identity) *entry[K] {
	for i := range after {
		n, ok := f.tree.objects.find(&after[i])
		if !ok || f.tree.objects.at(n).id != after[i] {
			continue
		}
		if k, ok := f.firstKey(n); ok {
			e := f.tree.entry(k, n)
			return &e
		}
	}
	return nil
}

// all yields the objects of all owners.
func (f *finder[K]) all(yield func(sdk.Identity) bool) {
	f.walk(func(e entry[K]) bool { return !f.isFirst(e) || yield(f.tree.objects.at(e.object).id) })
}

// part is the part of the index that an answer is for: the objects of one owner, or the candidates.
type part[K any] struct {
	size    int                     // objects, at most
	objects iter.Seq[slot]          // those that the index holds
	wants   func(o *object[K]) bool // false: the object is not in the part
}

// owned returns the objects of one owner.
func (t *tree[K]) owned(owner uint32) part[K] {
	objects := t.owners.lists[owner].objects
	return part[K]{len(objects), slices.Values(objects), func(o *object[K]) bool { return o.owner == owner }}
}

// candidates returns the candidates of a query. Those of other owners are not in the part. Other
// objects may be wanted: sdk leaves them out.
func (t *tree[K]) candidates(q *sdk.Query) part[K] {
	wants := func(o *object[K]) bool { return q.Wants(t.owners.lists[o.owner].owner) }
	held := func(yield func(slot) bool) {
		for i := range q.Within {
			n, ok := t.objects.find(&q.Within[i])
			if ok && t.objects.at(n).id == q.Within[i] && wants(t.objects.at(n)) && !yield(n) {
				return
			}
		}
	}
	return part[K]{len(q.Within), held, wants}
}

// of yields the objects of a part, which has m of the n objects of the index.
//
// There are two ways. Filtering the tree takes n/m steps for each object shown if parts are
// mixed, and n steps at worst. Gathering the part's objects takes m steps, whatever the limit.
// The cheaper way depends on how many of the part's objects are in the set, and where. So of
// filters m entries first, and gathers the rest if it needs more. If filtering is cheaper, of
// takes as many steps. Otherwise it takes 2m, twice as many as gathering.
//
// An example is n = 1,000,000 and a limit of 10. For m = 10, of takes 20 steps. For m = 100,000
// it takes about 100 steps in a mixed range, and 200,000 at worst.
func (f *finder[K]) of(p part[K], yield func(sdk.Identity) bool) {
	if last := f.filter(p, yield); last != nil {
		f.gather(p, *last, yield)
	}
}

// filter yields the objects of a part among as many entries as the part has objects. It returns
// the last of these entries, or nil if the answer has ended.
func (f *finder[K]) filter(p part[K], yield func(sdk.Identity) bool) (last *entry[K]) {
	steps := p.size
	var visited entry[K]
	f.walk(func(e entry[K]) bool {
		if steps == 0 {
			last = &visited
			return false
		}
		steps--
		visited = e
		o := f.tree.objects.at(e.object)
		return !p.wants(o) || !f.isFirst(e) || yield(o.id)
	})
	return last
}

// gather yields the objects of a part behind an entry, from the list of the part's objects.
func (f *finder[K]) gather(p part[K], behind entry[K], yield func(sdk.Identity) bool) {
	var found []entry[K]
	for n := range p.objects {
		k, ok := f.firstKey(n)
		if !ok {
			continue
		}
		e := f.tree.entry(k, n)
		if f.compare(behind, e) < 0 {
			found = append(found, e)
		}
		if len(found) > 2*f.limit+1 {
			found = f.first(found) // so memory follows the limit
		}
	}
	for _, e := range f.first(found) {
		if !yield(f.tree.objects.at(e.object).id) {
			return
		}
	}
}

// first sorts entries, and returns as many as the answer needs at most.
func (f *finder[K]) first(found []entry[K]) []entry[K] {
	slices.SortFunc(found, f.compare)
	return found[:min(len(found), f.limit+1)]
}

// compare orders entries in the direction of the answer.
func (f *finder[K]) compare(a, b entry[K]) int {
	if f.descending {
		a, b = b, a
	}
	return f.tree.compare(a, b)
}

// fits reports whether an object has the keys that are required.
func (f *finder[K]) fits(n slot) bool {
	if len(f.required) == 0 {
		return true
	}
	keys := f.tree.keysOf(n)
	for _, s := range f.required {
		if !slices.ContainsFunc(keys, func(k K) bool { return f.tree.domain.contains(s, k) }) {
			return false
		}
	}
	return true
}

// firstKey returns the first key of an object that is in the set, if the object fits.
func (f *finder[K]) firstKey(n slot) (k K, ok bool) {
	if !f.fits(n) {
		return k, false
	}
	keys := f.tree.keysOf(n)
	for i := range keys {
		k := keys[i]
		if f.descending {
			k = keys[len(keys)-1-i]
		}
		if f.tree.domain.contains(f.keys, k) {
			return k, true
		}
	}
	return k, false
}

// isFirst reports whether an entry, whose key is in the set, is the first of an object that fits. It goes
// from the key to those before it, up to the next that is in the set. So it visits each key of
// an object once during one answer.
func (f *finder[K]) isFirst(e entry[K]) bool {
	if len(f.tree.more) == 0 {
		return f.fits(e.object)
	}
	keys := f.tree.more[e.object]
	if keys == nil {
		return f.fits(e.object)
	}
	at, _ := slices.BinarySearchFunc(keys, e.key, f.tree.domain.compare)
	step := -1
	if f.descending {
		step = 1
	}
	for n := at + step; n >= 0 && n < len(keys); n += step {
		if f.tree.domain.contains(f.keys, keys[n]) {
			return false
		}
	}
	return f.fits(e.object)
}
