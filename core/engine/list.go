package engine

import (
	"motte/core/access"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/wire"
)

// listPart is the number of objects in a part of a LIST. It bounds the memory of an answer,
// whatever the size of the collection and the speed of the client.
const listPart = 512

// listing is a LIST that is being answered.
type listing struct {
	*Request
	c     *collection
	after identity.Value  // of the last object that was scanned
	part  []mapping.Entry // objects that the principal may read
}

// list answers a LIST with one part: the next objects of the collection that the principal
// may read, in the order of their values, after the object that the request names. The body
// of the answer is the identity from which the next part continues, or zero after the last
// part. So the Core keeps no state between two parts. All parts together show each object at
// most once, and every object that existed all the time.
func (e *Engine) list(q *Request) model.Code {
	l := &listing{Request: q, after: q.Identity.Value()}
	return e.inTurn(q, func() (model.Code, bool) { return e.listStep(l) })
}

// listStep scans the next objects, and answers when the part is full or the collection ends.
// The end of a part must not depend on objects that the principal may not read.
func (e *Engine) listStep(l *listing) (code model.Code, more bool) {
	p, c, begun := e.principals[l.Principal], e.byName[l.Collection], l.c != nil
	switch {
	case p == nil:
		return model.UnknownPrincipal, false
	case c == nil, begun && l.c != c: // another collection may have the name now
		return model.NoCollection, false
	case !access.Any(c.grants.Rights(p.id), anyRead):
		return model.Denied, false
	}
	if l.c = c; e.scanOwn(l, p) {
		return model.OK, true
	}
	return e.showPart(l, p, begun), false
}

// readable reports whether a principal may read an object of a collection now.
func (e *Engine) readable(p *principal, c *collection, o mapping.Entry) bool {
	return !e.erased[o.Owner] && access.Read(c.grants.Rights(p.id), o.Owner == p.owner)
}

// scanOwn scans up to stride objects. It returns more if the part is not full and the
// collection may have more objects.
func (e *Engine) scanOwn(l *listing, p *principal) (more bool) {
	looked := 0
	for o := range l.c.objects.After(l.after) {
		if looked == e.stride {
			return true
		}
		looked++
		l.after = o.ID.Value()
		if e.readable(p, l.c, o) {
			l.part = append(l.part, o)
		}
		if len(l.part) == listPart {
			break
		}
	}
	return false
}

// showPart answers a LIST with its part. With again it checks each object once more, since the
// scan took several events: objects and rights may have changed.
func (e *Engine) showPart(l *listing, p *principal, again bool) model.Code {
	var next identity.ID
	if len(l.part) == listPart {
		next = l.part[listPart-1].ID
	}
	part := l.part
	if again {
		part = nil
		for _, o := range l.part {
			if cur, ok := e.lookup(l.c, o.ID.Value()); ok && e.readable(p, l.c, cur) {
				part = append(part, cur)
			}
		}
	}
	r := Reply{Content: Objects(part), End: End{Count: uint32(len(part)), Body: next[:]}}
	if l.Flags&wire.FlagIDsOnly != 0 {
		r.Content = Frames{wire.KindIdentities, appendIdentities(nil, part)}
	}
	return e.answer(l.Request, r)
}
