package engine

import (
	"slices"

	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// finish handles a round of a search, in which the Task has named all identities. It removes the
// objects that the query can't use, and begins the next round if too few are left.
func (e *Engine) finish(s *search) {
	if s.x.finishing++; s == s.q.ranks && s.q.candidates.others {
		e.leaveOutLate(s.q)
	}
	e.later(func() (more bool) { return e.siftStep(s) })
}

// finished notes that the objects of a search are not in memory any more, or are counted: see
// gather. So its Task may be sent another query.
func (e *Engine) finished(s *search) {
	if s.x.finishing--; s.x.instance != 0 {
		e.pump(s.x)
	}
}

// rightsOf returns the rights by which the answer to a query is judged now.
func (e *Engine) rightsOf(q *query) model.Rights {
	if e.principals[q.req.Principal] != q.p {
		return 0 // removed, or its key was replaced; a principal that has this key now is another one
	}
	return q.c.grants.Rights(q.p.id)
}

// siftStep sifts about stride objects of a round. After the last of them, the next round may begin.
func (e *Engine) siftStep(s *search) (more bool) {
	for left := e.stride; len(s.found) > 0; {
		if left -= s.sift(); left <= 0 && len(s.found) > 0 {
			return true
		}
	}
	switch {
	case s.q.ended:
		e.finished(s)
	case !e.nextRound(s):
		e.endRounds(s)
	}
	return false
}

// sift moves a block of objects from found to kept, except those that the query can't use. The Task
// can't know rights, for example. It fills new blocks, so that their lengths do not tell how many
// objects were removed.
func (s *search) sift() (looked int) {
	q := s.q
	if !q.several() && q.allows(q.rights, false) && len(s.kept) == 0 { // all objects
		s.kept, s.found = s.found, nil
		return 0
	}
	block := pop(&s.found)
	for _, o := range block {
		if q.uses(s, o) {
			s.kept.add(o)
		} else if s.seen != nil {
			delete(s.seen, o.ID.Value()) // the rounds together keep no more memory than one
		}
	}
	return len(block)
}

// uses reports whether a query can use an object that a Task has named.
func (q *query) uses(s *search, o mapping.Entry) bool {
	switch {
	case !q.allows(q.rights, o.Owner == q.p.owner):
		return false
	case s == q.ranks:
		return q.ranksOver(o)
	}
	return o.ID.Compare(q.after) > 0
}

// endRounds ends the rounds of a search, and the wait of changes of its index.
func (e *Engine) endRounds(s *search) {
	s.releaseChanges()
	q := s.q
	s.seen, s.count, s.took = nil, s.kept.len(), e.at-s.queued
	if s.x.instance != 0 { // otherwise the index may be dropped
		e.pump(s.x)
	}
	if !q.several() || s == q.ranks {
		q.more = s.more
		e.answerWith(q, s, s.kept)
		return
	}
	e.endLeaf(s)
}

// endLeaf ends a leaf of several. Its list must have all objects if the query could otherwise show, or
// delete, an object that it should not.
func (e *Engine) endLeaf(s *search) {
	q := s.q
	if s.more {
		q.partial = true
		if s.excludes || q.req.Op == model.OpDeleteWhere {
			e.finished(s)
			e.fail(s, model.TooExpensive)
			return
		}
	}
	e.arrange(s)
}

// finishing is a query whose objects are found. The remaining work runs in steps. The rights of the
// principal at the end of the last step decide the answer.
type finishing struct {
	*query
	last     *search // the search that gave the list: it is finished with the query; nil: none
	stage    int
	unsifted sortedBlocks // the objects, before the rights are judged again
	list     sortedBlocks
	anchor   []byte // identities of the objects after which the next page begins
	merger
	items   [][]byte
	objects []mapping.Entry
	packed  int // objects of list that are in items or in objects
}

// stages run one after the other, each until it is done. A call looks at about stride
// objects, and returns how many it looked at.
var stages = [...]func(*finishing) (looked int, done bool){
	(*finishing).siftAgain, (*finishing).bound, (*finishing).sort, (*finishing).merge, (*finishing).pack,
}

// answerWith answers a query with a list of objects: it applies the limit, sorts the objects, and charges
// the leak meter. Then it answers, or deletes.
func (e *Engine) answerWith(q *query, last *search, list sortedBlocks) {
	e.continueFinish(&finishing{query: q, last: last, list: list})
}

// continueFinish runs the next step of a query now, and the further steps in later events.
func (e *Engine) continueFinish(f *finishing) { e.later(func() bool { return e.finishStep(f) }) }

// concluded notes that a query has ended.
func (e *Engine) concluded(f *finishing) {
	e.endQuery(f.query)
	if f.last != nil {
		e.finished(f.last)
	}
}

// finishStep runs stages until it has looked at about stride objects. After the last stage, the query
// is concluded, or its objects are sifted again if its rights have changed.
func (e *Engine) finishStep(f *finishing) (more bool) {
	for left := e.stride; f.stage < len(stages); {
		looked, done := stages[f.stage](f)
		if done {
			f.stage++
		}
		if left -= looked; left <= 0 {
			return true
		}
	}
	rights := e.rightsOf(f.query)
	switch {
	case e.byID[f.c.id] != f.c:
		e.end(f.req, model.NoCollection)
		e.concluded(f)
	case f.req.Op == model.OpDeleteWhere && e.changing:
		e.deferred = append(e.deferred, func() { e.continueFinish(f) })
	case f.allows(f.rights, false) != f.allows(rights, false),
		f.allows(f.rights, true) != f.allows(rights, true):
		// Sift again. Objects removed before stay out.
		f.rights = rights
		*f = finishing{query: f.query, last: f.last, unsifted: f.list}
		return true
	default:
		e.conclude(f)
	}
	return false
}

// siftAgain removes the objects that the present rights do not allow.
func (f *finishing) siftAgain() (looked int, done bool) {
	if len(f.unsifted) == 0 {
		return 0, true
	}
	block := pop(&f.unsifted)
	for _, o := range block {
		if f.allows(f.rights, o.Owner == f.p.owner) {
			f.list.add(o)
		}
	}
	return len(block), len(f.unsifted) == 0
}

// bound removes the objects over the limit: those that the Task named last, or the last in the order of
// identities. It notes after which objects the next page of a SEARCH begins.
func (f *finishing) bound() (looked int, done bool) {
	f.more = f.more || f.lacks
	if f.list.len() > int(f.want) {
		f.list.cut(int(f.want))
		f.more = true
	}
	anchors := model.MaxAfter
	if f.several() && f.ranks == nil {
		anchors = 1 // the next page begins behind this identity, also if it is gone
	}
	switch {
	case f.partial, f.hinted && f.allows(f.rights, false):
		// A Task was asked for too little: of the principal's objects alone, while it has more
		// rights now. A next page would lack objects before it, so the answer names none.
		f.more = true
	case f.more && f.req.Op == model.OpSearch:
		f.anchor = f.list.last(anchors)
	}
	return 0, true
}

// sort sorts each block. It does nothing if a Task gave the order, if the list is sorted, or for a
// COUNT, whose answer shows no order.
func (f *finishing) sort() (looked int, done bool) {
	if len(f.list) == 0 || f.ordered() || f.several() || f.req.Op == model.OpCount {
		return 0, true
	}
	block := pop(&f.list)
	slices.SortFunc(block, compare)
	f.lists = append(f.lists, sortedBlocks{block})
	return len(block), len(f.list) == 0
}

// merge merges the sorted blocks into one list.
func (f *finishing) merge() (looked int, done bool) {
	if len(f.lists) == 0 {
		return 0, true
	}
	if looked, done = f.step(stride); done {
		f.list = f.lists[0]
	}
	return looked, done
}

// pack makes the items of the answer from the objects.
func (f *finishing) pack() (looked int, done bool) {
	n := f.list.len()
	if f.packed == n || f.req.Op != model.OpSearch || f.req.Flags&wire.FlagExplain != 0 {
		return 0, true
	}
	block := f.list[f.packed/stride]
	block = block[:min(len(block), n-f.packed)]
	f.packed += len(block)
	if f.req.Flags&wire.FlagIDsOnly != 0 {
		f.items = appendIdentities(f.items, block)
	} else {
		if f.objects == nil {
			f.objects = make([]mapping.Entry, 0, n)
		}
		f.objects = append(f.objects, block...)
	}
	return len(block), f.packed == n
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

// conclude answers a query whose stages are all done, or begins its deletions.
func (e *Engine) conclude(f *finishing) {
	n := f.list.len()
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
	case f.req.Op == model.OpDeleteWhere:
		r.Count = 0
		d := &deletions{finishing: f, left: n}
		d.write = write{req: f.req, answer: r, acksMissing: 1}
		e.later(func() bool { return e.deleteStep(d) })
		return
	default:
		r.Content = f.content()
		if code := e.answer(f.req, r); code != model.OK {
			e.end(f.req, code)
		}
	}
	e.concluded(f)
}

// content returns the content of an answer: the objects, or identities, or how the query went. The
// answer to a COUNT has no content.
func (f *finishing) content() Content {
	switch {
	case f.req.Flags&wire.FlagExplain != 0:
		return f.explanation()
	case f.req.Op == model.OpCount:
		return nil
	case f.req.Flags&wire.FlagIDsOnly != 0:
		return Frames{wire.KindIdentities, f.items}
	}
	return Objects(f.objects)
}

// deletions are the objects that a DELETE by predicate still has to delete.
type deletions struct {
	*finishing
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
	if slices.ContainsFunc(d.c.indexes, e.full) {
		d.answer.Code = model.Overloaded
	}
	if e.rightsOf(d.query) == 0 || e.byID[d.c.id] != d.c || d.answer.Code != model.OK {
		d.left = 0
	}
	var group seglog.Group
	for range min(d.left, e.stride) {
		o := d.list.take()
		w := Write{Request: wire.Request{Op: model.OpDelete, Identity: o.ID}}
		if rec, code := e.decide(&w, d.p, d.c, nil); code == model.OK {
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
		e.concluded(d.finishing)
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
