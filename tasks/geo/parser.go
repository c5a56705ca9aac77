package main

import (
	"errors"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/peterstace/simplefeatures/geom"

	"motte/sdk/ijson"
)

// errPredicate says that a predicate does not match the grammar.
var errPredicate = errors.New("not a predicate")

// kind is what a predicate asks for.
type kind int

const (
	all kind = iota
	within
	intersects
	near
)

// predicate is a parsed predicate.
type predicate struct {
	kind   kind
	region *region // of within and intersects
	centre point   // of near
	radius float64 // of near, in metres
}

// parser reads a predicate:
//
//	predicate = [ "all" ]
//	          | ( "within" | "intersects" ) region
//	          | "radius" lat lng distance
//	          | "nearest" lat lng [ "within" distance ]
//	region    = "box" west south east north | WKT | GeoJSON
//	distance  = number ( "m" | "km" | "mi" | "nmi" )
//
// Numbers are separated by spaces or a comma. Keywords may be written in capitals.
type parser struct{ rest string }

const spaces = " \t\r\n"

func parse(text []byte) (p predicate, err error) {
	if !utf8.Valid(text) {
		return p, errPredicate
	}
	r := parser{string(text)}
	switch r.word() {
	case "", "all":
	case "within":
		p.kind = within
		p.region, err = r.region()
		if err == nil && !p.region.area && !p.region.isBox {
			err = errPredicate
		}
	case "intersects":
		p.kind = intersects
		p.region, err = r.region()
	case "radius":
		p.kind = near
		if p.centre, err = r.centre(); err == nil {
			p.radius, err = r.distance()
		}
	case "nearest":
		p.kind, p.radius = near, math.Inf(1)
		p.centre, err = r.centre()
		if err == nil && !r.ended() {
			if r.word() != "within" {
				return p, errPredicate
			}
			p.radius, err = r.distance()
		}
	default:
		return p, errPredicate
	}
	if err == nil && !r.ended() {
		err = errPredicate
	}
	return p, err
}

func (r *parser) ended() bool { return strings.Trim(r.rest, spaces) == "" }

// word takes letters.
func (r *parser) word() string {
	r.rest = strings.TrimLeft(r.rest, spaces)
	n := 0
	for n < len(r.rest) && (r.rest[n]|0x20 >= 'a' && r.rest[n]|0x20 <= 'z') {
		n++
	}
	word := r.rest[:n]
	r.rest = r.rest[n:]
	return strings.ToLower(word)
}

// number takes a number, and a comma before it if there may be one.
func (r *parser) number(comma bool) (float64, error) {
	r.rest = strings.TrimLeft(r.rest, spaces)
	if comma && strings.HasPrefix(r.rest, ",") {
		r.rest = strings.TrimLeft(r.rest[1:], spaces)
	}
	n := 0
	for n < len(r.rest) && strings.IndexByte(digits, r.rest[n]) >= 0 {
		n++
	}
	text := r.rest[:n]
	r.rest = r.rest[n:]
	return number(text)
}

// numbers takes several numbers that are separated by spaces or commas.
func (r *parser) numbers(to ...*float64) (err error) {
	for i, n := range to {
		before := r.rest
		if *n, err = r.number(i > 0); err != nil {
			return err
		}
		if i > 0 && strings.IndexByte(spaces+",", before[0]) < 0 {
			return errPredicate
		}
	}
	return nil
}

func (r *parser) centre() (p point, err error) {
	err = r.numbers(&p.Y, &p.X)
	if err == nil && !onMap(p) {
		err = errPredicate
	}
	return p, err
}

// metres has the length of each unit.
var metres = map[string]float64{"m": 1, "km": 1000, "mi": 1609.344, "nmi": 1852}

func (r *parser) distance() (float64, error) {
	n, err := r.number(true)
	if err != nil {
		return 0, err
	}
	unit, ok := metres[r.word()]
	if !ok || !(n >= 0) {
		return 0, errPredicate
	}
	return n * unit, nil
}

// shapes has the words with which a geometry in WKT begins.
var shapes = map[string]bool{"point": true, "linestring": true, "polygon": true,
	"multipoint": true, "multilinestring": true, "multipolygon": true}

// region takes a region. WKT and GeoJSON take the rest of the text.
func (r *parser) region() (*region, error) {
	r.rest = strings.TrimLeft(r.rest, spaces)
	text := r.rest
	word := r.word()
	if word == "box" {
		return r.box()
	}
	r.rest = ""
	var s *shape
	var err error
	switch {
	case strings.HasPrefix(text, "{"):
		text = strings.TrimRight(text, spaces)
		if err := ijson.Check([]byte(text)); err != nil {
			return nil, err
		}
		s, err = geoJSON([]byte(text))
	case shapes[word] && strings.Count(text, ",") <= maxVertices:
		s, err = wkt(text)
	}
	if err == nil && s == nil {
		err = errPredicate
	}
	if err != nil {
		return nil, err
	}
	return newRegion(s), nil
}

// wkt reads a geometry in WKT with two coordinates for each point.
func wkt(text string) (*shape, error) {
	at := strings.IndexByte(text, '(')
	if at < 0 || !consistsOf(text[at:], "(),"+digits+spaces) {
		return nil, errPredicate
	}
	g, err := geom.UnmarshalWKT(text, geom.NoValidate{})
	if err != nil {
		return nil, err
	}
	if g.CoordinatesType() != geom.DimXY {
		return nil, errPredicate
	}
	return newShape(g)
}

// box takes a box. If its west is east of its east, it crosses the meridian of 180 degrees.
func (r *parser) box() (*region, error) {
	var b box
	err := r.numbers(&b.min.X, &b.min.Y, &b.max.X, &b.max.Y)
	if err != nil || !onMap(b.min) || !onMap(b.max) || b.min.Y > b.max.Y {
		return nil, errPredicate
	}
	if b.min.X == 180 {
		b.min.X = -180
		if b.max.X == 180 {
			b.max.X = -180
		}
	}
	if b.max.X == -180 && b.min.X > -180 {
		b.max.X = 180
	}
	if b.min.X <= b.max.X {
		return newBox(b)
	}
	west, east := b, b
	west.max.X, east.min.X = 180, -180
	return newBoxes(west, east)
}
