package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// Limits of what 'motte index suggest' looks at.
const (
	maxSampleDepth   = 4    // members inside one another
	maxSampleMembers = 256  // members that are followed
	maxSampleValue   = 200  // bytes of a value that is compared with others
	sampleElements   = 1024 // elements of an array that are looked at, unless it is a vector
)

// sample is what is known of some objects of a collection.
type sample struct {
	objects  int // that were looked at
	json     int // of them, those that are JSON objects
	texts    int // that are text in UTF-8, but no JSON
	pictures int
	members  []*member // in the order in which they were seen first
	byPath   map[string]*member
}

// member is what is known of the values at one place.
type member struct {
	pointer string
	objects int // that have a value there other than null
	lists   int // of them, those that have an array of scalars
	// The scalars, by what they are. Those in arrays count as well.
	scalars, strings, times, integers, numbers, booleans int
	distinct                                             map[string]bool
	bytes, words                                         int // of the strings
	least, most                                          float64
	vectors, dimensions                                  int // arrays of numbers of one length; -1: of several lengths
	geometries                                           int
}

func newSample() *sample { return &sample{byPath: make(map[string]*member)} }

// add looks at an object.
func (s *sample) add(data []byte) {
	s.objects++
	switch {
	case isPicture(data):
		s.pictures++
	case ijson.Check(data) == nil:
		value := bytes.TrimSpace(data)
		if value[0] == '{' {
			s.json++
			s.walk("", value, 0)
		}
	case utf8.Valid(data):
		s.texts++
	}
}

// isPicture reports whether data begin as a JPEG, PNG, GIF or WebP does.
func isPicture(data []byte) bool {
	for _, magic := range []string{"\xff\xd8\xff", "\x89PNG\r\n\x1a\n", "GIF87a", "GIF89a"} {
		if bytes.HasPrefix(data, []byte(magic)) {
			return true
		}
	}
	return len(data) > 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP"
}

var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// walk looks at a value, and at the members below it.
func (s *sample) walk(path string, value []byte, depth int) {
	if string(value) == "null" {
		return
	}
	if path != "" {
		m := s.member(path)
		if m == nil {
			return
		}
		m.add(value)
		if m.geometries > 0 {
			return // its members say no more
		}
	}
	if depth >= maxSampleDepth {
		return
	}
	pointer.Members(value, func(name string, value []byte) {
		s.walk(path+"/"+pointerEscaper.Replace(name), bytes.TrimSpace(value), depth+1)
	})
}

// member returns the member at a place. It is nil if there are too many.
func (s *sample) member(path string) *member {
	m := s.byPath[path]
	if m == nil && len(s.members) < maxSampleMembers {
		m = &member{pointer: path, distinct: make(map[string]bool), least: math.Inf(1), most: math.Inf(-1)}
		s.byPath[path] = m
		s.members = append(s.members, m)
	}
	return m
}

// add looks at a value of the member.
func (m *member) add(value []byte) {
	m.objects++
	switch {
	case value[0] == '{':
		if isGeometry(value) {
			m.geometries++
		}
	case value[0] == '[':
		m.addArray(value)
	default:
		m.addScalar(value)
	}
}

func (m *member) addArray(value []byte) {
	count, numbers, scalars := 0, 0, 0
	pointer.Elements(value, func(element []byte) {
		count++
		switch element = bytes.TrimSpace(element); {
		case element[0] == '[' || element[0] == '{':
			return
		case element[0] == '-' || element[0] >= '0' && element[0] <= '9':
			numbers++
		}
		scalars++
	})
	if count > 1 && numbers == count {
		m.vectors++
		if m.dimensions == 0 {
			m.dimensions = count
		} else if m.dimensions != count {
			m.dimensions = -1
		}
		return
	}
	if scalars < count {
		return
	}
	m.lists++
	seen := 0
	pointer.Elements(value, func(element []byte) {
		if seen++; seen <= sampleElements {
			m.addScalar(bytes.TrimSpace(element))
		}
	})
}

func (m *member) addScalar(value []byte) {
	m.scalars++
	if len(value) <= maxSampleValue {
		m.distinct[string(value)] = true
	} else {
		m.distinct[strconv.Itoa(m.scalars)] = true // long values are taken for different ones
	}
	switch value[0] {
	case '"':
		m.addString(value)
	case 't', 'f':
		m.booleans++
	case 'n':
	default:
		f, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return
		}
		m.numbers++
		m.least, m.most = min(m.least, f), max(m.most, f)
		if _, err := strconv.ParseInt(string(value), 10, 64); err == nil {
			m.integers++
		}
	}
}

func (m *member) addString(value []byte) {
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return
	}
	m.strings++
	m.bytes += len(text)
	m.words += len(bytes.Fields(text))
	if _, err := time.Parse(time.RFC3339Nano, string(text)); err == nil {
		m.times++
	}
}

// isGeometry reports whether a JSON object looks like a geometry of GeoJSON.
func isGeometry(value []byte) bool {
	var g struct {
		Type        string            `json:"type"`
		Coordinates []json.RawMessage `json:"coordinates"`
	}
	if json.Unmarshal(value, &g) != nil || g.Coordinates == nil {
		return false
	}
	switch g.Type {
	case "Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon":
		return true
	}
	return false
}
