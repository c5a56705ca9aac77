package conformance

import (
	"fmt"

	"motte/core/identity"
)

var shelfChecks = []Check{
	{"shelf/saved", "save in steps: blobs within the room, ascending numbers, a set at the end", (*trial).saves},
	{"shelf/restored", "answer the same in a fresh process that gets the blobs", (*trial).restores},
	{"shelf/changed", "find out what changed while no process ran", (*trial).findsChanges},
	{"shelf/meanwhile", "follow changes that come between the steps of the reconciliation", (*trial).followsMeanwhile},
	{"shelf/void", "hold no entry of an object without an input", (*trial).dropsVoids},
	{"shelf/older", "mend an older shelf and an incomplete one", (*trial).mendsOlder},
	{"shelf/lost", "answer right without the shelf that it had", (*trial).survivesLoss},
	{"shelf/anew", "save everything anew when the shelf is empty", (*trial).savesAnew},
	{"shelf/full", "answer right with a shelf that is too small", (*trial).survivesFullShelf},
	{"shelf/steady", "keep thousands of objects through many savings", (*trial).keepsMany},
	{"shelf/history", "give the answers of a model through kills, restarts and lost shelves", (*trial).followsRestarts},
}

// shelfObjects is the number of objects in most of these checks.
const shelfObjects = 200

// needsShelf skips the check of a Task without a shelf.
func (t *trial) needsShelf() {
	if t.Shelf == 0 {
		t.skip("the Task has no shelf")
	}
}

// filled starts a process that has objects and an empty shelf.
func (t *trial) filled(quota uint64) *core {
	t.needsShelf()
	c := t.configuredWith(newShelf(quota))
	c.fill(shelfObjects)
	if list := t.Case.refused.inputs; len(list) > 0 {
		c.putInput(shelfObjects, list[0], mustRefuse)
	}
	c.empty(shelfObjects + 1)
	c.settle()
	return c
}

// restarted ends a process, and restores another one from a shelf. Changes are made between the
// two.
func (t *trial) restarted(c *core, s *shelf, changes func(next *core)) *core {
	next := t.successor(c)
	next.shelf = s
	if changes != nil {
		next.unsent = true
		changes(next)
		next.unsent = false
	}
	next.restore(nil)
	return next
}

// mended asks all predicates. A wrong answer is a fault of the reconciliation.
func (c *core) mended() {
	for i := range c.Case.queries {
		c.ask(&search{question: &c.Case.queries[i], rule: ruleMended})
	}
	c.settle()
}

// noteFed notes how much of the collection a Task lacked that got all its blobs.
func (t *trial) noteFed(c *core) {
	if len(c.shelf.set) == 0 {
		t.note = "it keeps nothing on its shelf"
		return
	}
	t.note = fmt.Sprintf("%d of %d objects were fed again", c.fed, len(c.all()))
}

// disturb makes a random change of an object.
func (c *core) disturb(number int) {
	refused := c.Case.refused.inputs
	switch dice := c.random.IntN(10); {
	case dice < 5:
		c.putOf(alias(c.random.IntN(owners)), number, c.sample(c.random.Int()))
	case dice < 7:
		c.remove(number)
	case dice < 8:
		c.empty(number)
	case dice < 9 && len(refused) > 0:
		c.putInput(number, refused[c.random.IntN(len(refused))], mustRefuse)
	default:
		if e := c.object(number).current; e != nil { // the same content again, under another identity
			c.putOf(e.owner, number, &sample{e.sample, e.object.input})
		}
	}
}

func (t *trial) saves() {
	c := t.filled(t.Shelf)
	c.saveAll()
	if len(c.shelf.set) == 0 {
		t.note = "it keeps nothing on its shelf"
	}
	for i := range 30 { // small savings, between Searches and changes
		c.shelf.most = leastClass << (i % 6)
		for range 1 + t.random.IntN(10) {
			c.disturb(t.random.IntN(shelfObjects))
		}
		c.ask(&search{question: &t.Case.queries[0]})
		c.save(func(bool) {})
		c.disturb(t.random.IntN(shelfObjects))
		c.ask(&search{question: &t.Case.queries[0]})
		c.saveAll()
	}
	c.saveAll()
	c.saveAll() // without a change
	c.shelf.anew, c.shelf.most = true, leastClass
	c.saveAll() // in small steps
	c.askAll()
	c.settle()
}

func (t *trial) restores() {
	c := t.filled(t.Shelf)
	c.saveAll()
	c = t.restarted(c, c.shelf.present(), nil)
	c.mended()
	t.noteFed(c)
	c.fill(20)
	c.saveAll()
	c = t.restarted(c, c.shelf.present(), nil)
	c.mended()
	c.remove(1)
	c.askAll()
	c.settle()
}

func (t *trial) findsChanges() {
	c := t.filled(t.Shelf)
	c.saveAll()
	for range 5 {
		c = t.restarted(c, c.shelf.present(), func(next *core) {
			for range 40 {
				next.disturb(t.random.IntN(shelfObjects + 40))
			}
		})
		c.mended()
		c.saveAll()
	}
	c = t.restarted(c, c.shelf.present(), func(next *core) {
		for _, o := range next.all() {
			next.removeID(o.id)
		}
	})
	c.mended()
}

func (t *trial) followsMeanwhile() {
	c := t.filled(t.Shelf)
	c.saveAll()
	for range 3 {
		next := t.successor(c)
		next.shelf = c.shelf.present()
		next.unsent = true
		for range 20 {
			next.disturb(t.random.IntN(shelfObjects))
		}
		next.unsent = false
		next.restore(func(covers func(identity.Value) bool) {
			n := t.random.IntN(shelfObjects + 20)
			next.object(n)
			next.unsent = !covers(next.values[n])
			next.disturb(n)
			next.unsent = false
		})
		next.mended()
		next.saveAll()
		c = next
	}
}

func (t *trial) dropsVoids() {
	c := t.filled(t.Shelf)
	for i := range 20 {
		c.empty(i)
		c.askAll()
	}
	c.put(3, c.sample(0))
	c.empty(500) // that the Task never had
	c.askAll()
	c.settle()
	c.saveAll()
	c = t.restarted(c, c.shelf.present(), nil)
	c.mended()
	t.noteFed(c)
	c.put(4, c.sample(1))
	c.remove(5)
	c.askAll()
	c.settle()
}

func (t *trial) mendsOlder() {
	c := t.filled(t.Shelf)
	c.saveAll()
	var older []*shelf
	for range 4 {
		older = append(older, c.shelf.present())
		for range 60 {
			c.disturb(t.random.IntN(shelfObjects))
		}
		c.settle()
		c.saveAll()
	}
	for _, s := range older {
		c = t.restarted(c, s.present(), nil)
		c.mended()
	}
}

func (t *trial) survivesLoss() {
	c := t.filled(t.Shelf)
	c.saveAll()
	c = t.restarted(c, newShelf(t.Shelf), func(next *core) { next.remove(3) })
	c.mended()
	c.saveAll()
	c = t.restarted(c, c.shelf.present(), nil)
	c.mended()
}

func (t *trial) savesAnew() {
	c := t.filled(t.Shelf)
	c.saveAll()
	for range 3 {
		c.disturb(t.random.IntN(shelfObjects))
		c.shelf.anew = true
		c.saveAll()
	}
	c.save(func(bool) {}) // in the middle of a saving
	c.settle()
	c.shelf.anew = true
	c.saveAll()
	c = t.restarted(c, c.shelf.present(), nil)
	c.mended()
	t.noteFed(c)
}

func (t *trial) survivesFullShelf() {
	t.needsShelf()
	for _, quota := range []uint64{1, leastClass + blobCost, 16 * leastClass} {
		c := t.filled(quota)
		for range 10 {
			c.saveAll()
			for range 20 {
				c.disturb(t.random.IntN(shelfObjects))
			}
		}
		c = t.restarted(c, c.shelf.present(), nil)
		c.mended()
	}
}

// Sizes of the collection that is saved many times.
const (
	steadyObjects = 4000
	steadyBytes   = 8 << 20 // of all inputs
	steadySavings = 40
	steadyChanges = 200 // between two savings
)

// keepsMany saves so often that the Task must drop blobs, and write again what they had.
func (t *trial) keepsMany() {
	t.needsShelf()
	longest := 1
	for i := range t.Case.samples {
		longest = max(longest, len(t.Case.samples[i].input))
	}
	n := min(steadyObjects, max(shelfObjects, steadyBytes/longest))
	c := t.configuredWith(newShelf(t.Shelf))
	c.fill(n)
	c.settle()
	for i := range steadySavings {
		c.shelf.most = leastClass << (i % 6)
		c.saveAll()
		for range steadyChanges {
			c.disturb(t.random.IntN(n))
		}
		if i%10 == 9 {
			c = t.restarted(c, c.shelf.present(), nil)
			c.mended()
		}
	}
	c.saveAll()
	c = t.restarted(c, c.shelf.present(), nil)
	c.mended()
	t.noteFed(c)
}

// Sizes of the history with restarts.
const (
	restarts     = 15
	restartSteps = 150
)

func (t *trial) followsRestarts() {
	c := t.filled(t.Shelf)
	var older []*shelf
	for range restarts {
		saving := false
		for range restartSteps {
			switch dice := t.random.IntN(100); {
			case dice < 60:
				c.disturb(t.random.IntN(shelfObjects))
			case dice < 80:
				c.ask(&search{question: &t.Case.queries[t.random.IntN(len(t.Case.queries))]})
			case dice < 95 && !saving:
				saving = true
				c.save(func(set bool) {
					saving = false
					if set {
						older = append(older, c.shelf.present())
					}
				})
			default:
				c.settle()
			}
		}
		c = t.restarted(c, t.someShelf(c, older), func(next *core) {
			for range t.random.IntN(20) {
				next.disturb(t.random.IntN(shelfObjects))
			}
		})
		c.mended()
	}
}

// someShelf returns the shelf of a process, or an older one, or an empty one. The process ends in
// the middle of its work.
func (t *trial) someShelf(c *core, older []*shelf) *shelf {
	c.send()
	switch dice := t.random.IntN(10); {
	case dice < 2 && len(older) > 0:
		return older[t.random.IntN(len(older))].present()
	case dice < 3:
		return newShelf(t.Shelf)
	}
	return c.shelf.present()
}
