package main

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/peterstace/simplefeatures/geom"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// source is where an input has its geometry.
type source struct {
	path     pointer.Pointer // a GeoJSON geometry
	lat, lng pointer.Pointer // two numbers
	numbers  bool            // lat and lng count
}

// read returns the geometry of an input, or nil if it has none.
func (c *source) read(input []byte) (*shape, error) {
	if !c.numbers {
		value, ok, err := c.path.Find(input)
		if !ok || string(value) == "null" {
			return nil, err
		}
		return geoJSON(value)
	}
	switch err := ijson.Check(input); {
	case errors.Is(err, ijson.ErrAmbiguous):
		return nil, err
	case err != nil:
		return nil, nil
	}
	lat, okLat := value(c.lat, input)
	lng, okLng := value(c.lng, input)
	if !okLat && !okLng {
		return nil, nil
	}
	y, err := number(string(lat))
	if err != nil {
		return nil, err
	}
	x, err := number(string(lng))
	if err != nil {
		return nil, err
	}
	return pointShape(point{x, y})
}

// value returns the value that p points to, unless it is null.
func value(p pointer.Pointer, text []byte) ([]byte, bool) {
	v, ok := p.Value(text)
	return v, ok && string(v) != "null"
}

// maxNumber bounds the characters of a number.
const maxNumber = 64

// digits are the characters of numbers.
const digits = "0123456789+-.eE"

// consistsOf reports whether a text has no other characters than these.
func consistsOf(text, chars string) bool {
	return !strings.ContainsFunc(text, func(c rune) bool { return !strings.ContainsRune(chars, c) })
}

// number reads a number. What JSON does not allow, such as "inf", is no number.
func number(text string) (float64, error) {
	if len(text) > maxNumber || !consistsOf(text, digits) {
		return 0, errGeometry
	}
	return strconv.ParseFloat(text, 64)
}

var (
	typePath        = pointer.Pointer{"type"}
	coordinatesPath = pointer.Pointer{"coordinates"}
)

// geoJSON reads a GeoJSON geometry, from a text that ijson accepts. A geometry without coordinates is
// nil. The library gets no other member, and no other values than numbers.
func geoJSON(value []byte) (*shape, error) {
	if len(value) == 0 || value[0] != '{' {
		return nil, errGeometry
	}
	kind, ok := typePath.Value(value)
	if !ok {
		return nil, errGeometry
	}
	coordinates, ok := coordinatesPath.Value(value)
	if !ok || !consistsOf(string(coordinates), "[],"+digits+spaces) {
		return nil, errGeometry
	}
	var name string
	if json.Unmarshal(kind, &name) != nil {
		return nil, errGeometry
	}
	text, err := json.Marshal(map[string]any{"type": name, "coordinates": json.RawMessage(coordinates)})
	if err != nil {
		return nil, err
	}
	g, err := geom.UnmarshalGeoJSON(text, geom.NoValidate{})
	if err != nil {
		return nil, err
	}
	return newShape(g)
}
