package engine

import (
	"maps"
	"slices"
	"time"

	"motte/core/access"
	"motte/core/wire"
)

// reportStatus answers a STATUS: all to a server administrator, to others what
// concerns them.
func (e *Engine) reportStatus(q *Request, p *principal) {
	var r Reply
	add := func(i wire.StatusItem) {
		r.Items = append(r.Items, Item{wire.KindStatus, wire.AppendStatus(nil, i)})
	}
	admin := e.isAdmin(p.id)
	if admin {
		s := e.status
		s.Objects, s.Alerts = uint64(e.objects.Len()), e.alertCount
		s.Uptime = uint32(e.Now.Sub(e.began) / time.Second)
		s.KeyInStore, s.ReadOnly = e.KeyInStore, e.readOnly
		add(wire.StatusItem{Server: &s})
	}
	for _, name := range slices.Sorted(maps.Keys(e.tasks)) {
		add(wire.StatusItem{Task: &wire.TaskStatus{Name: name, Row: *e.tasks[name]}})
	}
	for _, id := range slices.SortedFunc(maps.Keys(e.principals), compare) {
		if admin || id == p.id {
			add(wire.StatusItem{Principal: &wire.PrincipalStatus{ID: id, Label: e.principals[id].label}})
		}
	}
	e.reportGrants("", e.server, p, admin, add)
	for _, c := range e.collections {
		rights := c.grants.Rights(p.id)
		if rights == 0 && !admin {
			continue
		}
		item := wire.CollectionStatus{Name: c.name, Rights: rights}
		if admin || access.Any(rights, wire.RightRead) {
			item.Objects = c.objects
		}
		add(wire.StatusItem{Collection: &item})
		e.reportGrants(c.name, c.grants, p, admin || access.Any(rights, wire.RightAdmin), add)
		for _, x := range c.indexes {
			s := x.report(p.id)
			if item.Objects == 0 {
				s.Fed, s.Total, s.Refused = 0, 0, 0
			}
			add(wire.StatusItem{Index: &s})
		}
	}
	r.Count = uint32(len(r.Items))
	e.reply(q, r)
}

func (e *Engine) reportGrants(name string, g access.Grants, p *principal, all bool, add func(wire.StatusItem)) {
	for _, id := range slices.SortedFunc(maps.Keys(g), compare) {
		if all || id == p.id {
			add(wire.StatusItem{Grant: &wire.GrantStatus{Collection: name, Principal: id, Rights: g[id]}})
		}
	}
}

func compare(a, b access.Principal) int { return slices.Compare(a[:], b[:]) }

// reportAlerts answers an ALERTS with the newest MaxAlerts, oldest first.
func (e *Engine) reportAlerts(q *Request, p *principal) {
	if !e.isAdmin(p.id) {
		e.end(q, wire.Denied)
		return
	}
	var r Reply
	for i := range e.alerts {
		r.Items = append(r.Items, Item{wire.KindAlert, wire.AppendAlert(nil, &e.alerts[i])})
	}
	r.Count = uint32(len(r.Items))
	e.reply(q, r)
}
