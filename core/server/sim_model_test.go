package server

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"motte/core/access"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// simModel is a second implementation of the store's rules, from the documents. It shares only
// the formats with the engine. It keeps every version of the state, by LSN, so that an answer
// can be compared with the state at its moment.
type simModel struct {
	maker   *identity.Maker
	objects map[identity.Value][]simChange // changes of each object, the oldest first
	cats    []*simCatalogue                // versions of the catalogue, the oldest first
	groups  []*simGroup                    // appended groups, the oldest first; very old ones are dropped
	durable uint64                         // durable LSN that the engine knows
	erased  map[uint32]uint64              // erased owners, with the LSN of the erasure

	generations uint32 // the highest number of a generation in this process, also if its record was lost
}

// simChange is the effect of a record on an object; nil: the object is gone.
type simChange struct {
	lsn uint64
	is  *simObject
}

type simObject struct {
	id                identity.ID
	collection, owner uint32
	name, data        string
	lsn               uint64
	sealed            []byte // a part of the sealed record
}

// simGroup is a group of records that the engine appended.
type simGroup struct {
	first, last uint64
	records     seglog.Group
	request     *simRequest // request that caused the group; nil: unknown, or none
	open        bool        // the group belongs to a request that is not known yet
	where       bool        // the group may be from a DELETE by predicate
	other       bool        // the group may be from another request
}

// simCatalogue is the catalogue as of an LSN.
type simCatalogue struct {
	lsn                           uint64
	principals                    map[access.Principal]simPrincipal
	collections                   map[string]uint32
	grants                        map[uint32]map[access.Principal]model.Rights // 0: the server
	indexes                       map[uint32][]string                          // name and flags
	tasks                         map[string]bool
	shelves                       map[uint32]simShelf // by the collection of the blobs
	owners, identifiers, numbered uint32
}

type simPrincipal struct {
	owner uint32
	label string
}

func newSimCatalogue() *simCatalogue {
	return &simCatalogue{principals: map[access.Principal]simPrincipal{}, collections: map[string]uint32{},
		grants: map[uint32]map[access.Principal]model.Rights{0: {}}, indexes: map[uint32][]string{}, tasks: map[string]bool{}, shelves: map[uint32]simShelf{}}
}

func newSimModel() *simModel {
	return &simModel{objects: make(map[identity.Value][]simChange), cats: []*simCatalogue{newSimCatalogue()}, erased: make(map[uint32]uint64)}
}

func (c *simCatalogue) clone() *simCatalogue {
	n := *c
	n.principals, n.collections, n.tasks = maps.Clone(c.principals), maps.Clone(c.collections), maps.Clone(c.tasks)
	n.shelves = maps.Clone(c.shelves)
	n.grants, n.indexes = make(map[uint32]map[access.Principal]model.Rights), make(map[uint32][]string)
	for id, g := range c.grants {
		n.grants[id] = maps.Clone(g)
	}
	for id, x := range c.indexes {
		n.indexes[id] = slices.Clone(x)
	}
	return &n
}

// describe writes down the catalogue, without its LSN.
func (c *simCatalogue) describe() string {
	var b strings.Builder
	for _, p := range slices.SortedFunc(maps.Keys(c.principals), comparePrincipals) {
		fmt.Fprintf(&b, "%x %v\n", p[:2], c.principals[p])
	}
	for _, name := range slices.Sorted(maps.Keys(c.collections)) {
		id := c.collections[name]
		fmt.Fprintf(&b, "%s %d %v\n", name, id, c.indexes[id])
	}
	for _, id := range slices.Sorted(maps.Keys(c.grants)) {
		for _, p := range slices.SortedFunc(maps.Keys(c.grants[id]), comparePrincipals) {
			fmt.Fprintf(&b, "%d: %x %05b\n", id, p[:2], c.grants[id][p])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.shelves)) {
		fmt.Fprintf(&b, "shelf %d: %+v\n", id, c.shelves[id])
	}
	fmt.Fprintln(&b, slices.Sorted(maps.Keys(c.tasks)), c.owners, c.identifiers, c.numbered)
	return b.String()
}

func comparePrincipals(a, b access.Principal) int { return bytes.Compare(a[:], b[:]) }

// clone copies a model, for a fork of the history.
func (m *simModel) clone() *simModel {
	c := *m
	c.objects, c.cats, c.groups, c.erased = make(map[identity.Value][]simChange), slices.Clone(m.cats), slices.Clone(m.groups), maps.Clone(m.erased)
	for v, list := range m.objects {
		c.objects[v] = slices.Clone(list)
	}
	return &c
}

// decided returns the LSN of the last appended record.
func (m *simModel) decided() uint64 {
	if n := len(m.groups); n > 0 {
		return m.groups[n-1].last
	}
	return m.durable
}

// versions lists the LSNs of all states between two LSNs.
func (m *simModel) versions(from, to uint64) (list []uint64) {
	list = append(list, from)
	for _, g := range m.groups {
		if g.last > from && g.last <= to {
			list = append(list, g.last)
		}
	}
	return list
}

// catalogue returns the catalogue as of an LSN.
func (m *simModel) catalogue(lsn uint64) *simCatalogue {
	for _, c := range slices.Backward(m.cats) {
		if c.lsn <= lsn {
			return c
		}
	}
	panic(simFailure("the model has no catalogue of that time"))
}

// object returns the object with a value as of an LSN; nil: there is none.
func (m *simModel) object(v identity.Value, lsn uint64) *simObject {
	for _, c := range slices.Backward(m.objects[v]) {
		if c.lsn <= lsn {
			return c.is
		}
	}
	return nil
}

// state returns all objects of all collections as of an LSN.
func (m *simModel) state(lsn uint64) map[identity.Value]*simObject {
	all, c := make(map[identity.Value]*simObject), m.catalogue(lsn)
	for v := range m.objects {
		if o := m.object(v, lsn); o != nil && c.has(o.collection) {
			all[v] = o
		}
	}
	return all
}

func (c *simCatalogue) has(collection uint32) bool {
	for _, id := range c.collections {
		if id == collection {
			return true
		}
	}
	_, blobs := c.shelves[collection]
	return blobs
}

// erasedSince reports whether an owner was erased after an LSN.
func (m *simModel) erasedSince(lsn uint64) bool {
	for _, at := range m.erased {
		if at > lsn {
			return true
		}
	}
	return false
}

// cut forgets all records after an LSN, since they never became durable.
func (m *simModel) cut(lsn uint64) {
	for v, list := range m.objects {
		m.objects[v] = slices.DeleteFunc(list, func(c simChange) bool { return c.lsn > lsn })
	}
	m.cats = slices.DeleteFunc(m.cats, func(c *simCatalogue) bool { return c.lsn > lsn })
	for i, g := range m.groups {
		if g.last > lsn {
			for _, lost := range m.groups[i:] {
				if lost.request != nil {
					lost.request.group = nil
				}
			}
			m.groups = m.groups[:i]
			break
		}
	}
	maps.DeleteFunc(m.erased, func(_ uint32, at uint64) bool { return at > lsn })
}

// simEntry is the decoded body of a record of the catalogue.
type simEntry struct {
	name, task, label string
	flags             byte
	principal         access.Principal
	owner             uint32
	rest              string
	shelf             uint32 // of an index: the number of the collection of its blobs
}

func decodeSimEntry(p []byte) (n simEntry) {
	text := func(p []byte) string { return string(bytes.TrimRight(p, "\x00")) }
	n.name, n.task, n.flags, n.principal = text(p[:32]), text(p[32:64]), p[65], access.Principal(p[66:98])
	n.owner, n.label = binary.BigEndian.Uint32(p[98:]), text(p[102:166])
	n.shelf = binary.BigEndian.Uint32(p[102:])
	n.rest = string(p[166:])
	return n
}

// apply applies an appended record.
func (m *simModel) apply(r *seglog.Record) {
	switch r.Kind {
	case seglog.KindPut:
		name, attributes := int(binary.BigEndian.Uint16(r.Body)), int(binary.BigEndian.Uint32(r.Body[2:]))
		m.change(r, &simObject{id: r.ID, collection: r.Collection, owner: r.Owner, lsn: r.LSN,
			name: string(r.Body[6:][:name]), data: string(r.Body[6+name+attributes:])})
	case seglog.KindDelete:
		m.change(r, nil)
	case seglog.KindAlert, seglog.KindBarrier, seglog.KindDrawn:
	default:
		c := m.cats[len(m.cats)-1].clone()
		c.lsn = r.LSN
		m.cats = append(m.cats, c)
		if r.Kind == seglog.KindShelf {
			m.generations = max(m.generations, c.applyShelf(r.Collection, r.Body))
			return
		}
		n := decodeSimEntry(r.Body)
		if c.apply(r.Kind, r.Collection, n); r.Kind == seglog.KindRemovePrincipal && n.flags != 0 {
			m.erased[n.owner] = r.LSN
			for v := range m.objects {
				if o := m.object(v, r.LSN); o != nil && o.owner == n.owner {
					m.objects[v] = append(m.objects[v], simChange{lsn: r.LSN})
				}
			}
		}
	}
}

func (m *simModel) change(r *seglog.Record, is *simObject) {
	v := r.ID.Value()
	m.objects[v] = append(m.objects[v], simChange{r.LSN, is})
}

func (c *simCatalogue) apply(kind seglog.Kind, collection uint32, n simEntry) {
	give := func(to model.Rights) {
		if c.grants[collection][n.principal] = to; to == 0 {
			delete(c.grants[collection], n.principal)
		}
	}
	switch kind {
	case seglog.KindCreateCollection:
		c.collections[n.name], c.identifiers = collection, max(c.identifiers, collection)
		c.grants[collection] = map[access.Principal]model.Rights{}
		give(model.Rights(n.flags))
	case seglog.KindDropCollection:
		maps.DeleteFunc(c.collections, func(_ string, id uint32) bool { return id == collection })
		delete(c.grants, collection)
		delete(c.indexes, collection)
		maps.DeleteFunc(c.shelves, func(_ uint32, s simShelf) bool { return s.collection == collection })
	case seglog.KindCreateIndex:
		c.indexes[collection], c.numbered = append(c.indexes[collection], fmt.Sprint(n.name, " ", n.flags, n.owner)), max(c.numbered, n.owner)
		c.identifiers = max(c.identifiers, n.shelf)
		c.shelves[n.shelf] = simShelf{collection: collection, index: n.name}
	case seglog.KindDropIndex:
		c.indexes[collection] = slices.DeleteFunc(c.indexes[collection], func(x string) bool { return strings.HasPrefix(x, n.name+" ") })
		maps.DeleteFunc(c.shelves, func(_ uint32, s simShelf) bool { return s.collection == collection && s.index == n.name })
	case seglog.KindRegisterTask:
		c.tasks[n.name] = true
	case seglog.KindAddPrincipal:
		c.owners = max(c.owners, n.owner)
		c.principals[n.principal] = simPrincipal{n.owner, n.label}
	case seglog.KindRemovePrincipal:
		delete(c.principals, n.principal)
		for id := range c.grants {
			delete(c.grants[id], n.principal)
		}
	case seglog.KindRotatePrincipal:
		next := access.Principal([]byte(n.rest))
		c.principals[next] = c.principals[n.principal]
		delete(c.principals, n.principal)
		for id, grants := range c.grants {
			if r, has := grants[n.principal]; has {
				c.grants[id][next] = r
				delete(grants, n.principal)
			}
		}
	case seglog.KindGrant:
		give(c.grants[collection][n.principal] | model.Rights(n.flags))
	case seglog.KindRevoke:
		give(c.grants[collection][n.principal] &^ model.Rights(n.flags))
	}
}

// rights returns the rights of a principal in a collection, and whether it administers the
// server.
func (c *simCatalogue) rights(p access.Principal, collection string) (id uint32, r model.Rights, admin bool) {
	id = c.collections[collection]
	if id != 0 {
		r = c.grants[id][p]
	}
	return id, r, c.grants[0][p]&model.RightAdmin != 0
}

// enters returns the code for a principal that needs one of several rights.
func (c *simCatalogue) enters(p access.Principal, collection string, want model.Rights) model.Code {
	id, r, admin := c.rights(p, collection)
	_, known := c.principals[p]
	switch {
	case !known:
		return model.UnknownPrincipal
	case id == 0:
		return model.NoCollection
	case r&want != 0:
		return model.OK
	case r == 0 && !admin:
		return model.NoCollection
	}
	return model.Denied
}

func simMayRead(r model.Rights, own bool) bool {
	return r&model.RightRead != 0 || own && r&model.RightReadOwn != 0
}

func simMayDelete(r model.Rights, own bool) bool {
	return r&model.RightDelete != 0 && (own || r&model.RightRead != 0)
}

// predict returns the result of a request that is decided on the state as of an LSN: its code,
// and its records. Random values in the records are left out.
func (m *simModel) predict(q *simRequest, lsn uint64) (group []seglog.Record, code model.Code) {
	c := m.catalogue(lsn)
	if q.writes == nil {
		r, code := c.predictChange(q, max(c.owners, m.generations)+1)
		return []seglog.Record{r}, code
	}
	if code := c.enters(q.who, q.r.Collection, model.RightWrite|model.RightDelete); code != model.OK {
		return nil, code
	}
	id, rights, _ := c.rights(q.who, q.r.Collection)
	owner := c.principals[q.who].owner
	staged := make(map[identity.Value]*simObject)
	for i := range q.writes {
		w := &q.writes[i]
		v := w.Identity.Value()
		if len(w.Name) > 0 {
			v = m.maker.Named(id, w.Name)
		}
		cur, ok := staged[v]
		if !ok {
			if cur = m.object(v, lsn); cur != nil && cur.collection != id {
				cur = nil
			}
		}
		if code := mayWrite(w, rights, cur, cur != nil && cur.owner == owner); code != model.OK {
			return nil, code
		}
		rec := seglog.Record{Kind: seglog.KindDelete, Collection: id}
		staged[v] = nil
		if w.Op == model.OpPut {
			rec.Kind, rec.Owner, rec.Body = seglog.KindPut, owner, []byte(w.Object)
			if len(w.Name) > 0 {
				rec.ID = m.maker.ID(id, owner, v, identity.Digest(w.Query, w.Object))
			}
			staged[v] = &simObject{id: rec.ID, collection: id, owner: owner}
		} else {
			rec.ID = cur.id
		}
		group = append(group, rec)
	}
	return group, model.OK
}

// mayWrite is the rule for one write.
func mayWrite(w *wire.Request, r model.Rights, cur *simObject, own bool) model.Code {
	exists := cur != nil
	is := exists && cur.id == w.Identity
	if w.Op == model.OpDelete {
		switch {
		case !exists, !simMayRead(r, own) && !simMayDelete(r, own), len(w.Name) == 0 && !is:
			return model.NotFound
		case !simMayDelete(r, own):
			return model.Denied
		case w.Flags&wire.FlagIfIdentity != 0 && !is:
			return model.PreconditionFailed
		}
		return model.OK
	}
	switch {
	case r&model.RightWrite == 0:
		return model.Denied
	case w.Flags&wire.FlagIfAbsent != 0 && exists, w.Flags&wire.FlagIfIdentity != 0 && !is:
		return model.PreconditionFailed
	case exists && !own && !simMayDelete(r, own):
		return model.Denied
	}
	return model.OK
}

// predictChange has the rules for changes of the catalogue.
func (c *simCatalogue) predictChange(q *simRequest, nextOwner uint32) (rec seglog.Record, code model.Code) {
	id, _, admin := c.rights(q.who, q.r.Collection)
	_, asks := c.principals[q.who]
	ofCollection := q.r.Collection != "" && q.r.Op != model.OpCreateCollection
	switch {
	case !asks:
		return rec, model.UnknownPrincipal
	case !admin && !ofCollection:
		return rec, model.Denied
	case !admin && c.enters(q.who, q.r.Collection, model.RightAdmin) != model.OK:
		return rec, c.enters(q.who, q.r.Collection, model.RightAdmin)
	case ofCollection && id == 0:
		return rec, model.NoCollection
	}
	rec.Collection = id
	switch q.r.Op {
	case model.OpCreateCollection:
		rec.Kind, rec.Collection = seglog.KindCreateCollection, c.identifiers+1
		if id != 0 {
			return rec, model.Exists
		}
	case model.OpDropCollection:
		rec.Kind = seglog.KindDropCollection
	case model.OpCreateIndex:
		rec.Kind, rec.Owner = seglog.KindCreateIndex, c.numbered+1 // its number
		switch has := c.hasIndex(id, q.r.Index); {
		case !c.tasks[string(q.r.Name)]:
			return rec, model.NoTask
		case has:
			return rec, model.Exists
		}
	case model.OpDropIndex:
		if rec.Kind = seglog.KindDropIndex; !c.hasIndex(id, q.r.Index) {
			return rec, model.NoIndex
		}
	case model.OpRegisterTask:
		rec.Kind = seglog.KindRegisterTask
	default:
		return c.predictPrincipal(q, rec, nextOwner)
	}
	return rec, model.OK
}

// predictPrincipal has the rules for principals and their rights.
func (c *simCatalogue) predictPrincipal(q *simRequest, rec seglog.Record, nextOwner uint32) (seglog.Record, model.Code) {
	subject, rights := access.Principal(q.r.Identity), q.r.Rights
	_, known := c.principals[subject]
	last := c.grants[0][subject]&model.RightAdmin != 0 && len(c.grants[0]) == 1
	switch q.r.Op {
	case model.OpAddPrincipal:
		rec.Kind, rec.Owner = seglog.KindAddPrincipal, nextOwner
		for _, p := range c.principals {
			known = known || p.label == string(q.r.Name)
		}
		if known {
			return rec, model.Exists
		}
	case model.OpRemovePrincipal:
		switch rec.Kind, rec.Owner = seglog.KindRemovePrincipal, c.principals[subject].owner; {
		case !known:
			return rec, model.NoPrincipal
		case last:
			return rec, model.InvalidRequest
		}
	case model.OpRotatePrincipal:
		rec.Kind = seglog.KindRotatePrincipal
		if _, taken := c.principals[access.Principal(q.r.Query)]; !known {
			return rec, model.NoPrincipal
		} else if taken {
			return rec, model.Exists
		}
	case model.OpGrant, model.OpRevoke:
		if rec.Kind = seglog.KindGrant; q.r.Op == model.OpRevoke {
			rec.Kind = seglog.KindRevoke
		}
		switch {
		case !known:
			return rec, model.NoPrincipal
		case rights == 0, rec.Collection == 0 && rights != model.RightAdmin, q.r.Op == model.OpRevoke && rec.Collection == 0 && last:
			return rec, model.InvalidRequest
		}
	}
	return rec, model.OK
}

func (c *simCatalogue) hasIndex(collection uint32, name string) bool {
	return slices.ContainsFunc(c.indexes[collection], func(x string) bool { return strings.HasPrefix(x, name+" ") })
}

// explains reports whether a group is the result of a request.
func (m *simModel) explains(q *simRequest, g []seglog.Record) bool {
	want, code := m.predict(q, g[0].LSN-1)
	if code != model.OK || len(want) != len(g) && !(len(want) == 1 && want[0].Kind == g[0].Kind && m.endsShelves(q, g)) {
		return false
	}
	g = g[:len(want)]
	for i := range g {
		if g[i].Kind != want[i].Kind || g[i].Collection != want[i].Collection {
			return false
		}
		if q.writes == nil {
			n := decodeSimEntry(g[i].Body)
			if !q.says(n) || n.owner != want[i].Owner {
				return false
			}
			continue
		}
		w := &q.writes[i]
		if g[i].Owner != want[i].Owner || want[i].ID != (identity.ID{}) && g[i].ID != want[i].ID {
			return false
		}
		if w.Op == model.OpPut && !bytes.Equal(g[i].Body[6:], slices.Concat(w.Name, w.Query, w.Object)) {
			return false
		}
	}
	return true
}

// explainsWhere reports whether a group may be the result of a DELETE by predicate: all of its
// objects existed, and the principal may delete them.
func (m *simModel) explainsWhere(q *simRequest, g []seglog.Record, hostile bool) bool {
	c := m.catalogue(g[0].LSN - 1)
	id, rights, _ := c.rights(q.who, q.r.Collection)
	for i := range g {
		o := m.object(g[i].ID.Value(), g[0].LSN-1)
		if g[i].Kind != seglog.KindDelete || o == nil || o.id != g[i].ID || o.collection != id ||
			!simMayDelete(rights, o.owner == c.principals[q.who].owner) || !hostile && !q.finds(o.data) {
			return false
		}
	}
	return true
}
