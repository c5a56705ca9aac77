package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/peterstace/simplefeatures/geom"
	"pgregory.net/rapid"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// placed is an object of the model.
type placed struct {
	owner    sdk.Owner
	geometry geom.Geometry
	input    string
}

// objectsOf is the model: a list of objects, whose geometries are compared by the library alone.
type objectsOf map[sdk.Identity]placed

// question is a query, and the meaning of its predicate.
type question struct {
	sdk.Query
	match    func(geom.Geometry) bool
	distance func(geom.Geometry) float64
}

// find returns the objects that match, by distance and value.
func (m objectsOf) find(q *question) (ids []sdk.Identity) {
	distances := make(map[sdk.Identity]float64)
	for id, o := range m {
		if !q.match(o.geometry) {
			continue
		}
		ids = append(ids, id)
		if q.distance != nil {
			distances[id] = q.distance(o.geometry)
		}
	}
	slices.SortFunc(ids, func(a, b sdk.Identity) int {
		return cmp.Or(cmp.Compare(distances[a], distances[b]), a.Compare(b))
	})
	return ids
}

// grid draws a coordinate of a small grid, so that geometries often touch.
func grid(t *rapid.T) int { return rapid.IntRange(0, 6).Draw(t, "coordinate") }

// drawRing draws a triangle, a square or an L.
func drawRing(t *rapid.T) string {
	x, y, size := grid(t), grid(t), rapid.IntRange(1, 4).Draw(t, "size")
	form := rapid.SampledFrom([][][2]int{
		{{0, 0}, {2, 0}, {0, 2}, {0, 0}},
		{{0, 0}, {2, 0}, {2, 2}, {0, 2}, {0, 0}},
		{{0, 0}, {0, 2}, {2, 2}, {2, 1}, {1, 1}, {1, 0}, {0, 0}}, // clockwise
		{{0, 0}, {2, 1}, {1, 2}, {0, 0}},
	}).Draw(t, "form")
	var points []string
	for _, p := range form {
		points = append(points, fmt.Sprintf("%d %d", x+p[0]*size, y+p[1]*size))
	}
	return "(" + strings.Join(points, ", ") + ")"
}

// drawWKT draws a valid geometry.
func drawWKT(t *rapid.T, areas bool) string {
	for {
		var text string
		a, b, c, d := grid(t), grid(t), grid(t), grid(t)
		choices := 7
		if areas {
			choices = 4
		}
		switch rapid.IntRange(0, choices-1).Draw(t, "kind") {
		case 0:
			text = "POLYGON (" + drawRing(t) + ")"
		case 1:
			text = "POLYGON ((-1 -1, 16 -1, 16 16, -1 16, -1 -1), " + drawRing(t) + ")" // with a hole
		case 2:
			text = "MULTIPOLYGON ((" + drawRing(t) + "), (" + drawRing(t) + "))"
		case 3:
			text = fmt.Sprintf("POLYGON ((%d %d, %d %d, 9 9, %d %d))", a, b, c, d, a, b)
		case 4:
			text = fmt.Sprintf("POINT (%d %d)", a, b)
		case 5:
			text = fmt.Sprintf("LINESTRING (%d %d, %d %d, %d %d)", a, b, c, d, b, a)
		case 6:
			text = fmt.Sprintf("MULTIPOINT (%d %d, %d %d)", a, b, c, d)
		}
		if _, err := geom.UnmarshalWKT(text); err == nil {
			return text
		}
	}
}

func parsed(text string) geom.Geometry {
	g, err := geom.UnmarshalWKT(text)
	if err != nil {
		panic(err)
	}
	return g
}

// drawQuestion draws a predicate, a limit and an owner.
func drawQuestion(t *rapid.T) (q question) {
	var text string
	radius := math.Inf(1)
	byDistance := false
	var centre point
	switch rapid.IntRange(0, 5).Draw(t, "predicate") {
	case 0:
		text, q.match = "all", func(geom.Geometry) bool { return true }
	case 1:
		region := drawWKT(t, true)
		text = "within " + strings.ToLower(region)
		q.match = func(g geom.Geometry) bool { in, err := geom.CoveredBy(g, parsed(region)); return in && err == nil }
	case 2:
		region := drawWKT(t, false)
		text = "intersects " + region
		q.match = func(g geom.Geometry) bool { return geom.Intersects(g, parsed(region)) }
	case 3:
		a, b, c, d := grid(t), grid(t), grid(t), grid(t)
		b, d = min(b, d), max(b, d)
		box := geom.NewEnvelope(geom.XY{X: float64(min(a, c)), Y: float64(b)}, geom.XY{X: float64(max(a, c)), Y: float64(d)})
		text = fmt.Sprintf("within box %d %d %d %d", min(a, c), b, max(a, c), d)
		q.match = func(g geom.Geometry) bool { return box.Covers(g.Envelope()) }
	case 4:
		radius = float64(rapid.IntRange(0, 900).Draw(t, "radius")) * 1000
		byDistance = true
		centre = point{X: float64(grid(t)), Y: float64(grid(t))}
		text = fmt.Sprintf("radius %v, %v %v km", centre.Y, centre.X, radius/1000)
	case 5:
		byDistance = true
		centre = point{X: float64(grid(t)), Y: float64(grid(t))}
		text = fmt.Sprintf("nearest %v %v", centre.Y, centre.X)
	}
	if byDistance {
		q.distance = func(g geom.Geometry) float64 {
			s, err := newShape(g)
			if err != nil {
				panic(err)
			}
			if s.isPoint() {
				return distance(centre, s.box.min)
			}
			return s.distance(centre, math.Inf(1), &work{left: maxWork})
		}
		q.match = func(g geom.Geometry) bool { return q.distance(g) <= radius }
	}
	q.Predicate = []byte(text)
	q.Limit = rapid.IntRange(1, 8).Draw(t, "limit")
	q.Owner = sdk.Owner(rapid.Uint64Range(0, 4).Draw(t, "owner"))
	return q
}

func configured(t testing.TB, options string) *index {
	t.Helper()
	x := &index{}
	if err := x.Configure(sdk.Config{Ordered: true, Options: []byte(options)}); err != nil {
		t.Fatal(err)
	}
	return x
}

// pages asks for all pages of an answer.
func pages(t *rapid.T, x *index, q sdk.Query) (all []sdk.Identity) {
	for more := true; more; {
		var ids []sdk.Identity
		var err error
		q.After = sdktest.Next(all)
		if ids, more, err = sdktest.Page(x, q); err != nil {
			t.Fatalf("%s: %v", q.Predicate, err)
		}
		if more && len(ids) < q.Limit {
			t.Fatalf("%s: a short page of %d says that more match", q.Predicate, len(ids))
		}
		all = append(all, ids...)
	}
	return all
}

// TestIndexAgreesWithAList applies the same random history to an index and to the model. It asks
// both the same questions.
func TestIndexAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := configured(t, `{"path":"/at"}`)
		held := make(objectsOf)
		contents := make(objectsOf)
		change := func(t *rapid.T) sdk.Change {
			id := sdktest.Version(rapid.IntRange(0, 40).Draw(t, "object"), rapid.IntRange(0, 2).Draw(t, "version"))
			for old := range held {
				if old.Value() == id.Value() {
					delete(held, old)
				}
			}
			if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
				return sdk.Change{Identity: id, Remove: true}
			}
			o, ok := contents[id]
			if !ok {
				o.geometry = parsed(drawWKT(t, false))
				text, err := o.geometry.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				o.owner = sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner"))
				o.input = fmt.Sprintf(`{"at":%s}`, text)
				contents[id] = o
			}
			held[id] = o
			return sdk.Change{Identity: id, Owner: o.owner, Input: []byte(o.input)}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				var batch []sdk.Change
				for range rapid.IntRange(1, 20).Draw(t, "changes") {
					batch = append(batch, change(t))
				}
				x.Apply(batch)
			},
			"restart": func(t *rapid.T) { x = restarted(t, x) },
			"search all pages": func(t *rapid.T) {
				q := drawQuestion(t)
				var want []sdk.Identity
				whole := held.find(&q)
				for _, id := range whole {
					if q.Wants(held[id].owner) {
						want = append(want, id)
					}
				}
				got := pages(t, x, q.Query)
				if q.distance == nil {
					slices.SortFunc(got, sdk.Identity.Compare)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s, owner %d: %d objects %x, want %d %x", q.Predicate, q.Owner, len(got), got, len(want), want)
				}
			},
			"search among candidates": func(t *rapid.T) {
				q := drawQuestion(t)
				for range rapid.IntRange(1, 20).Draw(t, "candidates") {
					q.Within = append(q.Within, sdktest.Version(rapid.IntRange(0, 40).Draw(t, "object"), rapid.IntRange(0, 2).Draw(t, "version")))
				}
				slices.SortFunc(q.Within, sdk.Identity.Compare)
				q.Within = slices.Compact(q.Within)
				var want []sdk.Identity
				for _, id := range held.find(&q) {
					if q.Wants(held[id].owner) && slices.Contains(q.Within, id) {
						want = append(want, id)
					}
				}
				got := pages(t, x, q.Query)
				if q.distance == nil {
					slices.SortFunc(got, sdk.Identity.Compare)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%s among %d: %x, want %x", q.Predicate, len(q.Within), got, want)
				}
			},
			"search behind any object": func(t *rapid.T) {
				q := drawQuestion(t)
				whole := q
				whole.Limit = 1000
				all, _, err := sdktest.Page(x, whole.Query)
				if err != nil {
					t.Fatal(err)
				}
				q.After = []sdk.Identity{sdktest.Version(rapid.IntRange(0, 40).Draw(t, "object"), 0)}
				at := slices.Index(all, q.After[0])
				got, _, err := sdktest.Page(x, q.Query)
				switch o, ok := held[q.After[0]]; {
				case !ok || !q.match(o.geometry):
					if err != sdk.ErrGone {
						t.Fatalf("%s behind an object that does not match: %v", q.Predicate, err)
					}
				case at >= 0: // it is of the owner
					if want := all[at+1 : min(at+1+q.Limit, len(all))]; err != nil || !slices.Equal(got, want) {
						t.Fatalf("%s behind %x: %x (%v), want %x", q.Predicate, q.After, got, err, want)
					}
				}
			},
			"": func(t *rapid.T) { checkStore(t, x, held) },
		})
	})
}

// restarted returns a new index with the entries of another.
func restarted(t *rapid.T, x *index) *index {
	next := &index{source: x.source, objects: newStore()}
	for i := range next.layers {
		next.layers[i] = next.newTree()
	}
	for v := range x.objects.byValue {
		if e, ok := x.Entry(v); !ok || e.Identity.Value() != v || !next.Restore(e) {
			t.Fatalf("the entry of %x is %+v, %v; want that it is restored", v, e, ok)
		}
	}
	next.Restored()
	return next
}

// checkStore fails if a layer, a list of an owner or a shape is missing, or too many.
func checkStore(t *rapid.T, x *index, held objectsOf) {
	entries, listed := 0, 0
	for _, layer := range x.layers {
		entries += layer.Len()
	}
	for owner, n := range x.objects.ownerOf {
		list := x.objects.owners[n]
		if list.owner != owner || len(list.objects) == 0 {
			t.Fatalf("the list of owner %d is %+v", owner, list)
		}
		listed += len(list.objects)
	}
	if entries != len(held) || listed != len(held) || len(x.objects.byValue) != len(held) {
		t.Fatalf("%d entries, %d in lists, %d values; want %d objects", entries, listed, len(x.objects.byValue), len(held))
	}
	for n := range x.objects.shapes {
		if x.objects.at(n).id == (sdk.Identity{}) {
			t.Fatalf("the free slot %d has a shape", n)
		}
	}
}
