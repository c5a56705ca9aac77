package main

import (
	"slices"
)

// covers reports whether the region has all points of a shape that is not a point.
func (r *region) covers(s *shape, w *work) bool {
	switch {
	case !r.box.covers(s.box):
		return false
	case r.isBox:
		return true
	}
	touches := false
	inside := s.edges(func(e edge) bool {
		return r.holdsHere(e.a, w) && r.holdsHere(e.b, w) && r.near(e.box(), w, func(f edge) bool {
			c := e.meets(f)
			touches = touches || c == touch
			return c != crossed
		})
	})
	switch {
	case !inside || s.dots:
		return inside
	case !touches:
		return !r.isAround(s, w) // a hole of the region, or a gap
	}
	return r.coversTouching(s, w)
}

// coversTouching is covers for a shape whose vertices are in the region, and whose edges touch those of the
// region and cross none. The region has the shape if
//
//  1. each part of an edge of the shape, from one touch to the next, is in the region;
//  2. a point inside each polygon of the shape is in the region: a shape may fill a hole;
//  3. no part of an edge of the region is inside the shape: beyond it the region ends.
func (r *region) coversTouching(s *shape, w *work) bool {
	covered := s.edges(func(e edge) bool {
		return e.parts(func(f func(edge) bool) { r.near(e.box(), w, f) }, func(p point) bool { return r.holdsHere(p, w) })
	})
	if !covered || !s.area {
		return covered
	}
	for _, g := range s.geometry.Dump() {
		if xy, ok := g.PointOnSurface().XY(); ok && !r.holdsHere(point(xy), w) {
			return false
		}
	}
	return r.edges(func(f edge) bool {
		if !f.box().overlaps(s.box) {
			return true
		}
		return w.spend(s.vertices) && f.parts(func(g func(edge) bool) { s.edges(g) }, func(p point) bool {
			inside, _ := s.locate(p, w)
			return !inside
		})
	})
}

// parts divides an edge where others touch it, and calls accept with the middle of each part. Parts that lie on
// another edge are left out. It returns false once accept does.
func (e edge) parts(others func(func(edge) bool), accept func(point) bool) bool {
	cuts := []float64{0, 1}
	var on [][2]float64 // parts that lie on another edge
	others(func(f edge) bool {
		a, b := e.side(f.a) == 0, e.side(f.b) == 0
		from, to := e.position(f.a), e.position(f.b)
		if a && b {
			on = append(on, [2]float64{min(from, to), max(from, to)})
		}
		if a && from > 0 && from < 1 {
			cuts = append(cuts, from)
		}
		if b && to > 0 && to < 1 {
			cuts = append(cuts, to)
		}
		return true
	})
	slices.Sort(cuts)
	for i, to := range cuts[1:] {
		middle := (cuts[i] + to) / 2
		lies := slices.ContainsFunc(on, func(p [2]float64) bool { return p[0] <= middle && middle <= p[1] })
		if cuts[i] < to && !lies && !accept(e.at(middle)) {
			return false
		}
	}
	return true
}

// at returns a point of an edge: 0 is its beginning, and 1 its end.
func (e edge) at(t float64) point {
	return point{e.a.X + (e.b.X-e.a.X)*t, e.a.Y + (e.b.Y-e.a.Y)*t}
}

// position is the inverse of at, for a point on the line of the edge.
func (e edge) position(p point) float64 {
	x, y := e.b.X-e.a.X, e.b.Y-e.a.Y
	return ((p.X-e.a.X)*x + (p.Y-e.a.Y)*y) / (x*x + y*y)
}
