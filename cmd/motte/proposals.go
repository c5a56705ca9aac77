package main

import (
	"fmt"
	"regexp"
	"strings"
)

// proposal is an index that 'motte index suggest' proposes.
type proposal struct {
	Collection    string `json:"collection"`
	Index         string `json:"index"`
	Task          string `json:"task"`
	Configuration any    `json:"configuration,omitempty"`
	Ordered       bool   `json:"ordered"`
	Reason        string `json:"reason"`
	Command       string `json:"command"`
}

// Rules of thumb. They decide only what is proposed.
const (
	usualShare    = 0.1 // of the objects must have a member
	sameShare     = 0.9 // of its values must be alike
	repeats       = 3   // objects that share a value of a category, on average
	fewValues     = 5   // a category never has more values than this many times the root of their number
	textWords     = 5   // words of a text, on average
	textBytes     = 1000
	partBytes     = 12 // bytes of a value of which parts may be looked for, on average
	minDimensions = 8  // of a vector that is an embedding
	maxDimensions = 4096
	scanObjects   = 200_000 // objects that a scan goes through in a moment
)

func (s *sample) usual(m *member) bool { return float64(m.objects) >= usualShare*float64(s.json) }

// mostly reports whether nearly all values at a member are of a kind.
func mostly(part, all int) bool { return part > 0 && float64(part) >= sameShare*float64(all) }

func (m *member) isTime() bool   { return mostly(m.times, m.scalars) && m.scalars >= m.objects }
func (m *member) isNumber() bool { return mostly(m.numbers, m.scalars) && !m.isCategory() }
func (m *member) isText() bool {
	return mostly(m.strings, m.scalars) && !m.isTime() && !m.isCategory() && m.words >= textWords*m.strings
}
func (m *member) isShort() bool {
	return mostly(m.strings, m.scalars) && !m.isTime() && !m.isText() && m.bytes < textBytes*m.strings
}
func (m *member) isVector() bool {
	return mostly(m.vectors, m.objects) && m.dimensions >= minDimensions && m.dimensions <= maxDimensions
}
func (m *member) isGeometry() bool { return mostly(m.geometries, m.objects) }

// isCategory reports whether few values come again and again.
func (m *member) isCategory() bool {
	if m.booleans == m.scalars {
		return m.scalars > 0
	}
	n := len(m.distinct)
	few := m.lists > 0 || n*n <= fewValues*fewValues*m.scalars
	return m.scalars >= repeats*n && few && m.strings+m.integers+m.booleans == m.scalars && !m.isTime()
}

// proposals returns indexes for the objects of a sample, of Tasks that are registered. total is the number of
// objects in the collection. Names that are used are not proposed.
func (s *sample) proposals(collection string, total uint64, registered, used map[string]bool) []proposal {
	p := proposer{sample: s, collection: collection, registered: registered, used: used}
	p.categories()
	p.single()
	p.places()
	p.series()
	p.texts()
	p.table()
	p.whole(total)
	return p.list
}

// proposer collects proposals.
type proposer struct {
	*sample
	collection       string
	registered, used map[string]bool
	list             []proposal
}

// config is a configuration, whose members keep their order.
type config []setting

type setting struct {
	name  string
	value any
}

// MarshalJSON implements json.Marshaler.
func (c config) MarshalJSON() ([]byte, error) {
	var parts []string
	for _, s := range c {
		text, err := compactJSON(s.value)
		if err != nil {
			return nil, err
		}
		parts = append(parts, fmt.Sprintf("%q:%s", s.name, text))
	}
	return []byte("{" + strings.Join(parts, ",") + "}"), nil
}

// add proposes an index, unless its Task is not registered.
func (p *proposer) add(task, name string, c config, ordered bool, reason string, args ...any) {
	if !p.registered[task] {
		return
	}
	x := proposal{Collection: p.collection, Index: p.free(name), Task: task, Ordered: ordered, Reason: fmt.Sprintf(reason, args...)}
	x.Command = fmt.Sprintf("motte index create %s %s --task %s", shellWord(p.collection), x.Index, task)
	if c != nil {
		x.Configuration = c
		text, err := compactJSON(c)
		if err != nil {
			return // a member's name that can't be written is not proposed
		}
		x.Command += " --config " + shellWord(text)
	}
	if ordered {
		x.Command += " --ordered"
	}
	p.list = append(p.list, x)
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

const nameBytes = 24 // of a proposed name, before a number

// free returns a name that no index has yet.
func (p *proposer) free(name string) string {
	name = strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "_"), "_")
	if len(name) > nameBytes {
		name = strings.TrimRight(name[:nameBytes], "_")
	}
	if name == "" || name == "by" {
		name = "by_value"
	}
	unique := name
	for n := 2; p.used[unique]; n++ {
		unique = fmt.Sprintf("%s_%d", name, n)
	}
	p.used[unique] = true
	return unique
}

// last returns the last token of a pointer.
func (m *member) last() string { return m.pointer[strings.LastIndexByte(m.pointer, '/')+1:] }

// have says how many objects have a member.
func (p *proposer) have(m *member) string {
	return fmt.Sprintf("%d of %d objects have %s", m.objects, p.objects, m.pointer)
}

// mostlyOf qualifies a type that n of the values have.
func mostlyOf(n, values int) string {
	if n < values {
		return "mostly "
	}
	return ""
}

// pick returns the usual members that fit.
func (p *proposer) pick(fits func(*member) bool) (list []*member) {
	for _, m := range p.members {
		if p.usual(m) && fits(m) {
			list = append(list, m)
		}
	}
	return list
}

func pointers(list []*member) (texts []string) {
	for _, m := range list {
		texts = append(texts, m.pointer)
	}
	return texts
}

// shown lists pointers for a reason.
func shown(list []*member) string {
	const most = 6
	texts := pointers(list)
	if len(texts) > most {
		return strings.Join(texts[:most], ", ") + fmt.Sprintf(" and %d more", len(texts)-most)
	}
	return strings.Join(texts, ", ")
}
