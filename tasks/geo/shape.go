package main

import (
	"errors"
	"math"

	"github.com/peterstace/simplefeatures/geom"
)

// maxVertices bounds the vertices of a geometry, of an object or in a predicate. It bounds the
// memory of an object at 64 KiB, and the work of comparing two geometries.
const maxVertices = 4096

var errGeometry = errors.New("not a geometry that the index accepts")

// point is a point of the map, in degrees: X is the longitude, and Y the latitude.
type point struct{ X, Y float64 }

// box is a box of the map.
type box struct{ min, max point }

func (b box) overlaps(c box) bool {
	return b.min.X <= c.max.X && c.min.X <= b.max.X && b.min.Y <= c.max.Y && c.min.Y <= b.max.Y
}

func (b box) covers(c box) bool {
	return b.min.X <= c.min.X && c.max.X <= b.max.X && b.min.Y <= c.min.Y && c.max.Y <= b.max.Y
}

// add makes the box hold p.
func (b *box) add(p point) {
	b.min = point{min(b.min.X, p.X), min(b.min.Y, p.Y)}
	b.max = point{max(b.max.X, p.X), max(b.max.Y, p.Y)}
}

// noBox is a box without points.
var noBox = box{point{math.Inf(1), math.Inf(1)}, point{math.Inf(-1), math.Inf(-1)}}

// shape is a valid geometry on the map. A shape that is a point has its box alone.
type shape struct {
	box      box
	geometry geom.Geometry
	lines    []geom.Sequence // its lines, its rings, or its points
	dots     bool            // lines has points, which are not connected
	area     bool            // lines has rings
	vertices int
}

func (s *shape) isPoint() bool { return s.lines == nil }

// pointShape returns the shape of a point. It has one spelling for both ends of the map: the longitude
// 180 is -180.
func pointShape(p point) (*shape, error) {
	if !onMap(p) {
		return nil, errGeometry
	}
	if p.X == 180 {
		p.X = -180
	}
	p = point{p.X + 0, p.Y + 0} // no -0, so that an equal point has equal bytes
	return &shape{box: box{p, p}}, nil
}

func onMap(p point) bool { return p.X >= -180 && p.X <= 180 && p.Y >= -90 && p.Y <= 90 }

// newShape checks a geometry. It returns nil if the geometry is empty.
func newShape(g geom.Geometry) (*shape, error) {
	if g.IsEmpty() {
		return nil, nil
	}
	g = g.ForceCoordinatesType(geom.DimXY)
	s := &shape{box: noBox, geometry: g}
	switch g.Type() {
	case geom.TypePoint:
		xy, _ := g.MustAsPoint().XY()
		return pointShape(point(xy))
	case geom.TypeMultiPoint:
		s.dots = true
		s.lines = []geom.Sequence{g.MustAsMultiPoint().Coordinates()}
	case geom.TypeLineString:
		s.lines = []geom.Sequence{g.MustAsLineString().Coordinates()}
	case geom.TypeMultiLineString:
		s.lines = g.MustAsMultiLineString().Coordinates()
	case geom.TypePolygon:
		s.area = true
		s.lines = g.MustAsPolygon().Coordinates()
	case geom.TypeMultiPolygon:
		s.area = true
		for _, rings := range g.MustAsMultiPolygon().Coordinates() {
			s.lines = append(s.lines, rings...)
		}
	default:
		return nil, errGeometry
	}
	for _, line := range s.lines {
		s.vertices += line.Length()
	}
	if s.vertices > maxVertices {
		return nil, errGeometry
	}
	for _, line := range s.lines {
		for i := range line.Length() {
			p := point(line.GetXY(i))
			if !onMap(p) {
				return nil, errGeometry
			}
			s.box.add(p)
		}
	}
	return s, g.Validate()
}

// edges calls f with the edges of a shape that is not a point, until f returns false. The edge of a
// single point has twice that point. It reports whether f got all of them.
func (s *shape) edges(f func(edge) bool) bool {
	for _, line := range s.lines {
		for i := range line.Length() {
			p := point(line.GetXY(i))
			switch {
			case s.dots:
				if !f(edge{p, p}) {
					return false
				}
			case i > 0:
				if !f(edge{point(line.GetXY(i - 1)), p}) {
					return false
				}
			}
		}
	}
	return true
}

// holds reports whether an area has a point, also at its edge.
func (s *shape) holds(p point, w *work) bool {
	inside, on := s.locate(p, w)
	return inside || on
}

// locate reports whether a point is inside an area, and whether it is on its edge.
func (s *shape) locate(p point, w *work) (inside, on bool) {
	if !s.area || !s.box.overlaps(box{p, p}) {
		return false, false
	}
	w.spend(s.vertices)
	s.edges(func(e edge) bool {
		var crosses bool
		crosses, on = e.test(p)
		inside = inside != crosses
		return !on
	})
	return inside && !on, on
}

// distance returns the distance from p to the shape in metres, with an error of lineTolerance, or
// nearest if that is less.
func (s *shape) distance(p point, nearest float64, w *work) float64 {
	if s.holds(p, w) {
		return 0
	}
	v := p.vector()
	s.edges(func(e edge) bool {
		if e.a == e.b {
			nearest = min(nearest, distance(p, e.a))
			return w.spend(1)
		}
		nearest = v.lineDistance(e.a, e.b, nearest, w)
		return !w.exhausted()
	})
	return nearest
}
