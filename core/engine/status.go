package engine

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"motte/core/access"
	"motte/core/hostwire"
	"motte/core/model"
	"motte/core/wire"
)

// visitor takes an item of the catalogue and the collection to which it belongs.
type visitor func(*collection, item)

// section yields the next items of a part of the catalogue, about a stride of them at most,
// and reports whether they were the last.
type section func(yield visitor) (done bool)

// sections returns the catalogue in a fixed order, in which its records make it again: all
// of it, or the part that p may know. The work for p must not grow with the number of other
// principals.
func (e *Engine) sections(p access.Principal, all bool) (list []section) {
	tasks := func(yield visitor) bool {
		for _, name := range e.tasksFor(p, all) {
			yield(e.byID[serverID], e.tasks[name].item)
		}
		return true
	}
	principals := e.principalSection(visible(e.principals, p, all), func(id access.Principal, yield visitor) {
		if n := e.principals[id]; n != nil {
			yield(e.byID[serverID], *n)
		}
	})
	list = append(list, tasks, principals)
	for _, c := range e.collections {
		if !c.isShelf() {
			list = append(list, e.collectionSection(c, p, all))
		}
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
			if c.id != serverID {
				yield(c, creation{name: c.name})
			}
			if c.quota != (model.Quota{}) {
				yield(c, quotaLimit(c.quota))
			}
			ids := visible(c.grants, p, all || access.Any(rights, model.RightAdmin))
			grants = e.principalSection(ids, func(id access.Principal, yield visitor) {
				if rights := c.grants.Rights(id); rights != 0 {
					yield(c, grant{to: id, rights: rights})
				}
			})
		}
		if !grants(yield) {
			return false
		}
		for _, x := range c.indexes {
			yield(c, x.definition)
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
	show := func(c *collection, n item) {
		if body := e.statusItem(p, admin, c, n); body != nil {
			r.items = append(r.items, body)
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
func (e *Engine) statusItem(p *principal, admin bool, c *collection, n item) []byte {
	switch n := n.(type) {
	case registered:
		return wire.AppendTaskStatus(nil, n.task, n.row, n.before)
	case principal:
		return wire.AppendPrincipalStatus(nil, &wire.PrincipalStatus{Principal: n.id, Label: n.label})
	case creation:
		return collectionItem(c, c.grants.Rights(p.id), admin)
	case grant:
		s := wire.GrantStatus{Collection: c.name, Principal: n.to, Rights: n.rights}
		return wire.AppendGrantStatus(nil, &s)
	case definition:
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
		Type: x.dataType, Options: x.options}
	e.showMeter(&s, x, p)
	if administers {
		s.State, s.Restarts, s.Number = x.state, x.restarts, x.number
		s.Upgrade = e.upgradeOf(x)
	}
	if administers && readsAll {
		s.Refused, s.SetAside = x.refused, uint64(len(x.setAside))
		s.Queued, s.Shelf = x.queued(), x.shelf.c.bytes
		s.Refed, s.Shelved = x.refed, x.shelved
		s.Changes, s.Questions = x.changes, x.questions
		built := x
		if x.successor != nil {
			built = x.successor
		}
		if built != x || x.state == model.IndexBuilding {
			s.Fed, s.ToFeed = built.fed, max(uint64(x.c.objects.Len()), built.fed)
		}
	}
	return wire.AppendIndexStatus(nil, &s)
}

// configuration is the flow of a CONFIGURATION. A STATUS shows no configuration, since it may have
// data about objects. The right is that of a principal that makes indexes.
func (e *Engine) configuration(q *Request) model.Code {
	x := q.in.index(q.Index)
	if x == nil {
		return model.NoIndex
	}
	item := wire.AppendConfiguration(nil, x.config)
	return e.answer(q, Reply{Content: Frames{wire.KindStatus, [][]byte{item}}, End: End{Count: 1}})
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
		list = append(list, hostwire.Index{Index: x.number, Instance: x.instance, State: x.state,
			Restarts: x.restarts, Queued: x.queued(), Done: x.done})
	}
	return list
}

// queued returns the number of frames that the Task has not acknowledged or answered.
func (x *index) queued() uint64 { return uint64(len(x.queue) + len(x.sent)) }

// reportAlerts answers an ALERTS with the newest MaxAlerts, oldest first.
func (e *Engine) reportAlerts(q *Request) model.Code {
	alerts := slices.Clone(e.alerts)
	return e.answer(q, Reply{Content: Frames{wire.KindAlert, alerts}, End: End{Count: uint32(len(alerts))}})
}
