package engine

import (
	"fmt"
	"strings"

	"motte/client"
	"motte/client/frames"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
	"motte/internal/faketask"
)

// trace describes the outputs of the engine since the last call, in words. Objects and processes
// have names for readers: ada@2 is the second content of the object ada, and Task 3 is the third
// process that was started.
type trace struct {
	lines     []string
	asked     map[uint64]string // open requests, in words
	names     map[identity.ID]string
	ids       map[string]identity.ID
	versions  map[string]int // number of contents of an object, by its name
	processes []*process
	lsn       uint64 // LSN of the last traced record
	fetched   map[*delivery]bool
}

type process struct {
	*fakeTask
	number  int
	started bool
	told    uint64 // number of the last traced frame
	gone    bool   // its end was traced
}

func newTrace() trace {
	forged := identity.ID(sha([]byte("never made")))
	return trace{fetched: make(map[*delivery]bool), asked: make(map[uint64]string), versions: make(map[string]int),
		names: map[identity.ID]string{forged: "forged"}, ids: map[string]identity.ID{"forged": forged}}
}

func (r *trace) tell(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// observe traces each output of the engine once.
func (r *trace) observe(w *world) {
	for _, g := range w.pending {
		if g[0].LSN > r.lsn {
			r.tell("append %s", r.group(g))
			r.lsn = g[len(g)-1].LSN
		}
	}
	for _, f := range w.fetch {
		if !r.fetched[f.delivery] {
			r.tell("read %s", r.names[f.Entry.ID])
			r.fetched[f.delivery] = true
		}
	}
	for _, p := range r.processes {
		if p.stopped && !p.gone {
			r.tell("stop Task %d", p.number)
			p.gone = true
		}
	}
	for _, k := range w.tasks {
		r.sent(r.known(k))
	}
	for n := range w.number {
		text, waits := r.asked[n+1]
		if a, done := w.answered(n + 1); waits && done {
			delete(r.asked, n+1)
			r.reply(w, text, a)
		}
	}
}

// known returns the process of a Task, and numbers a new one.
func (r *trace) known(k *fakeTask) *process {
	for _, p := range r.processes {
		if p.fakeTask == k {
			return p
		}
	}
	p := &process{fakeTask: k, number: len(r.processes) + 1}
	r.processes = append(r.processes, p)
	r.tell("start Task %d", p.number)
	return p
}

// forget traces the loss of the Core's memory.
func (r *trace) forget() {
	for _, p := range r.processes {
		if !p.gone {
			r.tell("Task %d is gone", p.number)
			p.gone, p.stopped = true, true
		}
	}
	for n := uint64(1); len(r.asked) > 0; n++ {
		if text, waits := r.asked[n]; waits {
			r.tell("never answered: %s", text)
			delete(r.asked, n)
		}
	}
	r.lsn, r.fetched = 0, make(map[*delivery]bool)
}

// positions returns the sequence numbers of groups.
func (r *trace) positions(groups []seglog.Group) string {
	var list []string
	for _, g := range groups {
		for _, rec := range g {
			list = append(list, fmt.Sprint(rec.LSN))
		}
	}
	if len(list) == 0 {
		return "nothing"
	}
	return strings.Join(list, " ")
}

var kinds = map[seglog.Kind]string{
	seglog.KindCreateCollection: "create collection", seglog.KindDropCollection: "drop collection", seglog.KindCreateIndex: "create index",
	seglog.KindDropIndex: "drop index", seglog.KindRegisterTask: "register Task", seglog.KindAddPrincipal: "add principal",
	seglog.KindRemovePrincipal: "remove principal", seglog.KindGrant: "grant", seglog.KindRevoke: "revoke", seglog.KindQuota: "quota",
	seglog.KindRotatePrincipal: "rotate principal",
}

// group describes records that become durable together.
func (r *trace) group(g seglog.Group) string {
	var list []string
	for _, rec := range g {
		text := kinds[rec.Kind]
		switch rec.Kind {
		case seglog.KindPut:
			r.name(rec)
			text = "put " + r.names[rec.ID]
		case seglog.KindDelete:
			text = "delete " + r.names[rec.ID]
		case seglog.KindAlert:
			a, _ := frames.DecodeAlert(rec.Body)
			text = alertText(a)
		}
		list = append(list, fmt.Sprintf("%d %s", rec.LSN, text))
	}
	return strings.Join(list, ", ")
}

// name gives a name to a new identity.
func (r *trace) name(rec seglog.Record) {
	if r.names[rec.ID] == "" {
		o, _ := DecodeObject(rec.Body)
		r.versions[string(o.Name)]++
		name := fmt.Sprintf("%s@%d", o.Name, r.versions[string(o.Name)])
		r.names[rec.ID], r.ids[name] = name, rec.ID
	}
}

func alertText(a model.Alert) string {
	text := "alert: " + client.ReasonName(a.Reason)
	if a.Index != "" {
		text += " by " + a.Collection + "/" + a.Index
	}
	return text
}

// sent traces the frames for a Task.
func (r *trace) sent(p *process) {
	for _, f := range p.frames {
		h, _ := taskwire.DecodeHeader(f[:taskwire.HeaderSize])
		if h.Seq <= p.told {
			continue
		}
		p.told = h.Seq
		payload := f[taskwire.HeaderSize:]
		var text string
		switch h.Type {
		case taskwire.Configure:
			text = "configure"
		case taskwire.Insert:
			id, _, input := faketask.ReadInsert(payload)
			text = fmt.Sprintf("insert %s %s", r.names[id], input)
		case taskwire.Remove:
			text = "remove " + r.names[identity.ID(payload[8:40])]
		case taskwire.Search:
			q := faketask.ReadSearch(payload)
			text = fmt.Sprintf("search %s, at most %d", q.Predicate, q.Limit)
			if q.Owner != taskwire.AllOwners {
				text += ", of one owner"
			}
			if len(q.After) > 0 {
				text += ", behind " + r.names[q.After[0]]
			}
		}
		r.tell("to Task %d: #%d %s", p.number, h.Seq, text)
	}
}

// answer describes a Task's answer.
func (r *trace) answer(a taskwire.Answer) string {
	switch a.Type {
	case taskwire.Applied:
		return fmt.Sprintf("applied up to #%d", a.Seq)
	case taskwire.Failed:
		return fmt.Sprintf("#%d is refused", a.Seq)
	}
	list := []string{fmt.Sprintf("found #%d:", a.Seq)}
	for _, id := range a.Found {
		list = append(list, r.names[id])
	}
	if len(a.Found) == 0 {
		list = append(list, "nothing")
	}
	if a.State == taskwire.StateMore {
		list = append(list, "and more")
	}
	return strings.Join(list, " ")
}

// reply traces an answer to a client, with all its data.
func (r *trace) reply(w *world, text string, a answer) {
	line := fmt.Sprintf("to %s: %s", text, client.CodeName(a.code))
	for body := a.body; len(body) > 0; body = body[identity.Size:] {
		line += " " + r.names[identity.ID(body[:identity.Size])]
	}
	if a.code == model.OK && (strings.Contains(text, ", count") || strings.Contains(text, ", delete-where")) {
		line += fmt.Sprintf(", %d of them", a.count)
	}
	if a.flags&wire.ReplyTruncated != 0 {
		line += ", there may be more"
	}
	if a.flags&wire.ReplyNotIndexed != 0 {
		line += ", not indexed"
	}
	r.tell("%s", line)
	for _, o := range a.objects {
		r.tell("  %s %s", r.names[o.ID], w.data(o))
	}
	for _, i := range a.items {
		r.item(a.kind, i)
	}
}

// item traces alerts, and those items of a status that change in a story.
func (r *trace) item(kind wire.Kind, body []byte) {
	if kind == wire.KindAlert {
		a, _ := frames.DecodeAlert(body)
		r.tell("  %d %s", a.LSN, alertText(a))
		return
	}
	var status frames.Status
	_ = status.Add(body)
	if s := status.Server; s != nil {
		if s.Flags&model.ServerReadOnly != 0 {
			r.tell("  the server only reads")
		}
		r.tell("  alerts: %d", s.Alerts)
	}
	for _, s := range status.Collections {
		r.tell("  objects in %s: %d", s.Collection, s.Objects)
	}
	for _, s := range status.Indexes {
		r.tell("  index %s/%s: %s", s.Collection, s.Index, client.StateName(s.State))
	}
}
