package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// maxProposedFields bounds the fields of one proposed index.
const maxProposedFields = 16

// minColumns is the number of columns from which on a table is proposed.
const minColumns = 3

// categories proposes one filter over all members with few values.
func (p *proposer) categories() {
	list := p.pick((*member).isCategory)
	if len(list) == 0 {
		return
	}
	list = list[:min(len(list), maxProposedFields)]
	p.add("filter", "facts", config{{"fields", pointers(list)}}, false,
		"few values come again and again in %s: exact values, in any combination", shown(list))
}

// single proposes indexes of one member each: ranges and orders, vectors, geometries.
func (p *proposer) single() {
	for _, m := range p.pick(func(m *member) bool { return !p.isCoordinate(m) }) {
		path := setting{"path", m.pointer}
		switch {
		case m.isGeometry():
			p.add("geo", m.last(), config{path}, true, "%s, a geometry of GeoJSON: regions, and the nearest first", p.have(m))
		case m.isVector():
			p.add("vector", "near_"+m.last(), config{path, {"dimensions", m.dimensions}}, true,
				"%s, an array of %d numbers: nearest neighbours", p.have(m), m.dimensions)
		case m.isTime():
			p.add("ordered", "by_"+m.last(), config{path, {"type", "time"}}, true, "%s, %sa time: ranges, and the newest first", p.have(m), mostlyOf(m.times, m.scalars))
		case m.isNumber() && m.integers == m.numbers:
			p.add("ordered", "by_"+m.last(), config{path, {"type", "int64"}}, true,
				"%s, %sa whole number, from %v to %v: ranges and an order", p.have(m), mostlyOf(m.numbers, m.scalars), m.least, m.most)
		case m.isNumber():
			p.add("ordered", "by_"+m.last(), config{path, {"type", "float64"}}, true,
				"%s, %sa number, from %v to %v: ranges and an order", p.have(m), mostlyOf(m.numbers, m.scalars), m.least, m.most)
		case m.isShort() && !m.isCategory():
			p.add("ordered", "by_"+m.last(), config{path, {"type", "string"}}, true,
				"%s, %sa short text, with %d different values: exact values, prefixes and an order", p.have(m), mostlyOf(m.strings, m.scalars), len(m.distinct))
		}
	}
}

var (
	latitudes  = regexp.MustCompile(`(?i)^(.*/)(lat|latitude)$`)
	longitudes = []string{"lng", "lon", "long", "longitude"}
)

// longitude returns the member with the longitude that belongs to a latitude.
func (p *proposer) longitude(m *member) *member {
	place := latitudes.FindStringSubmatch(m.pointer)
	if place == nil || !mostly(m.numbers, m.scalars) || m.least < -90 || m.most > 90 {
		return nil
	}
	for _, other := range p.members {
		parent, ok := strings.CutSuffix(other.pointer, other.last())
		if !ok || parent != place[1] || !mostly(other.numbers, other.scalars) || other.least < -180 || other.most > 180 {
			continue
		}
		for _, name := range longitudes {
			if strings.EqualFold(other.last(), name) {
				return other
			}
		}
	}
	return nil
}

// isCoordinate reports whether a member is the latitude or longitude of a place.
func (p *proposer) isCoordinate(m *member) bool {
	for _, other := range p.members {
		if lng := p.longitude(other); lng != nil && (m == other || m == lng) {
			return true
		}
	}
	return false
}

// places proposes an index of points for each pair of latitude and longitude.
func (p *proposer) places() {
	for _, m := range p.pick(func(m *member) bool { return p.longitude(m) != nil }) {
		lng := p.longitude(m)
		p.add("geo", "place", config{{"lat", m.pointer}, {"lng", lng.pointer}}, true,
			"%s and %s, a latitude and a longitude: regions, and the nearest first", p.have(m), lng.pointer)
	}
}

// series proposes a time series: a time, a number, and one or two categories that tell the series apart.
func (p *proposer) series() {
	times := p.pick((*member).isTime)
	numbers := p.pick(func(m *member) bool { return m.isNumber() && !p.isCoordinate(m) && m.lists == 0 })
	keys := p.pick(func(m *member) bool {
		return m.isCategory() && m.lists == 0 && m.booleans == 0 && len(m.distinct) > 1 && m.objects == p.json
	})
	if len(times) == 0 || len(numbers) == 0 || len(keys) == 0 {
		return
	}
	keys = keys[:min(len(keys), 2)]
	p.add("series", "series", config{{"time", times[0].pointer}, {"series", pointers(keys)}, {"value", numbers[0].pointer}}, true,
		"a time in %s, a number in %s, and few values in %s: the last object of each series, one of each hour",
		times[0].pointer, numbers[0].pointer, shown(keys))
}

// fieldName is a name of a field that text and trigram accept.
var fieldName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)

// named returns the members that can be fields of one index.
func named(list []*member) (fields []*member) {
	seen := map[string]bool{"and": true, "or": true, "not": true} // words of predicates
	for _, m := range list {
		name := m.last()
		if len(fields) < maxProposedFields && fieldName.MatchString(name) && !seen[strings.ToLower(name)] {
			seen[strings.ToLower(name)] = true
			fields = append(fields, m)
		}
	}
	return fields
}

// texts proposes one index of all texts, and one of all values of which parts may be looked for.
func (p *proposer) texts() {
	if list := named(p.pick((*member).isText)); len(list) > 0 {
		p.add("text", "words", config{{"fields", pointers(list)}}, true, "texts in %s: words and phrases, the best matches first", shown(list))
	}
	parts := named(p.pick(func(m *member) bool { return m.isShort() && !m.isCategory() && m.bytes >= partBytes*m.strings }))
	if len(parts) > 0 {
		p.add("trigram", "parts", config{{"fields", pointers(parts)}}, false, "values of some length in %s: parts of them, regular expressions", shown(parts))
	}
}

// sqlWords are the words that the Task sql does not take for the name of a column.
var sqlWords = strings.Fields("and or not in is null isnull notnull between like escape true false collate nocase binary case when then else " +
	"end order by asc desc nulls first last coalesce ifnull iif instant instr length lower nullif round sign substr trim typeof upper")

// sqlName is a name of a column that the Task sql accepts.
var sqlName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// sqlType returns the type of a column for a member. It is empty if the values of the sample are not all of one type, since sql
// refuses an object with another.
func (m *member) sqlType() string {
	switch {
	case m.lists > 0 || m.scalars != m.objects || m.scalars == 0:
		return ""
	case m.times == m.scalars:
		return "time"
	case m.strings == m.scalars && !m.isText() && m.bytes < textBytes/4*m.strings:
		return "text"
	case m.integers == m.scalars:
		return "integer"
	case m.numbers == m.scalars:
		return "real"
	case m.booleans == m.scalars:
		return "boolean"
	}
	return ""
}

// table proposes one table of all members with one type.
func (p *proposer) table() {
	var columns []config
	var list []*member
	seen := make(map[string]bool)
	for _, m := range p.pick(func(m *member) bool { return m.sqlType() != "" }) {
		name := strings.ToLower(m.last())
		if seen[name] || !sqlName.MatchString(name) || slices.Contains(sqlWords, name) || len(columns) == maxProposedFields {
			continue
		}
		seen[name] = true
		c := config{{"name", name}, {"path", m.pointer}, {"type", m.sqlType()}}
		if !m.isCategory() {
			c = append(c, setting{"index", true})
		}
		columns, list = append(columns, c), append(list, m)
	}
	if len(columns) >= minColumns {
		p.add("sql", "cols", config{{"columns", columns}}, true, "values of one type each in %s: conditions over several of them, any order", shown(list))
	}
}

// whole proposes indexes of whole objects.
func (p *proposer) whole(total uint64) {
	if mostly(p.pictures, p.objects) {
		p.add("image", "similar", nil, true, "%d of %d objects are pictures: similar ones", p.pictures, p.objects)
	}
	if mostly(p.sample.texts, p.objects) {
		p.add("text", "words", nil, true, "%d of %d objects are texts: words and phrases, the best matches first", p.sample.texts, p.objects)
		p.add("trigram", "parts", nil, false, "%d of %d objects are texts: parts of them, regular expressions", p.sample.texts, p.objects)
	}
	if p.json > 0 && total <= scanObjects {
		p.add("scan", "any", nil, false, "questions of any kind, as long as the collection has few objects: the cost follows their number")
	}
}

// compactJSON returns a value as JSON in which <, > and & stand as they are.
func compactJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
