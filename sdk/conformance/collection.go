package conformance

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"

	"motte/core/identity"
	"motte/core/taskwire"
)

// collection is what a process of the Task was sent: the model that its answers are compared
// with.
type collection struct {
	source  *rand.Rand             // of identities
	values  map[int]identity.Value // by the number of the object
	objects map[identity.Value]*object
	entries []*entry                 // all that there ever were
	known   map[identity.ID][]*entry // by identity: the same content may be put again
}

// object is an object with all its contents, one after the other.
type object struct {
	number  int
	current *entry // what the Task finds; nil: the object was removed, refused, or has no input

	// The present content. An object whose input was refused, or that has none, is there, too.
	there  bool
	id     identity.ID
	owner  taskwire.Owner
	sample string
	input  []byte
	void   bool // it has no input
	expect expectation
}

// entry is an object with one content, from one frame to another.
type entry struct {
	id     identity.ID
	object *object
	sample string // name of its input; "": the case does not know it
	owner  taskwire.Owner
	from   uint64 // number of the Insert
	to     uint64 // number of the frame that ended it; 0: it lives
	end    string // how it ended
}

func newCollection(source *rand.Rand) *collection {
	return &collection{source: source, values: make(map[int]identity.Value),
		objects: make(map[identity.Value]*object), known: make(map[identity.ID][]*entry)}
}

// live reports whether a Search with this number sees the entry.
func (e *entry) live(seq uint64) bool { return e.from < seq && (e.to == 0 || seq < e.to) }

// object returns the object with this number, and makes it if it is new.
func (k *collection) object(number int) *object {
	v, ok := k.values[number]
	if !ok {
		binary.BigEndian.PutUint64(v[:], k.source.Uint64())
		binary.BigEndian.PutUint64(v[8:], k.source.Uint64())
		k.values[number] = v
		k.objects[v] = &object{number: number}
	}
	return k.objects[v]
}

// identify makes an identity for a new content of an object.
func (k *collection) identify(o *object) (id identity.ID) {
	v := k.values[o.number]
	copy(id[:], v[:])
	binary.BigEndian.PutUint64(id[identity.ValueSize:], k.source.Uint64())
	binary.BigEndian.PutUint64(id[identity.ValueSize+8:], k.source.Uint64())
	return id
}

// How an entry ended.
const (
	removed  = "removed"
	replaced = "replaced"
	refused  = "ended by a refused input"
	emptied  = "ended by a content without an input"
)

// insert notes the Insert of an entry.
func (k *collection) insert(seq uint64, e *entry, input []byte, x expectation) {
	o := e.object
	o.there, o.id, o.owner, o.sample, o.input, o.void, o.expect = true, e.id, e.owner, e.sample, input, false, x
	e.from = seq
	if x == mustRefuse {
		k.end(seq, o, refused)
		e.to, e.end = seq, refused
	} else {
		k.end(seq, o, replaced)
		o.current = e
	}
	k.entries = append(k.entries, e)
	k.known[e.id] = append(k.known[e.id], e)
}

// remove notes the Remove of an object.
func (k *collection) remove(seq uint64, o *object) {
	k.end(seq, o, removed)
	o.there = false
}

// empty notes that an object has a content without an input.
func (k *collection) empty(seq uint64, o *object, id identity.ID, owner taskwire.Owner) {
	k.end(seq, o, emptied)
	o.there, o.id, o.owner, o.sample, o.input, o.void = true, id, owner, "", nil, true
	e := &entry{id: id, object: o, owner: owner, from: seq, to: seq, end: emptied}
	k.entries = append(k.entries, e)
	k.known[id] = append(k.known[id], e)
}

// end notes that an object has no entry any more.
func (k *collection) end(seq uint64, o *object, how string) {
	if o.current != nil {
		o.current.to, o.current.end = seq, how
	}
	o.current = nil
}

// atStart is the number of the frame with which a process begins: changes of before have it.
const atStart = 1

// successor returns the same collection for another process of the Task, which was sent nothing
// yet. All changes were made before its start.
func (k *collection) successor() *collection {
	next := newCollection(k.source)
	for _, e := range k.entries {
		o := *e.object
		o.current = nil
		if next.objects[e.id.Value()] == nil {
			next.values[o.number] = e.id.Value()
			next.objects[e.id.Value()] = &o
		}
		copied := &entry{id: e.id, object: next.objects[e.id.Value()], sample: e.sample, owner: e.owner, from: atStart, end: e.end}
		if e.to != 0 {
			copied.to = atStart
		} else {
			copied.object.current = copied
		}
		next.entries = append(next.entries, copied)
		next.known[e.id] = append(next.known[e.id], copied)
	}
	return next
}

// all returns the objects that are there, in the order of their values.
func (k *collection) all() (list []*object) {
	for _, o := range k.objects {
		if o.there {
			list = append(list, o)
		}
	}
	slices.SortFunc(list, func(a, b *object) int { return a.id.Compare(b.id) })
	return list
}

// find returns the entries that a Search with this number finds.
func (k *collection) find(seq uint64, q *question) (found []*entry) {
	for _, e := range k.entries {
		if _, matches := q.ranks[e.sample]; matches && e.live(seq) {
			found = append(found, e)
		}
	}
	return found
}

// at returns the entry with an identity that a Search with this number sees, or nil.
func (k *collection) at(seq uint64, id identity.ID) *entry {
	for _, e := range k.known[id] {
		if e.live(seq) {
			return e
		}
	}
	return nil
}

// living returns the entries that live now, in the order of their Inserts.
func (k *collection) living() (list []*entry) {
	for _, e := range k.entries {
		if e.to == 0 {
			list = append(list, e)
		}
	}
	return list
}

// name names an identity to people.
func (k *collection) name(id identity.ID) string {
	entries := k.known[id]
	if len(entries) == 0 {
		if o := k.objects[id.Value()]; o != nil {
			return fmt.Sprintf("an identity of object %d that never was", o.number)
		}
		return fmt.Sprintf("the unknown identity %x", id)
	}
	e := entries[len(entries)-1]
	return fmt.Sprintf("object %d %s", e.object.number, e.content())
}

// content names the content of an entry.
func (e *entry) content() string {
	if e.sample == "" {
		return "(another input)"
	}
	return "(" + e.sample + ")"
}
