package main

import "math"

// earthRadius is the mean radius of the earth in metres. The earth is flatter than a sphere: a
// distance is wrong by 0.6 % at most.
const earthRadius = 6_371_008.8

const radians = math.Pi / 180

// roundingSlack is more than the rounding error of a distance, in metres. Near the antipode it is
// about 0.1.
const roundingSlack = 1

// distance returns the distance of two points on the sphere in metres, by the formula of haversines.
func distance(p, q point) float64 {
	y := math.Sin((q.Y - p.Y) * radians / 2)
	x := math.Sin((q.X - p.X) * radians / 2)
	h := y*y + math.Cos(p.Y*radians)*math.Cos(q.Y*radians)*x*x
	return 2 * earthRadius * math.Asin(math.Sqrt(min(h, 1)))
}

// atLeast returns a lower bound of the distances from p to the points of a box.
func (b box) atLeast(p point) float64 {
	return max(0, b.distance(p)-roundingSlack)
}

// atMost returns an upper bound of the distances from p to the points of a box. The point of a box that
// is farthest from p is nearest to the antipode of p.
func (b box) atMost(p point) float64 {
	antipode := point{X: math.Remainder(p.X+180, 360), Y: -p.Y}
	return math.Pi*earthRadius - b.atLeast(antipode)
}

// distance returns the distance from p to the nearest point of a box.
func (b box) distance(p point) float64 {
	if b.min.X <= p.X && p.X <= b.max.X {
		return max(0, b.min.Y-p.Y, p.Y-b.max.Y) * radians * earthRadius
	}
	return min(meridianDistance(p, b.min.X, b.min.Y, b.max.Y), meridianDistance(p, b.max.X, b.min.Y, b.max.Y))
}

// meridianDistance returns the distance from p to a part of a meridian.
func meridianDistance(p point, x, south, north float64) float64 {
	nearest := min(distance(p, point{X: x, Y: south}), distance(p, point{X: x, Y: north}))
	foot := math.Atan2(math.Sin(p.Y*radians), math.Cos(p.Y*radians)*math.Cos((x-p.X)*radians)) / radians
	if south < foot && foot < north {
		nearest = min(nearest, distance(p, point{X: x, Y: foot}))
	}
	return nearest
}

// vector is a point of the unit sphere.
type vector [3]float64

func (p point) vector() vector {
	sinY, cosY := math.Sincos(p.Y * radians)
	sinX, cosX := math.Sincos(p.X * radians)
	return vector{cosY * cosX, cosY * sinX, sinY}
}

func (v vector) dot(w vector) float64 { return v[0]*w[0] + v[1]*w[1] + v[2]*w[2] }

func (v vector) cross(w vector) vector {
	return vector{v[1]*w[2] - v[2]*w[1], v[2]*w[0] - v[0]*w[2], v[0]*w[1] - v[1]*w[0]}
}

func (v vector) length() float64 { return math.Sqrt(v.dot(v)) }

// distanceTo returns the distance of two points in metres.
func (v vector) distanceTo(w vector) float64 {
	chord := vector{v[0] - w[0], v[1] - w[1], v[2] - w[2]}.length()
	return 2 * earthRadius * math.Asin(min(chord/2, 1))
}

// arcDistance returns the distance from v to the arc of the great circle from a to b, in metres.
func (v vector) arcDistance(a, b vector) float64 {
	normal := a.cross(b)
	length := normal.length()
	if length == 0 || normal.cross(a).dot(v) < 0 || b.cross(normal).dot(v) < 0 {
		return min(v.distanceTo(a), v.distanceTo(b))
	}
	return earthRadius * math.Asin(min(math.Abs(normal.dot(v))/length, 1))
}

// lineTolerance is the error of a distance to a line or a polygon, in metres.
const lineTolerance = 0.1

// arcCost is how many steps the distance to an arc takes.
const arcCost = 8

// lineDistance returns the distance from v to the line from a to b, which is straight on the map, or
// nearest if that is less. It divides the line until an arc of a great circle differs by less than
// the tolerance. Parts that can't be nearest are left.
//
// The second derivative of the line on the unit sphere is at most the square of its change s in both
// angles. So the line is at most s²/8 from its chord, and at most 0.3 s² from the arc.
func (v vector) lineDistance(a, b point, nearest float64, w *work) float64 {
	if !w.spend(arcCost) {
		return nearest
	}
	s := (math.Abs(b.X-a.X) + math.Abs(b.Y-a.Y)) * radians
	if s <= 1 {
		deviation := 0.3 * s * s * earthRadius
		d := v.arcDistance(a.vector(), b.vector())
		switch {
		case d-deviation >= nearest:
			return nearest
		case deviation <= lineTolerance:
			return min(nearest, d)
		}
	}
	middle := point{X: (a.X + b.X) / 2, Y: (a.Y + b.Y) / 2}
	nearest = v.lineDistance(a, middle, nearest, w)
	return v.lineDistance(middle, b, nearest, w)
}
