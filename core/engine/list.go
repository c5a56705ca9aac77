package engine

import (
	"motte/core/access"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/wire"
)

// listPart is the number of objects after which a part of a LIST ends, so that neither
// the size of a collection nor a slow reader takes memory.
const listPart = 512

// listing is a LIST that is being answered.
type listing struct {
	*Request
	c     *collection
	after identity.Value  // the object that was looked at last
	part  []mapping.Entry // that the principal may read
}

// list answers a LIST: the first objects of the collection that the principal may read,
// with values behind that of the identity that the request names, up to where the part
// ends. The body of the answer is the identity behind which the next part begins, or
// zero after the last part. So the Core keeps no state between two parts; all of them
// together show each object at most once, and every object that was there all the time.
func (e *Engine) list(q *Request) model.Code {
	l := &listing{Request: q, after: q.Identity.Value()}
	return e.inTurn(q, func() (model.Code, bool) { return e.listStep(l) })
}

// listStep looks at the next objects, and answers if it has found enough, or all. Where
// the part ends must not depend on objects that the principal may not see.
func (e *Engine) listStep(l *listing) (code model.Code, more bool) {
	p, c, begun := e.principals[l.Principal], e.byName[l.Collection], l.c != nil
	switch {
	case p == nil:
		return model.UnknownPrincipal, false
	case c == nil, begun && l.c != c: // another one may have the name now
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

// scanOwn looks at the next objects, stride of them at most; more: the part has room, and
// there may be more objects.
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

// showPart answers a LIST with its part. If that took several events, objects may have
// changed, or the principal may have lost the right to them.
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
