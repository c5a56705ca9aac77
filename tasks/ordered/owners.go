package main

import (
	"motte/core/identity"
	"motte/sdk"
)

// owners lists the objects of each owner, in no special order. So an answer that shows the
// objects of one owner need not visit all others.
type owners[K any] struct {
	number map[sdk.Owner]uint32 // place in lists, for each owner that has objects
	lists  []list[K]
	free   []uint32 // places in lists that have no owner
}

// list is the list of one owner's objects.
type list[K any] struct {
	owner   sdk.Owner
	objects []object[K]
}

// object is an object of the index.
type object[K any] struct {
	value identity.Value
	key   [1]K // its key, or the first of several: see tree.keysOf
}

// member is the place of an object: lists[owner].objects[place].
type member struct{ owner, place uint32 }

func (o *owners[K]) at(m member) *object[K] { return &o.lists[m.owner].objects[m.place] }

// add adds an object to its owner's list.
func (o *owners[K]) add(owner sdk.Owner, added object[K]) member {
	n, ok := o.number[owner]
	if !ok {
		n = o.newList(owner)
	}
	l := &o.lists[n]
	l.objects = append(l.objects, added)
	return member{owner: n, place: uint32(len(l.objects) - 1)}
}

func (o *owners[K]) newList(owner sdk.Owner) (n uint32) {
	if last := len(o.free) - 1; last >= 0 {
		n = o.free[last]
		o.free = o.free[:last]
	} else {
		n = uint32(len(o.lists))
		o.lists = append(o.lists, list[K]{})
	}
	o.lists[n].owner = owner
	o.number[owner] = n
	return n
}

// remove removes an object from its owner's list. The last object of the list takes the free
// place. remove returns the value of that object, or false if the last object was removed.
func (o *owners[K]) remove(m member) (moved identity.Value, ok bool) {
	l := &o.lists[m.owner]
	last := len(l.objects) - 1
	l.objects[m.place] = l.objects[last]
	l.objects[last] = object[K]{} // its key may hold memory
	l.objects = l.objects[:last]
	if last == 0 {
		delete(o.number, l.owner)
		*l = list[K]{}
		o.free = append(o.free, m.owner)
	}
	if int(m.place) == last {
		return moved, false
	}
	return l.objects[m.place].value, true
}
