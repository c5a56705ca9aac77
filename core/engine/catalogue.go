package engine

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"motte/core/access"
	"motte/core/codec"
	"motte/core/hostwire"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// Limits of the catalogue, which is held in memory.
const (
	MaxCollections = 16384
	MaxIndexes     = wire.MaxAttributes // of one collection
	MaxTasks       = 256
	MaxPrincipals  = 65536
)

// catalogue is all that the log says beside the objects: who there is, what
// they may do, what is indexed how. It changes only in applyChange.
type catalogue struct {
	principals  map[access.Principal]*principal
	labels      map[string]bool        // of the principals
	tasks       map[string]*executable // the API format table
	byName      map[string]*collection
	byID        map[uint32]*collection
	collections []*collection   // by identifier; 0, without a name, is the server itself: it has but grants
	indexes     []*index        // of all collections, in the order of their making
	owners      uint32          // the highest owner given out
	identifiers uint32          // the highest given to a collection; never given again
	numbered    uint32          // likewise, of indexes
	cleaned     int64           // Unix time at which all dead records had been given back
	erased      map[uint32]bool // owners without a data key, or whose key is to be destroyed
}

// principal is the entry that made it: its id, label, and owner, whose data key
// seals what it puts.
type principal = entry

// executable is a Task that is registered, with its row, which its entry holds, too.
type executable struct {
	entry
	model.Row
}

type collection struct {
	id      uint32
	name    string
	grants  access.Grants
	indexes []*index // in the order of their making
	objects *mapping.Map
	used    map[uint32]int64 // bytes of its live records, by segment
	bytes   uint64           // of all of them
	coming  usage            // objects and bytes when all records on their way are durable; only with a quota
	quota   model.Quota      // the limit of those
	touched bool             // see touch

	versions uint64 // of objects that have appeared since the start
}

func newCollection(id uint32, name string) *collection {
	return &collection{id: id, name: name, grants: make(access.Grants),
		objects: mapping.New(id), used: make(map[uint32]int64)}
}

func (c *collection) index(name string) *index {
	if i := slices.IndexFunc(c.indexes, func(x *index) bool { return x.name == name }); i >= 0 {
		return c.indexes[i]
	}
	return nil
}

func (c *catalogue) isAdmin(p access.Principal) bool {
	return access.Any(c.byID[0].grants.Rights(p), model.RightAdmin)
}

// entry is the body of every record of the catalogue, in one layout for all
// kinds; fields that a kind does not use are zero:
//
//	name 32 | Task 32 | data type 1 | flags or rights 1 | principal 32
//	owner, or number of an index, 4 | label 64 | configuration or row …
type entry struct {
	name, task, label string
	dataType          model.DataType
	flags             wire.Flags // or rights
	id                access.Principal
	owner             uint32 // or number of an index
	rest              []byte
}

func (n entry) record(kind seglog.Kind, collection uint32) seglog.Record {
	return seglog.Record{Kind: kind, Collection: collection, Body: codec.Writer(nil).
		Text(n.name, model.MaxIdentifier).Text(n.task, model.MaxIdentifier).
		U8(byte(n.dataType), byte(n.flags)).
		Bytes(n.id[:]).U32(n.owner).Text(n.label, model.MaxLabel).Bytes(n.rest)}
}

func decodeEntry(p []byte) (n entry, err error) {
	r := codec.NewReader(p)
	n.name, n.task = r.Text(model.MaxIdentifier), r.Text(model.MaxIdentifier)
	n.dataType, n.flags = model.DataType(r.U8()), wire.Flags(r.U8())
	r.Copy(n.id[:])
	n.owner, n.label, n.rest = r.U32(), r.Text(model.MaxLabel), r.Rest()
	return n, r.Done()
}

// The flows of the requests that change the catalogue: each decides whether its request
// makes sense, and then appends one record. The parts that an operation does not use are
// empty: see Prepare.

func (e *Engine) createCollection(q *Request) model.Code {
	switch {
	case !model.ValidIdentifier(q.Collection):
		return model.InvalidRequest
	case q.in != nil:
		return model.Exists
	case len(e.collections) > MaxCollections, e.identifiers+1 >= mapping.Limit:
		return model.LimitReached
	}
	n := entry{name: q.Collection, id: q.by.id, flags: wire.Flags(model.RightsAll)}
	return e.change(q, n.record(seglog.KindCreateCollection, e.identifiers+1))
}

func (e *Engine) dropCollection(q *Request) model.Code {
	return e.change(q, entry{}.record(seglog.KindDropCollection, q.in.id))
}

func (e *Engine) createIndex(q *Request) model.Code {
	n := entry{name: q.Index, task: string(q.Name), dataType: q.Type, flags: q.Flags,
		owner: e.numbered + 1, rest: q.Query}
	row := e.tasks[n.task]
	switch {
	case !model.ValidIdentifier(n.name):
		return model.InvalidRequest
	case row == nil:
		return model.NoTask
	case q.in.index(n.name) != nil:
		return model.Exists
	case len(q.in.indexes) >= MaxIndexes:
		return model.LimitReached
	case q.Flags&wire.FlagOrdered != 0 && !row.Ordered, !compatible(row.Type, n.dataType):
		return model.InvalidRequest
	}
	return e.change(q, n.record(seglog.KindCreateIndex, q.in.id))
}

func (e *Engine) dropIndex(q *Request) model.Code {
	if q.in.index(q.Index) == nil {
		return model.NoIndex
	}
	return e.change(q, entry{name: q.Index}.record(seglog.KindDropIndex, q.in.id))
}

func (e *Engine) registerTask(q *Request) model.Code {
	n := entry{name: string(q.Name), rest: q.Query}
	_, err := model.DecodeRow(n.rest)
	switch {
	case err != nil, !model.ValidIdentifier(n.name):
		return model.InvalidRequest
	case e.tasks[n.name] == nil && len(e.tasks) >= MaxTasks:
		return model.LimitReached
	}
	return e.change(q, n.record(seglog.KindRegisterTask, 0))
}

func (e *Engine) addPrincipal(q *Request) model.Code {
	id, label := access.Principal(q.Identity), string(q.Name)
	switch {
	case !model.ValidLabel(label):
		return model.InvalidRequest
	case e.principals[id] != nil, e.labels[label]:
		return model.Exists
	case len(e.principals) >= MaxPrincipals, e.owners+1 >= mapping.Limit:
		return model.LimitReached
	}
	return e.change(q, e.newPrincipal(id, label).record(seglog.KindAddPrincipal, 0))
}

func (e *Engine) removePrincipal(q *Request) model.Code {
	subject := e.principals[access.Principal(q.Identity)]
	switch {
	case subject == nil:
		return model.NoPrincipal
	case e.lastAdmin(subject):
		return model.InvalidRequest
	}
	n := entry{id: subject.id, owner: subject.owner, flags: q.Flags}
	return e.change(q, n.record(seglog.KindRemovePrincipal, 0))
}

// grant decides a GRANT or a REVOKE. On the server itself there is but one right.
func (e *Engine) grant(q *Request) model.Code {
	kind, rights := seglog.KindGrant, model.Rights(q.Flags)
	if q.Op == model.OpRevoke {
		kind = seglog.KindRevoke
	}
	subject := e.principals[access.Principal(q.Identity)]
	switch {
	case subject == nil:
		return model.NoPrincipal
	case rights == 0, q.in.id == 0 && rights != model.RightAdmin,
		q.in.id == 0 && kind == seglog.KindRevoke && e.lastAdmin(subject):
		return model.InvalidRequest
	}
	return e.change(q, entry{id: subject.id, flags: q.Flags}.record(kind, q.in.id))
}

// lastAdmin reports whether a principal is the only server administrator, who can't be
// taken away: no other principal could undo it.
func (e *Engine) lastAdmin(p *principal) bool {
	return e.isAdmin(p.id) && len(e.byID[0].grants) == 1
}

// newPrincipal returns the entry of a new principal, with an owner's number, which
// stands for a data key, of its own.
// A principal that was removed and comes back is a new owner: what it put
// before is not its own any more.
func (e *Engine) newPrincipal(id access.Principal, label string) entry {
	n := entry{id: id, owner: e.owners + 1, label: label}
	for !e.History.HasKey(n.owner) { // an older copy of the log may not know that it was given out
		n.owner++
	}
	return n
}

// change begins a change of the catalogue. While it is on its way to the disk, later
// changes and writes wait, so that each is decided on what the one before it made.
func (e *Engine) change(q *Request, group ...seglog.Record) model.Code {
	e.changing = true
	w := &write{req: q}
	e.append(w, group...)
	w.wait(e)
	e.afterDurable(func(model.Code) {
		e.changing = false
		e.later(e.runDeferred)
	})
	return model.OK
}

// runDeferred continues the requests that waited for a change of the catalogue, some in
// each event, since many may wait. It stops at a request that changes the catalogue,
// too.
func (e *Engine) runDeferred() (more bool) {
	for n := 0; n < e.stride && len(e.deferred) > 0 && !e.changing; n++ {
		pop(&e.deferred)()
	}
	return len(e.deferred) > 0 && !e.changing
}

// applyChange applies a durable record of the catalogue; w, if not nil, waits for the
// key that an erasure destroys. Its collection may have been dropped by a record
// before it; then it changes nothing.
func (e *Engine) applyChange(rec *seglog.Record, w *write) error {
	n, err := decodeEntry(rec.Body)
	c := e.byID[rec.Collection]
	switch {
	case err != nil:
		return err
	case rec.Kind == seglog.KindRegisterTask:
		return e.applyTask(n)
	case rec.Kind == seglog.KindAddPrincipal:
		e.owners = max(e.owners, n.owner)
		e.principals[n.id] = &n
		e.labels[n.label] = true
	case rec.Kind == seglog.KindRemovePrincipal:
		e.forget(n.id)
		if n.flags&wire.FlagErase != 0 {
			e.applyErase(n.owner, w)
		}
	case rec.Collection == 0 && rec.Kind != seglog.KindGrant && rec.Kind != seglog.KindRevoke:
		return codec.ErrMalformed
	case rec.Kind == seglog.KindCreateCollection:
		return e.applyCreate(rec.Collection, n)
	case c != nil:
		return e.applyToCollection(c, rec.Kind, n)
	}
	return nil
}

// applyTask adds or replaces a row of the API format table. The indexes of a Task that is
// replaced are rebuilt by the new executable: so a Task is upgraded.
func (e *Engine) applyTask(n entry) error {
	row, err := model.DecodeRow(n.rest)
	if err != nil {
		return err
	}
	e.tasks[n.name] = &executable{n, row}
	for _, x := range e.indexes {
		if x.task == n.name {
			e.stopIndex(x, model.IndexUnavailable)
			x.state, x.accepted, x.retryAt = model.IndexStarting, false, time.Time{}
			e.touch(x.c)
		}
	}
	return nil
}

// applyToCollection applies a change of one collection.
func (e *Engine) applyToCollection(c *collection, kind seglog.Kind, n entry) (err error) {
	switch kind {
	case seglog.KindGrant:
		c.grants.Set(n.id, c.grants.Rights(n.id)|model.Rights(n.flags))
	case seglog.KindRevoke:
		c.grants.Set(n.id, c.grants.Rights(n.id)&^model.Rights(n.flags))
		e.out.Ended = append(e.out.Ended, n.id)
	case seglog.KindQuota:
		if c.quota, err = model.DecodeQuota(n.rest); err != nil {
			return err
		}
		e.recount(c)
	case seglog.KindDropCollection:
		e.applyDrop(c)
	case seglog.KindCreateIndex:
		e.applyIndex(c, n)
	case seglog.KindDropIndex:
		if x := c.index(n.name); x != nil {
			e.stopIndex(x, model.NoIndex)
			c.indexes = slices.DeleteFunc(c.indexes, func(other *index) bool { return other == x })
			e.indexes = slices.DeleteFunc(e.indexes, func(other *index) bool { return other == x })
		}
	}
	return nil
}

// applyCreate makes a collection. They are numbered in the order of their making.
func (e *Engine) applyCreate(id uint32, n entry) error {
	if id <= e.collections[len(e.collections)-1].id {
		return codec.ErrMalformed
	}
	c := newCollection(id, n.name)
	c.grants.Set(n.id, model.Rights(n.flags))
	e.byName[c.name], e.byID[c.id] = c, c
	e.collections = append(e.collections, c)
	e.identifiers = max(e.identifiers, c.id)
	return nil
}

// applyIndex makes an index. They are numbered in the order of their making.
func (e *Engine) applyIndex(c *collection, n entry) {
	if n.owner == 0 { // it was made before indexes had numbers
		n.owner = e.numbered + 1
	}
	e.numbered = max(e.numbered, n.owner)
	x := &index{c: c, entry: n, state: model.IndexStarting}
	c.indexes = append(c.indexes, x)
	i, _ := slices.BinarySearchFunc(e.indexes, x.owner, func(other *index, number uint32) int {
		return cmp.Compare(other.owner, number)
	})
	e.indexes = slices.Insert(e.indexes, i, x) // a checkpoint names them by collection
}

// applyDrop takes a collection away with all its objects, however many they are: their
// records are dead at once, and the memory of their entries is garbage.
func (e *Engine) applyDrop(c *collection) {
	for _, x := range c.indexes {
		e.stopIndex(x, model.NoCollection)
	}
	c.indexes = nil
	e.indexes = slices.DeleteFunc(e.indexes, func(x *index) bool { return x.c == c })
	for segment, bytes := range c.used {
		count(e.used, segment, -bytes)
	}
	delete(e.byName, c.name)
	delete(e.byID, c.id)
	e.collections = slices.DeleteFunc(e.collections, func(k *collection) bool { return k == c })
}

// forget takes a principal away, with all its rights and connections.
func (e *Engine) forget(p access.Principal) {
	if old := e.principals[p]; old != nil {
		delete(e.labels, old.label)
		for _, x := range e.indexes {
			delete(x.told.owners, old.owner)
		}
	}
	delete(e.principals, p)
	e.out.Ended = append(e.out.Ended, p)
	for _, c := range e.collections {
		c.grants.Set(p, 0)
	}
}

// visitor takes an entry of the catalogue, with the kind of the record that makes it.
type visitor func(*collection, seglog.Kind, entry)

// section yields the next entries of a part of the catalogue, some stride of them at most,
// and reports whether they were the last.
type section func(yield visitor) (done bool)

// sections yield the catalogue in a fixed order, as the changes that make it again: all of
// it, or the part that p may know. The work for p must not grow with the number of
// other principals.
func (e *Engine) sections(p access.Principal, all bool) (list []section) {
	tasks := func(yield visitor) bool {
		for _, name := range e.tasksFor(p, all) {
			yield(e.byID[0], seglog.KindRegisterTask, e.tasks[name].entry)
		}
		return true
	}
	principals := e.principalSection(visible(e.principals, p, all), func(id access.Principal, yield visitor) {
		if n := e.principals[id]; n != nil {
			yield(e.byID[0], seglog.KindAddPrincipal, *n)
		}
	})
	list = append(list, tasks, principals)
	for _, c := range e.collections {
		list = append(list, e.collectionSection(c, p, all))
	}
	return list
}

func (e *Engine) collectionSection(c *collection, p access.Principal, all bool) section {
	var grants section // nil: it has not begun
	return func(yield visitor) (done bool) {
		rights := c.grants.Rights(p)
		if rights == 0 && !all || e.byID[c.id] != c {
			return true
		}
		if grants == nil {
			if c.id != 0 {
				yield(c, seglog.KindCreateCollection, entry{name: c.name})
			}
			if c.quota != (model.Quota{}) {
				yield(c, seglog.KindQuota, entry{rest: model.AppendQuota(nil, c.quota)})
			}
			ids := visible(c.grants, p, all || access.Any(rights, model.RightAdmin))
			grants = e.principalSection(ids, func(id access.Principal, yield visitor) {
				if rights := c.grants.Rights(id); rights != 0 {
					yield(c, seglog.KindGrant, entry{id: id, flags: wire.Flags(rights)})
				}
			})
		}
		if !grants(yield) {
			return false
		}
		for _, x := range c.indexes {
			yield(c, seglog.KindCreateIndex, x.entry)
		}
		return true
	}
}

// principalSection is a section of some principals.
func (e *Engine) principalSection(ids []access.Principal, one func(access.Principal, visitor)) section {
	return func(yield visitor) (done bool) {
		for range min(e.stride, len(ids)) {
			one(pop(&ids), yield)
		}
		return len(ids) == 0
	}
}

// tasksFor lists the Tasks that p may know, in a fixed order: all of them, if it can make
// an index, and otherwise those of its collections' indexes.
func (e *Engine) tasksFor(p access.Principal, all bool) []string {
	known := make(map[string]bool)
	for _, c := range e.collections {
		rights := c.grants.Rights(p)
		all = all || access.Any(rights, model.RightAdmin)
		for _, x := range c.indexes {
			known[x.task] = known[x.task] || rights != 0
		}
	}
	names := slices.Sorted(maps.Keys(e.tasks))
	return slices.DeleteFunc(names, func(name string) bool { return !all && !known[name] })
}

// visible lists the principals in m, in a fixed order: all, or self alone.
func visible[M ~map[access.Principal]V, V any](m M, self access.Principal, all bool) []access.Principal {
	if all {
		return slices.SortedFunc(maps.Keys(m), func(a, b access.Principal) int {
			return bytes.Compare(a[:], b[:])
		})
	}
	if _, ok := m[self]; ok {
		return []access.Principal{self}
	}
	return nil
}

// report is the flow of a STATUS: a server administrator sees all of the catalogue, other
// principals see the part that concerns them. The body of each frame is a status item of
// package wire.
func (e *Engine) report(q *Request) model.Code {
	r := &reporting{Request: q}
	return e.inTurn(q, func() (model.Code, bool) { return e.reportStep(r) })
}

// reporting is a STATUS that is being answered.
type reporting struct {
	*Request
	begun, admin bool
	left         []section
	items        [][]byte
}

// reportStep makes the next items, and answers when there are no more.
func (e *Engine) reportStep(r *reporting) (code model.Code, more bool) {
	p, admin := e.principals[r.Principal], e.isAdmin(r.Principal)
	if p == nil {
		return model.UnknownPrincipal, false
	}
	show := func(c *collection, kind seglog.Kind, n entry) {
		if item := e.statusItem(p, admin, c, kind, n); item != nil {
			r.items = append(r.items, item)
		}
	}
	if !r.begun || r.admin != admin { // begin again if that has changed
		*r = reporting{Request: r.Request, begun: true, admin: admin, left: e.sections(p.id, admin)}
		if admin {
			server := e.Server()
			r.items = append(r.items, wire.AppendServerStatus(nil, &server))
		}
	}
	for most := len(r.items) + e.stride; len(r.left) > 0; {
		if len(r.items) >= most {
			return model.OK, true
		}
		if r.left[0](show) {
			pop(&r.left)
		}
	}
	status := Reply{Content: Frames{wire.KindStatus, r.items}, End: End{Count: uint32(len(r.items))}}
	return e.answer(r.Request, status), false
}

// statusItem makes a status item for p. A quota has no item of its own: that of its
// collection shows it.
func (e *Engine) statusItem(p *principal, admin bool, c *collection, kind seglog.Kind, n entry) []byte {
	switch kind {
	case seglog.KindRegisterTask:
		return wire.AppendTaskStatus(nil, n.name, n.rest)
	case seglog.KindAddPrincipal:
		return wire.AppendPrincipalStatus(nil, &wire.PrincipalStatus{Principal: n.id, Label: n.label})
	case seglog.KindCreateCollection:
		return collectionItem(c, c.grants.Rights(p.id), admin)
	case seglog.KindGrant:
		grant := wire.GrantStatus{Collection: c.name, Principal: n.id, Rights: model.Rights(n.flags)}
		return wire.AppendGrantStatus(nil, &grant)
	case seglog.KindCreateIndex:
		return e.indexItem(c.index(n.name), p, admin)
	}
	return nil
}

func collectionItem(c *collection, rights model.Rights, admin bool) []byte {
	s := wire.CollectionStatus{Collection: c.name, Rights: rights}
	if admin || access.Any(rights, model.RightRead) {
		s.Objects, s.Bytes, s.Quota = uint64(c.objects.Len()), c.bytes, c.quota
	}
	return wire.AppendCollectionStatus(nil, &s)
}

// indexItem makes the status item of an index. Numbers that the Task can influence are for
// administrators, except the amounts of the leak meter.
func (e *Engine) indexItem(x *index, p *principal, admin bool) []byte {
	rights := x.c.grants.Rights(p.id)
	readsAll := admin || access.Any(rights, model.RightRead)
	administers := admin || access.Any(rights, model.RightAdmin)
	s := wire.IndexStatus{Collection: x.c.name, Index: x.name, Task: x.task,
		Type: x.dataType, Options: model.IndexOptions(x.flags)}
	e.showMeter(&s, x, p)
	if administers {
		s.State, s.Restarts, s.Number = x.state, x.restarts, x.owner
	}
	if administers && readsAll {
		s.Refused = x.refused
		if x.state == model.IndexBuilding {
			s.Fed, s.ToFeed = x.fed, max(uint64(x.c.objects.Len()), x.fed)
		}
	}
	return wire.AppendIndexStatus(nil, &s)
}

// Server returns the state of the server, for a STATUS and for the host.
func (e *Engine) Server() (s model.ServerStatus) {
	if e.KeyInStore {
		s.Flags |= model.ServerKeyInStore
	}
	if e.diskFull {
		s.Flags |= model.ServerDiskFull
	}
	if e.readOnly {
		s.Flags |= model.ServerReadOnly
	}
	objects, _ := e.Objects()
	s.Objects, s.Alerts = uint64(objects), e.alertCount
	s.Now = uint64(e.Now.Unix())
	s.Started = s.Now - uint64(e.Now.Sub(e.began)/time.Second)
	for _, n := range e.used {
		s.LiveBytes += uint64(n)
	}
	s.Measurements = e.measured
	return s
}

// Indexes returns the state of each index, for the host.
func (e *Engine) Indexes() (list []hostwire.Message) {
	for _, x := range e.indexes {
		list = append(list, hostwire.Index{Index: x.owner, Instance: x.instance, State: x.state,
			Restarts: x.restarts, Queued: uint64(len(x.queue) + len(x.sent))})
	}
	return list
}

// reportAlerts answers an ALERTS with the newest MaxAlerts, oldest first.
func (e *Engine) reportAlerts(q *Request) model.Code {
	alerts := slices.Clone(e.alerts)
	return e.answer(q, Reply{Content: Frames{wire.KindAlert, alerts}, End: End{Count: uint32(len(alerts))}})
}
