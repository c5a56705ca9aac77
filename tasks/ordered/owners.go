package main

import "motte/sdk"

// owners lists the objects of each owner, in no special order. So an answer that shows the
// objects of one owner need not visit all others.
type owners struct {
	number map[sdk.Owner]uint32 // place in lists, for each owner that has objects
	lists  []list
	free   []uint32 // places in lists that have no owner
}

// list is the list of one owner's objects.
type list struct {
	owner   sdk.Owner
	objects []slot
}

// add adds an object to its owner's list. It returns the place of the list, and the object's place
// in it.
func (o *owners) add(owner sdk.Owner, n slot) (at, place uint32) {
	at, ok := o.number[owner]
	if !ok {
		at = o.newList(owner)
	}
	l := &o.lists[at]
	l.objects = append(l.objects, n)
	return at, uint32(len(l.objects) - 1)
}

func (o *owners) newList(owner sdk.Owner) (at uint32) {
	if last := len(o.free) - 1; last >= 0 {
		at = o.free[last]
		o.free = o.free[:last]
	} else {
		at = uint32(len(o.lists))
		o.lists = append(o.lists, list{})
	}
	o.lists[at].owner = owner
	o.number[owner] = at
	return at
}

// remove removes an object from its owner's list. The last object of the list takes the free
// place. remove returns the slot of that object, or false if the last object was removed.
func (o *owners) remove(at, place uint32) (moved slot, ok bool) {
	l := &o.lists[at]
	last := len(l.objects) - 1
	l.objects[place] = l.objects[last]
	l.objects = l.objects[:last]
	if last == 0 {
		delete(o.number, l.owner)
		*l = list{}
		o.free = append(o.free, at)
	}
	if int(place) == last {
		return 0, false
	}
	return l.objects[place], true
}
