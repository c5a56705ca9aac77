package fsck

import (
	"iter"
	"maps"
	"slices"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/mapping"
)

// objects holds the locations of each collection's objects.
type objects map[uint32]*mapping.Map

func (m objects) get(collection uint32, v identity.Value) (o mapping.Entry, ok bool) {
	if c := m[collection]; c != nil {
		o, ok = c.Get(v)
	}
	return o, ok
}

func (m objects) put(o mapping.Entry) {
	if m[o.Collection] == nil {
		m[o.Collection] = mapping.New(o.Collection)
	}
	m[o.Collection].Put(o)
}

func (m objects) delete(o mapping.Entry) {
	if c := m[o.Collection]; c != nil {
		c.Delete(o.ID.Value())
	}
}

func (m objects) size() (n int) {
	for _, c := range m {
		n += c.Len()
	}
	return n
}

// all yields all objects, collection by collection.
func (m objects) all() iter.Seq[mapping.Entry] {
	return func(yield func(mapping.Entry) bool) {
		for _, id := range slices.Sorted(maps.Keys(m)) {
			for o := range m[id].After(identity.Value{}) {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// sectionEntries is the most entries that a section of a checkpoint has.
const sectionEntries = 4096

// sections returns a function that yields the sections of a checkpoint after its catalogue, in
// order, and then nil. See package engine.
func (m objects) sections() func() []byte {
	left, after := slices.Sorted(maps.Keys(m)), identity.Value{}
	return func() []byte {
		for len(left) > 0 {
			piece, last := m[left[0]].Append(codec.Writer(nil).U32(left[0]), after, sectionEntries)
			if last != after {
				after = last
				return piece
			}
			left, after = left[1:], identity.Value{}
		}
		return nil
	}
}

// add adds the objects of sections that come in order.
func (m objects) add(piece []byte) error {
	r := codec.NewReader(piece)
	id, entries := r.U32(), r.Rest()
	if m[id] == nil {
		m[id] = mapping.New(id)
	}
	_, err := m[id].Load(entries, identity.Value{})
	return err
}
