package main

import "github.com/peterstace/simplefeatures/geom"

// region is a shape in a predicate. It finds its edges by their latitude.
type region struct {
	shape
	isBox bool     // the region is its box
	slabs [][]edge // slabs[n] has the edges from south+n*height to south+(n+1)*height
	south float64
	scale float64 // slabs in a degree
}

const maxSlabs = 256

func newRegion(s *shape) *region {
	r := &region{shape: *s}
	if s.isPoint() {
		p := geom.XY(s.box.min)
		r.geometry, r.vertices, r.dots = p.AsPoint().AsGeometry(), 1, true
		r.lines = []geom.Sequence{geom.NewSequence([]float64{p.X, p.Y}, geom.DimXY)}
	}
	count := min(maxSlabs, r.vertices/4+1)
	r.slabs = make([][]edge, count)
	r.south = r.box.min.Y
	if height := r.box.max.Y - r.south; height > 0 {
		r.scale = float64(count) / height
	}
	r.edges(func(e edge) bool {
		b := e.box()
		for n := r.slab(b.min.Y); n <= r.slab(b.max.Y); n++ {
			r.slabs[n] = append(r.slabs[n], e)
		}
		return true
	})
	return r
}

// newBox returns a box as a region. It may be a line or a point.
func newBox(b box) (*region, error) {
	s, err := newShape(b.geometry())
	if err != nil {
		return nil, err
	}
	r := newRegion(s)
	r.isBox = true
	return r, nil
}

// newBoxes returns two boxes as one region.
func newBoxes(b, c box) (*region, error) {
	var polygons []geom.Polygon
	for _, g := range []geom.Geometry{b.geometry(), c.geometry()} {
		p, ok := g.AsPolygon()
		if !ok {
			return nil, errPredicate
		}
		polygons = append(polygons, p)
	}
	s, err := newShape(geom.NewMultiPolygon(polygons).AsGeometry())
	if err != nil {
		return nil, err
	}
	return newRegion(s), nil
}

func (b box) geometry() geom.Geometry {
	return geom.NewEnvelope(geom.XY(b.min), geom.XY(b.max)).AsGeometry()
}

// slab returns the number of the slab of a latitude. It is monotonic, so rounding does no harm.
func (r *region) slab(y float64) int {
	return min(max(int((y-r.south)*r.scale), 0), len(r.slabs)-1)
}

// near calls f with the edges whose slabs have a part of a box, until f returns false. An edge may
// come several times.
func (r *region) near(b box, w *work, f func(edge) bool) bool {
	if !r.box.overlaps(b) {
		return true
	}
	for n := r.slab(b.min.Y); n <= r.slab(b.max.Y); n++ {
		for _, e := range r.slabs[n] {
			if !w.spend(1) || !f(e) {
				return false
			}
		}
	}
	return true
}

// holds reports whether the region has a point, also at its edge. The meridian of 180 degrees is both
// ends of the map.
func (r *region) holds(p point, w *work) bool {
	return r.holdsHere(p, w) || p.X == -180 && r.box.max.X == 180 && r.holdsHere(point{180, p.Y}, w)
}

func (r *region) holdsHere(p point, w *work) bool {
	here := box{p, p}
	if r.isBox {
		return r.box.covers(here)
	}
	inside, on := false, false
	r.near(here, w, func(e edge) bool {
		var crosses bool
		crosses, on = e.test(p)
		inside = inside != crosses
		return !on
	})
	return on || inside && r.area
}

// intersects reports whether the region and a shape that is not a point have a common point.
func (r *region) intersects(s *shape, w *work) bool {
	switch {
	case !r.box.overlaps(s.box):
		return false
	case r.isBox && r.box.covers(s.box):
		return true
	}
	apart := s.edges(func(e edge) bool {
		return !r.holdsHere(e.a, w) && !r.holdsHere(e.b, w) &&
			r.near(e.box(), w, func(f edge) bool { return e.meets(f) == apart })
	})
	// No edges meet. So the shape is outside the region, or around one of its lines.
	return !apart || r.isAround(s, w)
}

// isAround reports whether an area has the beginning of a line of the region, or one of its points.
func (r *region) isAround(s *shape, w *work) bool {
	for _, line := range r.lines {
		for i := range line.Length() {
			if s.holds(point(line.GetXY(i)), w) {
				return true
			}
			if !r.dots {
				break
			}
		}
	}
	return false
}

// relation is how a cell lies to a region.
type relation int

const (
	outside relation = iota // all geometries of the cell are outside
	partial
	inside // all geometries of the cell are inside
)

func (r *region) relation(c cell, w *work) relation {
	b := c.box()
	switch {
	case c.layer == 0 && r.box.max.X == 180 && b.min.X <= -180:
		return partial
	case !r.box.overlaps(b):
		return outside
	case r.isBox && r.box.covers(b):
		return inside
	case r.isBox || !r.near(b, w, func(e edge) bool { return !e.meetsBox(b) }):
		return partial
	case r.holdsHere(b.min, w):
		return inside
	}
	return outside
}
