package main

import "motte/sdk"

// slot is the number of an object in the store. An object keeps its slot. No object has slot 0.
type slot uint32

// object is an object of the index.
type object struct {
	id     sdk.Identity
	corner point // the point, or the south-western corner of the shape's box
	owner  uint32
	place  uint32 // in the list of its owner
	layer  uint8
}

// store holds the objects, and lists those of each owner. A point takes about 130 bytes, with its
// entry in a layer. A shape takes about 500 bytes more, and 16 for each vertex.
type store struct {
	chunks  [][]object
	next    slot // the first that was never used
	free    []slot
	byValue map[sdk.Value]slot
	shapes  map[slot]*shape // of the objects that are not a point

	ownerOf map[sdk.Owner]uint32 // place in owners
	owners  []ownerList
	unused  []uint32 // places in owners that have no owner
}

// ownerList lists the objects of one owner, in no special order.
type ownerList struct {
	owner   sdk.Owner
	objects []slot
}

// chunkBits: the store grows by 1<<chunkBits objects.
const chunkBits = 12

func newStore() store {
	return store{next: 1, byValue: make(map[sdk.Value]slot), shapes: make(map[slot]*shape), ownerOf: make(map[sdk.Owner]uint32)}
}

func (s *store) at(n slot) *object { return &s.chunks[n>>chunkBits][n&(1<<chunkBits-1)] }

// shape returns the shape of an object.
func (s *store) shape(n slot) *shape {
	if found := s.shapes[n]; found != nil {
		return found
	}
	p := s.at(n).corner
	return &shape{box: box{p, p}}
}

// find returns the slot of exactly this identity.
func (s *store) find(id sdk.Identity) (slot, bool) {
	n, ok := s.byValue[id.Value()]
	return n, ok && s.at(n).id == id
}

// ofOwner returns the objects of an owner.
func (s *store) ofOwner(o sdk.Owner) []slot {
	n, ok := s.ownerOf[o]
	if !ok {
		return nil
	}
	return s.owners[n].objects
}

// add adds an object, whose value is not held.
func (s *store) add(id sdk.Identity, owner sdk.Owner, corner point, layer int) slot {
	n := s.newSlot()
	o := s.at(n)
	*o = object{id: id, corner: corner, layer: uint8(layer)}
	s.byValue[id.Value()] = n
	o.owner = s.listOf(owner)
	l := &s.owners[o.owner]
	o.place = uint32(len(l.objects))
	l.objects = append(l.objects, n)
	return n
}

func (s *store) newSlot() (n slot) {
	if last := len(s.free) - 1; last >= 0 {
		n = s.free[last]
		s.free = s.free[:last]
		return n
	}
	if int(s.next>>chunkBits) == len(s.chunks) {
		s.chunks = append(s.chunks, make([]object, 1<<chunkBits))
	}
	s.next++
	return s.next - 1
}

// listOf returns the place of an owner's list.
func (s *store) listOf(owner sdk.Owner) (n uint32) {
	n, ok := s.ownerOf[owner]
	if ok {
		return n
	}
	if last := len(s.unused) - 1; last >= 0 {
		n = s.unused[last]
		s.unused = s.unused[:last]
	} else {
		n = uint32(len(s.owners))
		s.owners = append(s.owners, ownerList{})
	}
	s.owners[n].owner = owner
	s.ownerOf[owner] = n
	return n
}

// remove removes an object. The last object of its owner's list takes the free place.
func (s *store) remove(n slot) {
	o := s.at(n)
	l := &s.owners[o.owner]
	last := len(l.objects) - 1
	moved := l.objects[last]
	l.objects[o.place] = moved
	s.at(moved).place = o.place
	l.objects = l.objects[:last]
	if last == 0 {
		delete(s.ownerOf, l.owner)
		*l = ownerList{}
		s.unused = append(s.unused, o.owner)
	}
	delete(s.byValue, o.id.Value())
	delete(s.shapes, n)
	*o = object{}
	s.free = append(s.free, n)
}
