package main

// edge is a straight part of a line on the map. The edge of a single point has twice that point.
type edge struct{ a, b point }

func (e edge) box() box {
	b := box{e.a, e.a}
	b.add(e.b)
	return b
}

// side returns a number above 0 if p is on the left of the line from a to b, below 0 if it is on the
// right, and 0 if it is on the line.
func (e edge) side(p point) float64 {
	return (e.b.X-e.a.X)*(p.Y-e.a.Y) - (e.b.Y-e.a.Y)*(p.X-e.a.X)
}

// test reports whether the edge crosses the ray that goes east from p, and whether p is on the edge.
// A point is in an area if an odd number of edges cross the ray. An edge has its lower end and not
// its upper end, so a ray through a vertex counts rightly.
func (e edge) test(p point) (crosses, on bool) {
	if p.Y < e.a.Y && p.Y < e.b.Y || p.Y > e.a.Y && p.Y > e.b.Y {
		return false, false
	}
	if e.a.Y > e.b.Y {
		e.a, e.b = e.b, e.a
	}
	side := e.side(p)
	if side == 0 && e.box().covers(box{p, p}) {
		return false, true
	}
	return side > 0 && e.a.Y <= p.Y && p.Y < e.b.Y, false
}

// contact is how two edges meet.
type contact int

const (
	apart   contact = iota
	touch           // an end of one is on the other
	crossed         // each goes from one side of the other to the other side
)

func (e edge) meets(f edge) contact {
	if !e.box().overlaps(f.box()) {
		return apart
	}
	a, b := e.side(f.a), e.side(f.b)
	c, d := f.side(e.a), f.side(e.b)
	if opposite(a, b) && opposite(c, d) {
		return crossed
	}
	for _, end := range []struct {
		side float64
		of   edge
		p    point
	}{{a, e, f.a}, {b, e, f.b}, {c, f, e.a}, {d, f, e.b}} {
		if end.side == 0 && end.of.box().covers(box{end.p, end.p}) {
			return touch
		}
	}
	return apart
}

func opposite(a, b float64) bool { return a > 0 && b < 0 || a < 0 && b > 0 }

// meetsBox reports whether the edge has a point in a box.
func (e edge) meetsBox(b box) bool {
	if !e.box().overlaps(b) {
		return false
	}
	left, right := false, false
	for _, corner := range []point{b.min, {b.max.X, b.min.Y}, b.max, {b.min.X, b.max.Y}} {
		side := e.side(corner)
		left = left || side >= 0
		right = right || side <= 0
	}
	return left && right
}
