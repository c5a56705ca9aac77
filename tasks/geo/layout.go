package main

import (
	"encoding/binary"
	"math"

	"github.com/peterstace/simplefeatures/geom"
)

// depths has the kinds of geometries, and how deep their points are nested. A geometry on the shelf
// is the byte of its kind, and its points: each is its longitude and its latitude. A list is its
// length, and its elements.
var depths = map[geom.GeometryType]int{
	geom.TypePoint:           0,
	geom.TypeMultiPoint:      1,
	geom.TypeLineString:      1,
	geom.TypeMultiLineString: 2,
	geom.TypePolygon:         2,
	geom.TypeMultiPolygon:    3,
}

const pointSize = 16

func appendShape(to []byte, s *shape) []byte {
	if s.isPoint() {
		return appendPoint(append(to, byte(geom.TypePoint)), s.box.min)
	}
	to = append(to, byte(s.geometry.Type()))
	switch s.geometry.Type() {
	case geom.TypeMultiPolygon:
		polygons := s.geometry.MustAsMultiPolygon().Coordinates()
		to = binary.AppendUvarint(to, uint64(len(polygons)))
		for _, rings := range polygons {
			to = appendLines(to, rings)
		}
	case geom.TypePolygon, geom.TypeMultiLineString:
		to = appendLines(to, s.lines)
	default:
		to = appendLine(to, s.lines[0])
	}
	return to
}

func appendLines(to []byte, lines []geom.Sequence) []byte {
	to = binary.AppendUvarint(to, uint64(len(lines)))
	for _, line := range lines {
		to = appendLine(to, line)
	}
	return to
}

func appendLine(to []byte, line geom.Sequence) []byte {
	to = binary.AppendUvarint(to, uint64(line.Length()))
	for i := range line.Length() {
		to = appendPoint(to, point(line.GetXY(i)))
	}
	return to
}

func appendPoint(to []byte, p point) []byte {
	to = binary.LittleEndian.AppendUint64(to, math.Float64bits(p.X))
	return binary.LittleEndian.AppendUint64(to, math.Float64bits(p.Y))
}

// readShape reads a geometry, and checks it as it does an input.
func readShape(data []byte) (*shape, bool) {
	if len(data) == 0 {
		return nil, false
	}
	kind := geom.GeometryType(data[0])
	depth, ok := depths[kind]
	if !ok {
		return nil, false
	}
	r := shapeReader{rest: data[1:]}
	if depth == 0 {
		xy := r.points(1)
		if r.failed || len(r.rest) > 0 {
			return nil, false
		}
		s, err := pointShape(point{xy[0], xy[1]})
		return s, err == nil
	}
	g := r.geometry(kind)
	if r.failed || len(r.rest) > 0 {
		return nil, false
	}
	s, err := newShape(g)
	return s, err == nil && s != nil
}

// shapeReader reads points. After an error it reads nothing.
type shapeReader struct {
	rest   []byte
	failed bool
}

// count reads the length of a list, whose elements take at least one byte.
func (r *shapeReader) count() int {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(len(r.rest)-size) {
		r.failed, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return int(n)
}

func (r *shapeReader) points(n int) (xy []float64) {
	if n > len(r.rest)/pointSize {
		r.failed, r.rest = true, nil
		return []float64{0, 0}
	}
	for range 2 * n {
		xy = append(xy, math.Float64frombits(binary.LittleEndian.Uint64(r.rest)))
		r.rest = r.rest[8:]
	}
	return xy
}

func (r *shapeReader) line() geom.LineString {
	return geom.NewLineString(geom.NewSequence(r.points(r.count()), geom.DimXY))
}

func (r *shapeReader) lines() (lines []geom.LineString) {
	for n := r.count(); n > 0 && !r.failed; n-- {
		lines = append(lines, r.line())
	}
	return lines
}

func (r *shapeReader) geometry(kind geom.GeometryType) geom.Geometry {
	switch kind {
	case geom.TypeMultiPolygon:
		var polygons []geom.Polygon
		for n := r.count(); n > 0 && !r.failed; n-- {
			polygons = append(polygons, geom.NewPolygon(r.lines()))
		}
		return geom.NewMultiPolygon(polygons).AsGeometry()
	case geom.TypePolygon:
		return geom.NewPolygon(r.lines()).AsGeometry()
	case geom.TypeMultiLineString:
		return geom.NewMultiLineString(r.lines()).AsGeometry()
	case geom.TypeMultiPoint:
		var points []geom.Point
		for xy := r.points(r.count()); len(xy) > 0 && !r.failed; xy = xy[2:] {
			points = append(points, geom.XY{X: xy[0], Y: xy[1]}.AsPoint())
		}
		return geom.NewMultiPoint(points).AsGeometry()
	}
	return r.line().AsGeometry()
}
