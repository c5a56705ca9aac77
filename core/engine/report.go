package engine

import (
	"maps"
	"slices"
	"time"

	"motte/core/access"
	"motte/core/wire"
)

// report is the flow of a STATUS: all to a server administrator, to others
// what concerns them.
func (e *Engine) report(q *Request, p *principal) wire.Code {
	var items [][]byte
	add := func(s wire.StatusItem) { items = append(items, wire.AppendStatus(nil, &s)) }
	admin := e.isAdmin(p.id)
	if admin {
		s := wire.StatusItem{Kind: wire.StatusServer, Numbers: e.observed}
		n, _ := e.objects.Size()
		s.Numbers[0], s.Numbers[3] = uint64(n), e.alertCount
		s.Numbers[5] = uint64(e.Now.Sub(e.began) / time.Second)
		if e.KeyInStore {
			s.Flags |= wire.StatusKeyInStore
		}
		if e.readOnly {
			s.Flags |= wire.StatusReadOnly
		}
		add(s)
		e.storage[0] = 0
		for _, n := range e.used {
			e.storage[0] += uint64(n)
		}
		s = wire.StatusItem{Kind: wire.StatusStorage, Numbers: e.storage}
		if s.Numbers[3] > 0 {
			s.Numbers[3] = uint64(e.Now.Unix()) - s.Numbers[3]
		}
		add(s)
	}
	for _, name := range slices.Sorted(maps.Keys(e.tasks)) {
		add(wire.StatusItem{Kind: wire.StatusTask, Task: name, Row: e.tasks[name]})
	}
	for _, id := range shown(e.principals, p.id, admin) {
		add(wire.StatusItem{Kind: wire.StatusPrincipal, Principal: id, Label: e.principals[id].label})
	}
	grants := func(collection string, g access.Grants, all bool) {
		for _, id := range shown(g, p.id, all) {
			add(wire.StatusItem{Kind: wire.StatusGrant, Collection: collection, Principal: id, Flags: uint8(g[id])})
		}
	}
	grants("", e.server, admin)
	for _, c := range e.collections {
		rights := c.grants.Rights(p.id)
		if rights == 0 && !admin {
			continue
		}
		all := admin || access.Any(rights, wire.RightRead)
		s := wire.StatusItem{Kind: wire.StatusCollection, Collection: c.name, Flags: uint8(rights)}
		if all {
			s.Numbers[0] = c.objects
		}
		add(s)
		grants(c.name, c.grants, admin || access.Any(rights, wire.RightAdmin))
		for _, x := range c.indexes {
			add(x.report(p.id, all))
		}
	}
	e.reply(q, Reply{Kind: wire.KindStatus, Items: items, Count: uint32(len(items))})
	return wire.OK
}

// shown lists the principals in m, in a fixed order: all, or the one who asks
// alone, whom it must not cost more the more there are.
func shown[M ~map[access.Principal]V, V any](m M, self access.Principal, all bool) []access.Principal {
	if all {
		return slices.SortedFunc(maps.Keys(m), compare)
	}
	if _, ok := m[self]; ok {
		return []access.Principal{self}
	}
	return nil
}

func compare(a, b access.Principal) int { return slices.Compare(a[:], b[:]) }

// report describes an index; its size only to who may know.
func (x *index) report(p access.Principal, all bool) wire.StatusItem {
	s := wire.StatusItem{Kind: wire.StatusIndex, Collection: x.c.name, Index: x.name, Task: x.task,
		Type: x.dataType, Flags: uint8(x.flags), State: x.state}
	s.Numbers[3] = x.restarts
	if all { // the bits of an answer tell how many objects there are
		s.Numbers[2] = x.leaked[p]
		s.Numbers[4] = x.refused
		if x.state == wire.IndexBuilding {
			s.Numbers[0], s.Numbers[1] = x.fed, max(x.c.objects, x.fed)
		}
	}
	return s
}

// reportAlerts answers an ALERTS with the newest MaxAlerts, oldest first.
func (e *Engine) reportAlerts(q *Request, p *principal) wire.Code {
	if !e.isAdmin(p.id) {
		return wire.Denied
	}
	r := Reply{Kind: wire.KindAlert, Count: uint32(len(e.alerts))}
	for i := range e.alerts {
		r.Items = append(r.Items, wire.AppendAlert(nil, &e.alerts[i]))
	}
	e.reply(q, r)
	return wire.OK
}
