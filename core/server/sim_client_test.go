package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// simClient is a client, whose bytes go through a real conn.
type simClient struct {
	net *simConn
	who access.Principal
	in  []byte // bytes that are not decoded yet
}

// simRequest is an open request, with the parts of its answer so far.
type simRequest struct {
	client  *simClient
	who     access.Principal
	r       wire.Request
	writes  []wire.Request
	unique  bool   // no other request has the same effect
	from    uint64 // LSN of the last decided record when the request was sent
	durable uint64 // LSN of the last durable record at that time
	faults  int    // number of disk faults at that time
	refused bool   // writes were refused at that time
	group   *simGroup

	ids     []identity.ID
	gone    []identity.ID // those of ids that could not be shown any more
	absent  []int         // positions in ids that a GETMANY did not find
	objects []simObject   // objects in the order of the answer
}

const (
	simMaxInput = 200 // largest indexed object, in bytes
	simNames    = 10
)

func (q *simRequest) where() bool { return q.r.Op == model.OpDeleteWhere }
func (q *simRequest) changes() bool {
	return q.writes != nil || q.r.Op >= 16 && q.r.Op < 32 || q.r.Op == model.OpRotatePrincipal
}

// says reports whether the record of a change matches the request.
func (q *simRequest) says(n simEntry) bool {
	want := simEntry{}
	switch r := &q.r; r.Op {
	case model.OpCreateCollection:
		want = simEntry{name: r.Collection, principal: q.who, flags: byte(model.RightsAll)}
	case model.OpCreateIndex:
		want = simEntry{name: r.Index, task: string(r.Name), flags: byte(r.Options), label: n.label} // the label is the shelf
	case model.OpDropIndex:
		want.name = r.Index
	case model.OpRegisterTask:
		want.name = string(r.Name)
	case model.OpAddPrincipal:
		want = simEntry{principal: access.Principal(r.Identity), label: string(r.Name)}
	case model.OpRemovePrincipal:
		want.principal = access.Principal(r.Identity)
		if r.Flags == wire.FlagErase {
			want.flags = 1
		}
	case model.OpGrant, model.OpRevoke:
		want = simEntry{principal: access.Principal(r.Identity), flags: byte(r.Rights)}
	case model.OpRotatePrincipal:
		if want.principal = access.Principal(r.Identity); n.rest != string(r.Query) {
			return false
		}
	}
	return want.name == n.name && want.task == n.task && want.label == n.label && want.flags == n.flags && want.principal == n.principal
}

// connect makes a connection, like accept after the handshake.
func (s *sim) connect(who access.Principal) *simClient {
	fake, sh := newSimConn(), s.server
	under := newSocket(fake)
	under.established()
	s.all.Go(func() { sh.serveConn(newConn(sh, under, under, who)) })
	client := &simClient{net: fake, who: who}
	s.clients = append(s.clients, client)
	s.note("%x connects", who[0])
	s.rest()
	s.pump(1 << 30)
	return client
}

// disconnect ends a connection. Its open requests may still take effect, unanswered.
func (s *sim) disconnect(c *simClient) {
	s.note("%x goes", c.who[0])
	c.net.Close()
	s.clients = slices.DeleteFunc(s.clients, func(k *simClient) bool { return k == c })
	for _, q := range s.asked {
		if q.client == c {
			q.client = nil
		}
	}
	s.rest()
}

// ask sends a request.
func (s *sim) ask(c *simClient, r wire.Request) *simRequest {
	s.number++
	r.Number = s.number
	q := &simRequest{client: c, who: c.who, r: r, from: s.model.decided(), durable: s.model.durable, faults: s.faults, refused: s.refused}
	switch r.Op {
	case model.OpPut, model.OpDelete:
		q.writes = []wire.Request{r}
	case model.OpBatch:
		q.writes, _ = wire.DecodeBatch(r.Object)
	}
	q.unique = slices.ContainsFunc(q.writes, func(w wire.Request) bool { return w.Op == model.OpPut && !s.repeated[string(w.Object)] })
	s.asked = append(s.asked, q)
	s.note("%x asks %d: %v %s/%s %q", c.who[0], r.Number, r.Op, r.Collection, r.Index, r.Name)
	c.net.send(frames.AppendRequest(nil, &r))
	s.rest()
	return q
}

// collect takes the bytes sent to clients, and checks each answer against the model.
func (s *sim) collect() {
	for _, c := range slices.Clone(s.clients) {
		c.in = append(c.in, c.net.take()...)
		for len(c.in) >= wire.ReplyHeaderSize {
			h, code := frames.DecodeReplyHeader(c.in[:wire.ReplyHeaderSize])
			if code != model.OK || len(c.in) < wire.ReplyHeaderSize+h.BodyLen {
				s.fail("the Core sent a frame that is none: %d %+v", code, h)
			}
			body := c.in[wire.ReplyHeaderSize:][:h.BodyLen]
			c.in = c.in[wire.ReplyHeaderSize+h.BodyLen:]
			s.reply(c, h, body)
		}
		if c.net.closed {
			s.disconnect(c)
		}
	}
}

// reply handles a frame.
func (s *sim) reply(c *simClient, h wire.ReplyHeader, body []byte) {
	i := slices.IndexFunc(s.asked, func(q *simRequest) bool { return q.client == c && q.r.Number == h.Number })
	if i < 0 && h.Number == 0 && h.Code == model.UnknownPrincipal {
		return
	}
	if i < 0 {
		s.fail("an answer to request %d, which nobody waits for: %+v", h.Number, h)
	}
	q := s.asked[i]
	switch h.Kind {
	case wire.KindObject:
		o, err := frames.DecodeObject(body)
		if err != nil {
			s.fail("request %d: %v", h.Number, err)
		}
		q.ids = append(q.ids, o.Identity)
		q.objects = append(q.objects, simObject{id: o.Identity, name: string(o.Name), data: string(o.Data)})
	case wire.KindIdentities:
		ids, err := frames.DecodeIdentities(body, h.Count)
		if err != nil {
			s.fail("request %d: %v", h.Number, err)
		}
		q.ids = append(q.ids, ids...)
	case wire.KindMissing:
		id, code, err := frames.DecodeMissing(body)
		switch {
		case err == nil && code == model.NotFound && q.r.Op == model.OpGetMany:
			q.absent = append(q.absent, len(q.ids))
		case err != nil || code != model.Expired:
			s.fail("request %d: a missing object, code %d, %v", h.Number, code, err)
		default:
			q.gone = append(q.gone, id)
		}
		q.ids = append(q.ids, id)
	}
	if h.Flags&wire.ReplyLast == 0 {
		return
	}
	s.asked = slices.Delete(s.asked, i, i+1)
	s.note("answer to %d: code %d, count %d, head %d, %d objects, %x", h.Number, h.Code, h.Count, h.Head.LSN, len(q.ids), body)
	s.counts[fmt.Sprintf("op %d code %d", q.r.Op, h.Code)]++
	if h.Head.LSN > s.model.durable {
		s.fail("request %d: the head is record %d, and %d is durable", h.Number, h.Head.LSN, s.model.durable)
	}
	if !s.log.Contains(h.Head) {
		s.fail("request %d: head %d is not part of the log", h.Number, h.Head.LSN)
	}
	s.answered(q, &h, body)
	if h.Head.LSN >= s.newest.LSN {
		s.newest = h.Head
	}
	if s.chance(10) {
		s.heads = append(s.heads, h.Head)
	}
}

// answered checks an answer against the model.
func (s *sim) answered(q *simRequest, h *wire.ReplyHeader, body []byte) {
	wrong := func(format string, args ...any) {
		s.fail("request %d (%v by %x, sent at record %d, head %d): code %d: %s", h.Number, q.r.Op, q.who[0], q.from, h.Head.LSN, h.Code, fmt.Sprintf(format, args...))
	}
	if h.Code == model.StorageFailed {
		switch {
		case s.faults == q.faults && !s.refused && !q.refused && !(q.r.Op == model.OpCompact && s.model.erasedSince(q.from)):
			wrong("no write was refused")
		case q.group != nil && !q.where() && q.r.Op != model.OpRemovePrincipal:
			wrong("its records %d to %d were appended", q.group.first, q.group.last)
		}
		return
	}
	_, known := s.model.catalogue(h.Head.LSN).principals[q.who]
	switch {
	case !q.changes() && h.Code == model.UnknownPrincipal && !known:
	case q.changes():
		s.changed(q, h, body, wrong)
	case q.r.Op == model.OpGet || q.r.Op == model.OpList:
		s.shown(q, h, wrong)
	case q.r.Op == model.OpGetMany:
		s.shownMany(q, h, wrong)
	case q.r.Op == model.OpHead:
		h2, err := model.DecodeHead(q.r.Query)
		if own := err != nil || !slices.Contains(s.foreign, h2); own != (h.Code == model.OK) {
			wrong("a head that is the store's own: %v", own)
		}
	case q.r.Op == model.OpCompact:
		if _, _, admin := s.model.catalogue(h.Head.LSN).rights(q.who, ""); h.Code == model.OK {
			s.compacted(q)
		} else if h.Code != model.Denied || admin {
			wrong("compaction")
		}
	default:
		s.found(q, h, wrong)
	}
}

// changed checks the answer to a request that changes the state. It took effect once, as a
// whole, and is durable; or there was a moment at which it had to be refused.
func (s *sim) changed(q *simRequest, h *wire.ReplyHeader, body []byte, wrong func(string, ...any)) {
	m := s.model
	if h.Code != model.OK {
		if q.group != nil {
			wrong("its records %d to %d were appended", q.group.first, q.group.last)
		}
		// The records on which it depends are durable. Records in flight when it was sent count,
		// except for rights, which are those in force.
		from := q.from
		if h.Code != model.NotFound && h.Code != model.PreconditionFailed {
			from = min(from, q.durable)
		}
		for _, v := range m.versions(from, h.Head.LSN) {
			if _, code := m.predict(q, v); code == h.Code && v <= h.Head.LSN {
				return
			}
		}
		_, code := m.predict(q, m.decided())
		wrong("at no moment was that right; now it would be %d", code)
	}
	g := q.group
	if !q.unique {
		for _, k := range m.groups {
			if k.open && k.first > q.from && m.explains(q, k.records) && (g == nil || g.where) {
				g = k
			}
		}
	}
	if g == nil {
		wrong("nothing was appended")
	}
	if g.open = false; g.last > m.durable {
		wrong("its records %d to %d are not durable", g.first, g.last)
	}
	results, err := frames.DecodeResults(body, h, q.r.Op == model.OpBatch)
	appended := func(r frames.Result, rec seglog.Record) bool { return r.Identity == rec.ID }
	if q.writes != nil && (err != nil || !slices.EqualFunc(results, g.records, appended)) {
		wrong("the answer names other identities than those appended, %v", err)
	}
	for i, r := range results {
		rec := g.records[i]
		replaced := rec.Kind == seglog.KindPut && m.object(rec.ID.Value(), rec.LSN-1) != nil
		if q.writes != nil && replaced != (r.Flags&wire.ReplyReplaced != 0) {
			wrong("operation %d replaced an object: %v, which the answer does not say", i, replaced)
		}
	}
	if q.r.Op == model.OpRemovePrincipal && q.r.Flags != 0 {
		owners := make(map[uint32]uint64)
		for _, r := range g.records {
			if r.Kind == seglog.KindRemovePrincipal { // also of the generations that end
				owners[decodeSimEntry(r.Body).owner] = g.last
			}
		}
		s.checkErased(owners, "an erase was answered")
		s.checkErasedBlobs(owners)
		s.counts["erasures checked"]++
	}
}

// sees lists the objects that a principal may see in a collection, as of an LSN.
func (s *sim) sees(who access.Principal, collection string, lsn uint64, show func(*simObject) bool) (list []*simObject) {
	c := s.model.catalogue(lsn)
	id, rights, _ := c.rights(who, collection)
	for v := range s.model.objects {
		if o := s.model.object(v, lsn); o != nil && id != 0 && o.collection == id && simMayRead(rights, o.owner == c.principals[who].owner) && show(o) {
			list = append(list, o)
		}
	}
	return list
}

// shown checks that a GET, or a part of a LIST, shows the objects as of its head.
func (s *sim) shown(q *simRequest, h *wire.ReplyHeader, wrong func(string, ...any)) {
	m, at := s.model, h.Head.LSN
	if h.Code != model.Expired && h.Code != model.OK && h.Code != model.NotFound {
		if code := m.catalogue(at).enters(q.who, q.r.Collection, model.RightRead|model.RightReadOwn); code != h.Code {
			wrong("it should be %d", code)
		}
		return
	}
	id := m.catalogue(at).collections[q.r.Collection]
	want := s.sees(q.who, q.r.Collection, at, func(o *simObject) bool {
		switch {
		case q.r.Op == model.OpList:
			// There are few objects, so this part is the last.
			return bytes.Compare(o.id[:identity.ValueSize], q.r.Identity[:identity.ValueSize]) > 0
		case len(q.r.Name) > 0:
			return o.id.Value() == m.maker.Named(id, q.r.Name)
		}
		return o.id == q.r.Identity
	})
	if h.Code == model.Expired && q.r.Op == model.OpGet {
		s.expired(want, wrong)
		return
	}
	s.allExpired(q, want, wrong)
	if (h.Code == model.Expired) != (len(q.gone) > 0) {
		wrong("%d objects are missing", len(q.gone))
	}
	if (h.Code == model.NotFound) != (q.r.Op == model.OpGet && len(want) == 0) {
		wrong("%d objects should be shown", len(want))
	}
	s.same(q, want, wrong)
}

// shownMany checks that a GETMANY shows the objects as of its head, in the requested order.
func (s *sim) shownMany(q *simRequest, h *wire.ReplyHeader, wrong func(string, ...any)) {
	m, at := s.model, h.Head.LSN
	if code := m.catalogue(at).enters(q.who, q.r.Collection, model.RightRead|model.RightReadOwn); code != model.OK {
		if code != h.Code {
			wrong("it should be %d", code)
		}
		return
	}
	list, _ := wire.DecodeGetMany(q.r.Query)
	if len(q.ids) != len(list) || int(h.Count) != len(list) {
		wrong("%d of %d objects, count %d", len(q.ids), len(list), h.Count)
	}
	want := model.OK
	var shown []*simObject
	for i, w := range list {
		id := m.catalogue(at).collections[q.r.Collection]
		found := s.sees(q.who, q.r.Collection, at, func(o *simObject) bool {
			return len(w.Name) > 0 && o.id.Value() == m.maker.Named(id, w.Name) || o.id == w.Identity
		})
		switch absent := slices.Contains(q.absent, i); {
		case absent != (len(found) == 0):
			wrong("object %d: absent %v, there are %d", i, absent, len(found))
		case absent && q.ids[i] != w.Identity:
			wrong("object %d is absent, and told is %x", i, q.ids[i])
		case absent:
			want = worse(want, model.NotFound)
		case q.ids[i] != found[0].id:
			wrong("object %d is %x, want %x", i, q.ids[i], found[0].id)
		default:
			shown = append(shown, found[0])
		}
	}
	s.allExpired(q, shown, wrong)
	if len(q.gone) > 0 {
		want = model.Expired
	}
	if h.Code != want {
		wrong("it should be %d", want)
	}
	q.ids = slices.DeleteFunc(q.ids, func(id identity.ID) bool {
		return !slices.ContainsFunc(shown, func(o *simObject) bool { return o.id == id })
	})
	s.same(q, shown, wrong)
}

// expired checks that an object of the answer is gone.
func (s *sim) expired(want []*simObject, wrong func(string, ...any)) {
	for _, o := range want {
		if now := s.model.object(o.id.Value(), s.model.durable); now != o || !s.model.catalogue(s.model.durable).has(o.collection) {
			return
		}
	}
	wrong("all of it is still there")
}

// allExpired checks that each object reported as missing belongs to the answer, and is gone.
func (s *sim) allExpired(q *simRequest, want []*simObject, wrong func(string, ...any)) {
	for _, o := range want {
		if slices.Contains(q.gone, o.id) {
			s.expired([]*simObject{o}, wrong)
		}
	}
}

// same compares the objects of an answer with the expected ones.
func (s *sim) same(q *simRequest, want []*simObject, wrong func(string, ...any)) {
	if len(q.ids) != len(want) {
		wrong("%d objects came, %d should", len(q.ids), len(want))
	}
	for _, o := range want {
		if !slices.Contains(q.ids, o.id) {
			wrong("object %x is missing", o.id[:4])
		}
		for _, got := range q.objects {
			if got.id == o.id && (got.data != o.data || got.name != o.name) {
				wrong("object %x came as %q, and is %q", o.id[:4], got.data, o.data)
			}
		}
	}
}

// finds reports whether the predicate, or the expression, of a request finds an object with this
// data. The leaves of an expression are prefixes.
func (q *simRequest) finds(data string) bool {
	if q.r.Index != "" {
		return strings.HasPrefix(data, string(q.r.Query))
	}
	x, _ := wire.DecodeExpression(q.r.Query)
	var stack []bool
	for _, kind := range x.Program {
		if kind == wire.StepLeaf {
			stack = append(stack, strings.HasPrefix(data, string(x.Leaves[0].Predicate)))
			x.Leaves = x.Leaves[1:]
			continue
		}
		n := len(stack)
		first, last := stack[n-2], stack[n-1]
		result := map[wire.StepKind]bool{wire.StepAnd: first && last, wire.StepOr: first || last, wire.StepAndNot: first && !last}[kind]
		stack = append(stack[:n-2], result)
	}
	return stack[0]
}

// found checks that the answer to a predicate shows the collection as of one moment since the
// request. A hostile Task may refuse it or leave objects out, but must not add any.
func (s *sim) found(q *simRequest, h *wire.ReplyHeader, wrong func(string, ...any)) {
	m := s.model
	versions := m.versions(q.durable, h.Head.LSN)
	want := model.RightRead | model.RightReadOwn
	if q.where() {
		want = model.RightDelete
	}
	if h.Code != model.OK && (h.Code != model.Expired || q.r.Op != model.OpSearch) {
		for _, v := range versions {
			c := m.catalogue(v)
			code := c.enters(q.who, q.r.Collection, want)
			if code == model.OK && !c.hasIndex(c.collections[q.r.Collection], "x") {
				code = model.NoIndex
			}
			switch h.Code {
			case code:
				return
			case model.IndexUnavailable, model.IndexViolated, model.TooSlow:
				if code == model.OK {
					return
				}
			case model.LeakBudgetExhausted, model.StorageFailed: // StorageFailed: the log does not take the charge
				if code == model.OK && s.capped() {
					return
				}
			case model.QueryRefused, model.TooExpensive:
				if code == model.OK && (s.hostile || q.r.Index == "") {
					return
				}
			case model.Gone:
				if code == model.OK && (s.hostile || len(q.r.Object) > 0) {
					return
				}
			}
		}
		wrong("at no moment was that right")
	}
	matches := func(o *simObject) bool {
		return len(o.data) <= simMaxInput && q.finds(o.data)
	}
	if q.where() {
		s.deleted(q, h, wrong)
		return
	}
	page := q.r.Limit > 0 || len(q.r.Object) > 0
	if page && q.r.Limit > 0 && len(q.ids) > int(q.r.Limit) {
		wrong("%d objects, and the limit is %d", len(q.ids), q.r.Limit)
	}
	for _, v := range versions {
		list := s.sees(q.who, q.r.Collection, v, matches)
		if q.r.Op == model.OpCount && int(h.Count) == len(list) {
			return
		}
		if q.r.Op == model.OpSearch && len(list) == len(q.ids) && !slices.ContainsFunc(list, func(o *simObject) bool { return !slices.Contains(q.ids, o.id) }) {
			s.same(q, list, wrong)
			s.allExpired(q, list, wrong)
			return
		}
	}
	if truncated := h.Flags&wire.ReplyTruncated != 0; !s.hostile && !page && !truncated {
		wrong("%d objects: at no moment since it was asked did the collection look like that", h.Count)
	}
	for _, id := range q.ids {
		ok := false
		for _, v := range versions {
			ok = ok || len(s.sees(q.who, q.r.Collection, v, func(o *simObject) bool { return o.id == id })) > 0
		}
		if !ok {
			wrong("object %x was not to be seen at any moment since it was asked", id[:4])
		}
	}
}

// deleted checks that a DELETE by predicate deleted the number of objects that it reports.
func (s *sim) deleted(q *simRequest, h *wire.ReplyHeader, wrong func(string, ...any)) {
	if h.Count == 0 {
		return
	}
	var from *simGroup
	for _, g := range s.model.groups {
		if g.open && g.where && g.first > q.durable && g.last <= s.model.durable && len(g.records) == int(h.Count) && s.model.explainsWhere(q, g.records, s.hostile) {
			if from == nil || from.other && !g.other {
				from = g
			}
		}
	}
	if from == nil {
		wrong("%d objects are said to be deleted, and are not", h.Count)
	}
	from.open = false
}

// randomRequest sends a random request.
func (s *sim) randomRequest() {
	if len(s.clients) < 4 && (len(s.clients) == 0 || s.chance(20)) {
		s.connect(s.people[s.rng.IntN(len(s.people))*s.rng.IntN(2)]) // the administrator as often as all others together
		return
	}
	c := s.clients[s.rng.IntN(len(s.clients))]
	if s.waiting() > 40 {
		return
	}
	r := wire.Request{Collection: []string{"a", "a", "a", "b", "b", "c"}[s.rng.IntN(6)]}
	switch k := s.rng.IntN(100); {
	case k < 30:
		r.Op = model.OpPut
		w := s.randomWrite(r.Collection)
		r.Op, r.Name, r.Object, r.Flags, r.Identity = w.Op, w.Name, w.Object, w.Flags, w.Identity
	case k < 42:
		r.Op = model.OpBatch
		for range 1 + s.rng.IntN(5) {
			w := s.randomWrite(r.Collection)
			r.Object = frames.AppendBatchOp(r.Object, &w)
		}
	case k < 46:
		r.Op = model.OpGetMany
		for range 1 + s.rng.IntN(8) {
			if o := s.someObject(r.Collection); o != nil && s.chance(40) {
				r.Query = frames.AppendWantedIdentity(r.Query, o.id)
			} else {
				r.Query = frames.AppendWantedName(r.Query, s.name())
			}
		}
	case k < 62:
		r.Op, r.Name = model.OpGet, s.name()
		if s.chance(40) {
			if o := s.someObject(r.Collection); o != nil {
				r.Name, r.Identity = nil, o.id
			}
		}
	case k < 70:
		r.Op, r.Flags = model.OpList, []wire.Flags{0, wire.FlagIDsOnly}[s.rng.IntN(2)]
		r.Identity[0] = byte(s.rng.IntN(256))
	case k < 82:
		r.Op, r.Index, r.Query = model.OpSearch, "x", []byte{byte('0' + s.rng.IntN(3))}
		switch s.rng.IntN(4) {
		case 0:
			r.Op = model.OpCount
		case 1:
			r.Op = model.OpDeleteWhere
			r.Query = append(r.Query, byte('0'+s.rng.IntN(10)))
		case 2:
			r.Limit = uint32(1 + s.rng.IntN(3))
			if o := s.someObject(r.Collection); o != nil && s.chance(50) {
				r.Object = o.id[:]
			}
		}
		if s.chance(40) {
			r.Index, r.Query = "", s.randomExpression([]byte{0}, 1+s.rng.IntN(3))
		}
	case k < 86:
		r = wire.Request{Op: model.OpHead}
		if len(s.heads) > 0 && s.chance(80) {
			h := s.heads[s.rng.IntN(len(s.heads))]
			if len(s.foreign) > 0 && s.chance(30) {
				h = s.foreign[s.rng.IntN(len(s.foreign))]
			}
			r.Query = model.AppendHead(nil, &h)
		}
	case k < 89:
		r = wire.Request{Op: model.OpCompact}
	default:
		r = s.randomChange(r.Collection)
	}
	if i := slices.IndexFunc(s.clients, func(c *simClient) bool { return c.who == s.people[0] }); i >= 0 && r.Op >= 16 && s.chance(50) {
		c = s.clients[i]
	}
	s.ask(c, r)
}

// randomExpression appends the steps of an expression over prefixes.
func (s *sim) randomExpression(p []byte, leaves int) []byte {
	if leaves == 1 {
		return frames.AppendLeaf(p, model.TypeAny, "x", []string{"", "0", "1", "2"}[s.rng.IntN(4)])
	}
	first := 1 + s.rng.IntN(leaves-1)
	p = s.randomExpression(s.randomExpression(p, first), leaves-first)
	return append(p, byte(wire.StepAnd)+byte(s.rng.IntN(3)))
}

func (s *sim) name() []byte { return []byte{'n', byte('0' + s.rng.IntN(simNames))} }

// someObject returns an object of a collection, or nil.
func (s *sim) someObject(collection string) *simObject {
	m := s.model
	id := m.catalogue(m.durable).collections[collection]
	var list []*simObject
	for _, o := range m.state(m.durable) {
		if o.collection == id {
			list = append(list, o)
		}
	}
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b *simObject) int { return bytes.Compare(a.id[:], b.id[:]) })
	return list[s.rng.IntN(len(list))]
}

func (s *sim) randomWrite(collection string) wire.Request {
	w := wire.Request{Op: model.OpPut, Name: s.name(), Object: s.content()}
	o := s.someObject(collection)
	switch k := s.rng.IntN(20); {
	case k < 2:
		w.Flags = wire.FlagIfAbsent
	case k < 3 && o != nil && o.name != "" && len(o.data) < 1000:
		w.Name, w.Object = []byte(o.name), []byte(o.data) // put it again unchanged
		s.repeated[o.data] = true
	case k < 5 && o != nil && o.name != "":
		w.Flags, w.Name, w.Identity = wire.FlagIfIdentity, []byte(o.name), o.id
	case k < 7:
		w.Name = nil
	case k < 10:
		w.Op, w.Object = model.OpDelete, nil
	case k < 14 && o != nil:
		w.Op, w.Object, w.Identity, w.Name = model.OpDelete, nil, o.id, nil
		if o.name != "" && s.chance(30) {
			w.Name, w.Flags = []byte(o.name), wire.FlagIfIdentity
		}
	}
	return w
}

// content returns a new content, in one of a few sizes.
func (s *sim) content() []byte {
	s.number++
	p := fmt.Appendf(nil, "%d%d:%d:", s.rng.IntN(3), s.rng.IntN(10), s.number)
	size := []int{0, 20, 100, 150, 700, 5000}[s.rng.IntN(6)]
	if s.chance(1) {
		size = 80 << 10
	}
	return append(p, bytes.Repeat([]byte{'.'}, size)...)
}

func (s *sim) randomChange(collection string) wire.Request {
	p := s.people[1+s.rng.IntN(len(s.people)-1)]
	r := wire.Request{Identity: identity.ID(p)}
	switch k := s.rng.IntN(100); {
	case k < 18:
		r.Op, r.Name = model.OpAddPrincipal, fmt.Appendf(nil, "p%d", p[0])
	case k < 22:
		r.Op = model.OpRemovePrincipal
	case k < 34:
		r.Op, r.Flags = model.OpRemovePrincipal, wire.FlagErase
	case k < 42:
		next := s.people[1+s.rng.IntN(len(s.people)-1)]
		r.Op, r.Query = model.OpRotatePrincipal, next[:]
	case k < 66:
		r.Op, r.Collection, r.Rights = model.OpGrant, collection, model.Rights(1+s.rng.IntN(31))
		if s.chance(10) {
			r.Collection, r.Rights = "", model.RightAdmin
		}
	case k < 78:
		r.Op, r.Collection, r.Rights = model.OpRevoke, collection, model.Rights(1+s.rng.IntN(31))
		if s.chance(20) {
			r.Collection, r.Rights, r.Identity = "", model.RightAdmin, identity.ID(s.people[s.rng.IntN(len(s.people))])
		}
	case k < 85:
		r = wire.Request{Op: model.OpCreateCollection, Collection: collection}
	case k < 90:
		r = wire.Request{Op: model.OpDropCollection, Collection: collection}
	case k < 97:
		r = s.createIndex(collection)
	default:
		r = wire.Request{Op: model.OpDropIndex, Collection: collection, Index: "x"}
	}
	return r
}

func (s *sim) createIndex(collection string) wire.Request {
	return wire.Request{Op: model.OpCreateIndex, Collection: collection, Index: "x", Options: []model.IndexOptions{0, model.OptionLazy}[s.rng.IntN(2)], Name: []byte("fake")}
}

// capped reports whether the indexes have leak budgets.
func (s *sim) capped() bool { return s.seed%8 == 3 }

func (s *sim) registerFake() wire.Request {
	row := model.Row{Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete, MaxInput: simMaxInput, MaxResults: 1000, Deadline: 1000, Memory: 1, Ordered: true}
	if s.capped() {
		row.LeakBudget, row.IndexBudget = 1<<12, 1<<13
	}
	if s.shelved() {
		row.Shelf = simQuota
	}
	return wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)}
}

// decodePieces decodes the first piece of a checkpoint.
func decodePieces(p []byte) (list []seglog.Record) {
	for r := codec.NewReader(p); r.Len() > 0; {
		rec := seglog.Record{LSN: r.U64(), Kind: seglog.Kind(r.U8()), Collection: r.U32()}
		rec.Body = r.Take(int(r.U32()))
		list = append(list, rec)
	}
	return list
}

func simU32(p []byte) uint32 { return binary.BigEndian.Uint32(p) }
