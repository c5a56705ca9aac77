package main

import (
	"motte/sdk"
)

// index is the Task.
type index struct {
	configuration
	vectors vectors
	graph   graph
	objects []object // by slot
	free    []slot
	slots   map[sdk.Value]slot
	owners  map[sdk.Owner][]slot
	pending []slot // vectors that were not linked when they were added; some may be linked or removed
	waiting int    // vectors that are not linked

	exactBelow int // answers from up to so many vectors compare all of them

	restoring *restoring // until Restored
	scratch   []byte     // the data of the entry that Entry returned last
	named     []uint64   // a bit for each slot that an answer has named
}

// object is an object of the index.
type object struct {
	id    sdk.Identity
	owner sdk.Owner
	place uint32 // in the list of its owner
	held  bool
}

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	conf, err := configure(c)
	if err != nil {
		return err
	}
	*x = index{configuration: conf, slots: make(map[sdk.Value]slot), owners: make(map[sdk.Owner][]slot), exactBelow: exactBelow}
	x.vectors = newVectors(&x.configuration)
	x.graph = newGraph(&x.vectors, &x.configuration)
	return nil
}

// Apply implements sdk.Index.
func (x *index) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		if c.Remove {
			x.drop(c.Identity.Value())
			continue
		}
		p, err := x.read(c.Input)
		if err != nil {
			c.Refuse()
		} else if p == nil {
			c.Skip()
		}
		if p == nil || err != nil {
			x.drop(c.Identity.Value())
			continue
		}
		if !x.renew(c, p) {
			x.drop(c.Identity.Value())
			x.hold(c.Identity, c.Owner, p)
		}
	}
	if x.restoring == nil {
		x.linkPending(linksPerChange * len(changes))
	}
}

// renew gives an object another identity, if its vector is the same as before. It returns false if it
// is not.
func (x *index) renew(c *sdk.Change, p *point) bool {
	n, ok := x.slots[c.Identity.Value()]
	if !ok {
		return false
	}
	if old := x.vectors.at(n); !old.equal(p) {
		return false
	}
	x.objects[n].id = c.Identity
	if x.objects[n].owner != c.Owner {
		x.leaveOwner(n)
		x.joinOwner(n, c.Owner)
	}
	return true
}

// hold holds an object whose value is not held.
func (x *index) hold(id sdk.Identity, owner sdk.Owner, p *point) slot {
	n := slot(len(x.objects))
	if last := len(x.free) - 1; last >= 0 {
		n, x.free = x.free[last], x.free[:last]
	} else {
		x.objects = append(x.objects, object{})
		x.graph.cover(n)
	}
	x.vectors.set(n, p)
	x.objects[n] = object{id: id, held: true}
	x.joinOwner(n, owner)
	x.slots[id.Value()] = n
	x.waiting++
	x.pending = append(x.pending, n)
	return n
}

// drop drops the object with a value, if it is held.
func (x *index) drop(v sdk.Value) {
	n, ok := x.slots[v]
	if !ok {
		return
	}
	if x.graph.nodes[n].linked && x.restoring == nil {
		x.graph.remove(n)
	} else {
		x.graph.nodes[n] = node{}
		x.waiting--
	}
	if x.restoring != nil {
		x.restoring.forget(n)
	}
	x.leaveOwner(n)
	delete(x.slots, v)
	x.vectors.wipe(n)
	x.objects[n] = object{}
	x.free = append(x.free, n)
}

// joinOwner adds an object to the list of its owner.
func (x *index) joinOwner(n slot, owner sdk.Owner) {
	o := &x.objects[n]
	o.owner, o.place = owner, uint32(len(x.owners[owner]))
	x.owners[owner] = append(x.owners[owner], n)
}

// leaveOwner removes an object from the list of its owner. The last of the list takes its place.
func (x *index) leaveOwner(n slot) {
	o := &x.objects[n]
	list := x.owners[o.owner]
	last := len(list) - 1
	moved := list[last]
	list[o.place] = moved
	x.objects[moved].place = o.place
	if x.owners[o.owner] = list[:last]; last == 0 {
		delete(x.owners, o.owner)
	}
}

// linksPerChange is the number of vectors that a change links. The graph is begun when the index has half
// of exactBelow. So it is complete when answers need it, and no change takes long.
const linksPerChange = 3

// maxLinkWork bounds the numbers that a batch of changes compares to link vectors: about a second. The
// vectors that are left over are linked by later batches.
const maxLinkWork = 2 << 30

// linkPending links at most so many vectors that wait.
func (x *index) linkPending(most int) {
	x.compact()
	if len(x.slots) < x.exactBelow/2 && x.graph.count == 0 {
		return
	}
	begin := x.vectors.work
	for most > 0 && len(x.pending) > 0 && x.vectors.work-begin < maxLinkWork {
		last := len(x.pending) - 1
		n := x.pending[last]
		x.pending = x.pending[:last]
		if !x.waits(n) {
			continue
		}
		x.graph.insert(n, x.graph.levelOf(x.objects[n].id.Value()))
		x.waiting--
		most--
	}
}

// waits reports whether a vector is held and not linked.
func (x *index) waits(n slot) bool { return x.objects[n].held && !x.graph.nodes[n].linked }

// compact drops slots that wait no longer, and repetitions, if these are the most.
func (x *index) compact() {
	if len(x.pending) <= 2*x.waiting+1024 {
		return
	}
	x.pending = x.pending[:0]
	for n := range x.objects {
		if x.waits(slot(n)) {
			x.pending = append(x.pending, slot(n))
		}
	}
}
