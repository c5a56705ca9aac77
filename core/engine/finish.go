package engine

import (
	"slices"

	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
)

// finishing is a search whose Task has named all identities of a round. The remaining work runs
// in steps. The rights of the principal at the end of the last step decide the answer.
type finishing struct {
	*search
	stage  int
	anchor []byte // identities of the objects after which the next page begins
	merger
	items   [][]byte
	objects []mapping.Entry
	packed  int // objects of kept that are in items or in objects
}

// stages run one after the other, each until it is done. A call looks at about stride
// objects, and returns how many it looked at.
var stages = [...]func(*finishing) (looked int, done bool){
	(*finishing).sift, (*finishing).sort, (*finishing).merge, (*finishing).pack,
}

// sifted is the stage after sift.
const sifted = 1

// finish removes the objects that the principal may not see, and begins the next round if too
// few are left. Otherwise it applies the limit, sorts the objects, and charges the leak meter.
// Then it answers, or deletes.
func (e *Engine) finish(s *search) {
	if s.rounds == 0 {
		s.rights = e.rightsOf(s)
	}
	s.x.finishing++
	e.continueFinish(&finishing{search: s})
}

// continueFinish runs the next step of a search now, and the further steps in later events.
func (e *Engine) continueFinish(f *finishing) { e.later(func() bool { return e.finishStep(f) }) }

// finished notes that a search has ended, or waits for its next round. So its Task may be sent
// another query.
func (e *Engine) finished(s *search) {
	if s.x.finishing--; s.x.instance != 0 {
		e.pump(s.x)
	}
}

// rightsOf returns the rights by which the answer to a search is judged now.
func (e *Engine) rightsOf(s *search) model.Rights {
	if e.principals[s.req.Principal] != s.p {
		return 0 // removed, or its key was replaced; a principal that has this key now is another one
	}
	return s.x.c.grants.Rights(s.p.id)
}

// finishStep runs stages until it has looked at about stride objects. After sift, the next round
// may begin. After the last stage, the search is concluded, or sifted again if its rights have
// changed.
func (e *Engine) finishStep(f *finishing) (more bool) {
	for left := e.stride; f.stage < len(stages); {
		looked, done := stages[f.stage](f)
		if done {
			f.stage++
		}
		if done && f.stage == sifted {
			if e.nextRound(f.search) {
				return false
			}
			if f.endRounds(); f.x.instance != 0 { // otherwise the index may be dropped
				e.pump(f.x)
			}
		}
		if left -= looked; left <= 0 {
			return true
		}
	}
	rights := e.rightsOf(f.search)
	switch {
	case e.byID[f.x.c.id] != f.x.c:
		e.end(f.req, model.NoCollection)
		e.finished(f.search)
	case f.req.Op == model.OpDeleteWhere && e.changing:
		e.deferred = append(e.deferred, func() { e.continueFinish(f) })
	case f.allows(f.rights, false) != f.allows(rights, false),
		f.allows(f.rights, true) != f.allows(rights, true):
		// Sift again. Objects removed before stay out.
		f.found, f.kept, f.rights = f.kept, nil, rights
		*f = finishing{search: f.search}
		return true
	default:
		e.conclude(f)
	}
	return false
}

// sift moves the objects of a round from found to kept, except those that the principal may not
// see, or delete: the Task can't know rights. It fills new chunks, so that their lengths do not
// tell how many objects were removed.
func (f *finishing) sift() (looked int, done bool) {
	if len(f.found) == 0 {
		return 0, true
	}
	if f.allows(f.rights, false) && len(f.kept) == 0 { // all objects
		f.kept, f.found = f.found, nil
		return 0, true
	}
	chunk := pop(&f.found)
	for _, o := range chunk {
		if f.allows(f.rights, o.Owner == f.p.owner) {
			f.kept.add(o)
		} else {
			delete(f.seen, o.ID.Value()) // the rounds together keep no more memory than one
		}
	}
	return len(chunk), len(f.found) == 0
}

// endRounds removes the objects over the limit, those that the Task named last. It notes after
// which objects the next page of a SEARCH begins, and ends the wait of changes of the index.
func (f *finishing) endRounds() {
	f.releaseChanges()
	f.seen = nil
	if f.kept.len() > int(f.want) {
		f.kept.cut(int(f.want))
		f.more = true
	}
	if f.owner != taskwire.AllOwners && f.allows(f.rights, false) {
		// The Task was asked for too little, but the principal has more rights now. A next
		// page would lack the objects of others before it, so the answer names none.
		f.more = true
	} else if f.more && f.req.Op == model.OpSearch {
		f.anchor = f.kept.last(model.MaxAfter)
	}
}

// sort sorts each chunk. It does nothing if the index keeps the Task's order, or for a
// COUNT, whose answer shows no order.
func (f *finishing) sort() (looked int, done bool) {
	if len(f.kept) == 0 || f.x.ordered() || f.req.Op == model.OpCount {
		return 0, true
	}
	chunk := pop(&f.kept)
	slices.SortFunc(chunk, compare)
	f.lists = append(f.lists, sortedBlocks{chunk})
	return len(chunk), len(f.kept) == 0
}

// merge merges the sorted chunks into one list.
func (f *finishing) merge() (looked int, done bool) {
	if len(f.lists) == 0 {
		return 0, true
	}
	if looked, done = f.step(stride); done {
		f.kept = f.lists[0]
	}
	return looked, done
}

// pack makes the items of the answer from the objects.
func (f *finishing) pack() (looked int, done bool) {
	n := f.kept.len()
	if f.packed == n || f.req.Op != model.OpSearch {
		return 0, true
	}
	chunk := f.kept[f.packed/stride]
	chunk = chunk[:min(len(chunk), n-f.packed)]
	f.packed += len(chunk)
	if f.req.Flags&wire.FlagIDsOnly != 0 {
		f.items = appendIdentities(f.items, chunk)
	} else {
		if f.objects == nil {
			f.objects = make([]mapping.Entry, 0, n)
		}
		f.objects = append(f.objects, chunk...)
	}
	return len(chunk), f.packed == n
}

// appendIdentities appends identities to frames, idsPerFrame in each frame.
func appendIdentities(frames [][]byte, objects []mapping.Entry) [][]byte {
	for i := range objects {
		last := len(frames) - 1
		if last < 0 || len(frames[last]) == idsPerFrame*identity.Size {
			frames = append(frames, nil)
			last++
		}
		frames[last] = append(frames[last], objects[i].ID[:]...)
	}
	return frames
}

// conclude answers a search whose stages are all done, or begins its deletions.
func (e *Engine) conclude(f *finishing) {
	n := f.kept.len()
	r := Reply{End: End{Count: uint32(n), Body: f.anchor}}
	if f.more {
		r.Flags = wire.ReplyTruncated
	}
	code, wait := e.pay(f, uint64(n), func() { e.continueFinish(f) })
	switch {
	case wait:
		return
	case code != model.OK:
		e.end(f.req, code)
	case f.req.Op == model.OpCount:
		e.reply(f.req, r)
	case f.req.Op == model.OpDeleteWhere:
		r.Count = 0
		d := &deletions{search: f.search, list: f.kept, left: n}
		d.write = write{req: f.req, answer: r, acksMissing: 1}
		e.later(func() bool { return e.deleteStep(d) })
		return
	default:
		r.Content = Objects(f.objects)
		if f.req.Flags&wire.FlagIDsOnly != 0 {
			r.Content = Frames{wire.KindIdentities, f.items}
		}
		if code := e.answer(f.req, r); code != model.OK {
			e.end(f.req, code)
		}
	}
	e.finished(f.search)
}

// deletions are the objects that a DELETE by predicate still has to delete.
type deletions struct {
	*search
	list  sortedBlocks
	left  int // objects still to be deleted, from the first of list
	write     // of all groups; it also waits for the append of the last group
}

// deleteStep appends a group of deletions for the next objects. It deletes an object only if
// a DELETE of its identity would delete it now. So the loss of a right ends the deletions,
// as does a disk that takes no more writes. When the group is durable, the next group
// follows. A crash in between leaves only some of the objects deleted.
func (e *Engine) deleteStep(d *deletions) (more bool) {
	next := func() { e.later(func() bool { return e.deleteStep(d) }) }
	if e.changing {
		e.deferred = append(e.deferred, next)
		return false
	}
	if slices.ContainsFunc(d.x.c.indexes, e.full) {
		d.answer.Code = model.Overloaded
	}
	if e.rightsOf(d.search) == 0 || e.byID[d.x.c.id] != d.x.c || d.answer.Code != model.OK {
		d.left = 0
	}
	var group seglog.Group
	for range min(d.left, e.stride) {
		o := d.list.take()
		w := Write{Request: wire.Request{Op: model.OpDelete, Identity: o.ID}}
		if rec, code := e.decide(&w, d.p, d.x.c, nil); code == model.OK {
			group = append(group, rec)
		}
		d.left--
	}
	if len(group) > 0 {
		d.answer.Count += uint32(len(group))
		e.append(&d.write, group...)
	}
	switch {
	case d.left == 0:
		d.list = nil
		d.wait(e)
		d.acked(e)
		e.finished(d.search)
	case len(group) == 0:
		return true
	default:
		e.afterDurable(func(code model.Code) {
			d.answer.Code = max(d.answer.Code, code)
			next()
		})
	}
	return false
}
