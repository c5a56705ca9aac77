package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"motte/core/model"
	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

func start(t *testing.T, options string) *sdktest.Core {
	t.Helper()
	return sdktest.Start(t, &index{}, sdk.Config{Ordered: true, MaxResults: 1000, Shelf: 1 << 20, Options: []byte(options)})
}

// finds fails unless a predicate finds the objects ID(n) of these numbers, in any order.
func finds(t *testing.T, core *sdktest.Core, predicate string, want ...int) {
	t.Helper()
	found, err := core.Search(predicate, 1000)
	var got []int
	for _, id := range found {
		got = append(got, numberOf(id))
	}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%s finds %v (%v), want %v", predicate, got, err, want)
	}
}

func TestInputs(t *testing.T) {
	core := start(t, `{"path":"/g"}`)
	ring := func(n int) string { // a polygon with n vertices
		var b strings.Builder
		for i := range n - 1 {
			angle := 2 * math.Pi * float64(i) / float64(n-1)
			fmt.Fprintf(&b, "[%v,%v],", 10*math.Cos(angle), 10*math.Sin(angle))
		}
		return `{"g":{"type":"Polygon","coordinates":[[` + b.String() + `[10,0]]]}}`
	}
	for _, c := range []struct {
		input    string
		accepted bool
		found    bool
	}{
		{`{"g":{"type":"Point","coordinates":[2.35,48.85]}}`, true, true},
		{`{"g":{"type":"Point","coordinates":[2.35,48.85,120]}}`, true, true}, // with a height
		{`{"g":{"coordinates":[2.35,48.85],"type":"Point","bbox":[1],"Type":"x"}}`, true, true},
		{`{"g":{"type":"LineString","coordinates":[[0,0],[1,1]]}}`, true, true},
		{`{"g":{"type":"Polygon","coordinates":[[[0,0],[0,1],[1,1],[0,0]]]}}`, true, true}, // clockwise
		{`{"g":{"type":"MultiPoint","coordinates":[[0,0],[0,0]]}}`, true, true},
		{`{"g":{"type":"MultiLineString","coordinates":[[[0,0],[1,1]],[[2,2],[3,3]]]}}`, true, true},
		{`{"g":{"type":"MultiPolygon","coordinates":[[[[0,0],[1,1],[0,1],[0,0]]]]}}`, true, true},
		{ring(maxVertices), true, true},
		{ring(maxVertices + 1), false, false},
		{`{"g":null}`, true, false},
		{`{}`, true, false},
		{`not JSON`, true, false},
		{`{"g":{"type":"Point","coordinates":[]}}`, true, false},
		{`{"g":{"type":"MultiPolygon","coordinates":[]}}`, true, false},
		{`{"g":1}`, false, false},
		{`{"g":[]}`, false, false},
		{`{"g":{}}`, false, false},
		{`{"g":{"type":"Point"}}`, false, false},
		{`{"g":{"type":"Point","coordinates":null}}`, false, false},
		{`{"g":{"type":"Point","coordinates":[null,1]}}`, false, false},
		{`{"g":{"type":"Point","coordinates":["1",1]}}`, false, false},
		{`{"g":{"type":"Point","coordinates":[1]}}`, false, false},
		{`{"g":{"type":"Point","coordinates":[[1,2]]}}`, false, false},
		{`{"g":{"type":"Point","coordinates":[181,1]}}`, false, false},
		{`{"g":{"type":"Point","coordinates":[1,-90.001]}}`, false, false},
		{`{"g":{"type":"Point","coordinates":[1,1e400]}}`, false, false},
		{`{"g":{"type":"point","coordinates":[1,1]}}`, false, false},
		{`{"g":{"type":"GeometryCollection","geometries":[]}}`, false, false},
		{`{"g":{"type":"Feature","geometry":{"type":"Point","coordinates":[1,1]}}}`, false, false},
		{`{"g":{"type":"LineString","coordinates":[[0,0],[0,0]]}}`, false, false},
		{`{"g":{"type":"Polygon","coordinates":[[[0,0],[0,1],[1,1]]]}}`, false, false},                                          // not closed
		{`{"g":{"type":"Polygon","coordinates":[[[0,0],[1,1],[0,1],[1,0],[0,0]]]}}`, false, false},                              // crosses itself
		{`{"g":{"type":"Polygon","coordinates":[[[0,0],[1,0],[0,1],[0,0]],[[5,5],[6,5],[5,6],[5,5]]]}}`, false, false},          // a hole outside
		{`{"g":{"type":"MultiPolygon","coordinates":[[[[0,0],[2,0],[0,2],[0,0]]],[[[1,0],[3,0],[1,2],[1,0]]]]}}`, false, false}, // parts overlap
		{`{"g":{"type":"Point","coordinates":[1,1],"type":"Point"}}`, false, false},                                             // ambiguous
		{`{"g":{"type":"Polygon","coordinates":[[[170,0],[190,0],[190,1],[170,1],[170,0]]]}}`, false, false},                    // off the map
		{`{"g":{"type":"Point","coordinates":[` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `]}}`, false, false},  // nested
		{`{"g":{"type":"Point","coordinates":[1,` + strings.Repeat("1", 100000) + `]}}`, false, false},                          // long number
	} {
		id := sdktest.ID(1)
		if got := core.Insert(id, c.input); got != c.accepted {
			t.Errorf("%.100s is accepted: %v, want %v", c.input, got, c.accepted)
		}
		found, err := core.Search("all", 10)
		if err != nil || (len(found) == 1) != c.found {
			t.Errorf("%.100s is found: %v (%v), want %v", c.input, found, err, c.found)
		}
	}
}

func TestPairsOfNumbers(t *testing.T) {
	core := start(t, `{"lat":"/pos/0","lng":"/pos/1"}`)
	for i, c := range []struct {
		input    string
		accepted bool
	}{
		{`{"pos":[48.85,2.35]}`, true},
		{`{}`, true}, {`{"pos":[null,null]}`, true}, {`[`, true},
		{`{"pos":[48.85]}`, false}, {`{"pos":["48.85","2.35"]}`, false}, {`{"pos":[91,2]}`, false},
		{`{"pos":[48.85,2.35],"pos":1}`, false}, {`{"pos":[48.85,true]}`, false},
	} {
		if got := core.Insert(sdktest.ID(i), c.input); got != c.accepted {
			t.Errorf("%s is accepted: %v, want %v", c.input, got, c.accepted)
		}
	}
	finds(t, core, "radius 48.85 2.35 1m", 0)
	finds(t, core, "all", 0)
}

func TestConfigurations(t *testing.T) {
	for _, c := range []struct {
		options string
		ok      bool
	}{
		{``, true}, {`{}`, true}, {`{"path":"/a"}`, true}, {`{"path":""}`, true}, {`{"lat":"/a","lng":"/b"}`, true},
		{`{"lat":"/a"}`, false}, {`{"path":"/a","lat":"/a","lng":"/b"}`, false}, {`{"path":"a"}`, false}, {`{"pth":"/a"}`, false}, {`[]`, false},
	} {
		x := &index{}
		if err := x.Configure(sdk.Config{Options: []byte(c.options)}); (err == nil) != c.ok {
			t.Errorf("%s: %v; want accepted %v", c.options, err, c.ok)
		}
	}
	if err := new(index).Configure(sdk.Config{Type: model.TypeInt64}); err == nil {
		t.Error("an index of int64 is accepted; a number is no place")
	}
}

func TestPredicatesThatAreRefused(t *testing.T) {
	core := start(t, "")
	long := "within polygon ((" + strings.Repeat("1 1, ", maxVertices) + "0 0))"
	for _, predicate := range []string{
		"every", "all 1", "within", "within box", "within box 1 2 3", "within box 1 2 3 4 5", "within box 1 5 3 4",
		"within box -181 0 0 1", "within box 0 0 1 nan", "within box 0 0 1 inf", "within box 0 0 1 0x1", "within box 1,,2 3 4",
		"within point (1 2)", "within linestring (0 0, 1 1)", "within polygon ((0 0, 1 1, 0 1))", "within polygon empty",
		"within polygon ((0 0, 1 1, 0 1, 1 0, 0 0))", "within polygon z ((0 0 1, 1 1 1, 0 1 1, 0 0 1))", "within polygon ((0 0, 1 1, 0 1, 0 0)) x",
		"within polygon ((0 0, 1 1, 0 1, 0 0)) or all", "intersects geometrycollection (point (1 1))", "intersects point (200 0)", "intersects triangle ((0 0, 1 0, 0 1, 0 0))",
		`within {"type":"Point","coordinates":[1,1]}`, `intersects {"type":"Point"}`, `intersects {"type":"Point","coordinates":[1,1]`,
		`intersects {"type":"Point","coordinates":[1,1],"type":"Point"}`, `intersects {"type":"Point","coordinates":[]}`,
		"radius 1 2", "radius 1 2 3", "radius 1 2 3 parsec", "radius 1 2 -3 km", "radius 91 2 3 km", "radius 1 2 3 km asc", "radius 12.5",
		"nearest", "nearest 1", "nearest 1 181", "nearest 1 2 3", "nearest 1 2 within", "nearest 1 2 within 3", "nearest 1 2 km", "nearest 1 2 order desc",
		"\xff", "within box 1 2 3 4\x00", long,
	} {
		if _, err := core.Search(predicate, 1); err != sdktest.ErrQueryRefused {
			t.Errorf("%.100q: %v; want that it is refused", predicate, err)
		}
	}
	for _, predicate := range []string{
		"", " all ", "ALL", "Within Box 1 2 3 4", "within box 1,2,3,4", "within box -1e1 +2 3.0 4.", "INTERSECTS Point(1 2)", "within polygon((0 0,1 1,0 1,0 0))",
		"intersects multipoint (1 1, 2 2)", `within {"type":"Polygon","coordinates":[[[0,0],[1,1],[0,1],[0,0]]]} `,
		"radius 48.85, 2.35 10km", "radius 48.85 2.35, 10 MI", "radius 0 0 0 m", "nearest 48.85 2.35 within 3nmi", "nearest -90 180",
	} {
		if _, err := core.Search(predicate, 1); err != nil {
			t.Errorf("%q: %v; want that it is accepted", predicate, err)
		}
	}
}

// TestTheMeridianOf180Degrees is both ends of the map.
func TestTheMeridianOf180Degrees(t *testing.T) {
	core := start(t, "")
	for i, at := range []string{"[180,10]", "[-180,10]", "[179,10]", "[-179,10]", "[0,10]"} {
		if !core.Insert(sdktest.ID(i), `{"type":"Point","coordinates":`+at+`}`) {
			t.Fatal(at)
		}
	}
	core.Insert(sdktest.ID(5), `{"type":"MultiPolygon","coordinates":[[[[178,9],[180,9],[180,11],[178,11],[178,9]]],[[[-180,9],[-178,9],[-178,11],[-180,11],[-180,9]]]]}`)
	finds(t, core, "within box 178 0 180 20", 0, 1, 2)
	finds(t, core, "within box -180 0 -178 20", 0, 1, 3)
	finds(t, core, "within box 170 0 -170 20", 0, 1, 2, 3, 5)
	finds(t, core, "within box 180 0 -178 20", 0, 1, 3)
	finds(t, core, "within box 170 0 -180 20", 0, 1, 2)
	finds(t, core, "within box 180 0 180 20", 0, 1)
	finds(t, core, "within box 179.5 0 -178.5 20", 0, 1, 3)
	finds(t, core, "intersects box 179.5 10 -178.5 20", 0, 1, 3, 5)
	finds(t, core, "within polygon ((178 0, 180 0, 180 20, 178 20, 178 0))", 0, 1, 2)
	finds(t, core, "intersects linestring (180 0, 180 20)", 0, 1, 5)
	finds(t, core, "radius 10 180 1km", 0, 1, 5)
	finds(t, core, "radius 10 -180 1km", 0, 1, 5)
	finds(t, core, "radius 10 -179.9 150km", 0, 1, 2, 3, 5)
}

func TestPoles(t *testing.T) {
	core := start(t, "")
	for i, at := range []string{"[0,90]", "[120,90]", "[-60,89.9]", "[0,-90]"} {
		core.Insert(sdktest.ID(i), `{"type":"Point","coordinates":`+at+`}`)
	}
	core.Insert(sdktest.ID(4), `{"type":"Polygon","coordinates":[[[-180,-90],[180,-90],[180,-80],[-180,-80],[-180,-90]]]}`)
	finds(t, core, "radius 90 33 1 m", 0, 1)
	finds(t, core, "radius 89.9 120 30 km", 0, 1, 2)
	finds(t, core, "within box -180 85 180 90", 0, 1, 2)
	finds(t, core, "radius -90 50 1 m", 3, 4)
	finds(t, core, "radius -81 50 1 m", 4)
	finds(t, core, "within box -180 -90 180 -80", 3, 4)
}

// TestLinesAreStraightOnTheMap: an edge follows the parallel, as RFC 7946 says, not the shortest way on
// the sphere. The other way a polygon goes makes no difference.
func TestLinesAreStraightOnTheMap(t *testing.T) {
	core := start(t, "")
	core.Insert(sdktest.ID(0), `{"type":"Point","coordinates":[50,60.5]}`) // the shortest way is to the north of it
	for _, ring := range []string{"0 50, 100 50, 100 60, 0 60, 0 50", "0 50, 0 60, 100 60, 100 50, 0 50"} {
		finds(t, core, "within polygon (("+ring+"))")
		finds(t, core, "within polygon (("+strings.ReplaceAll(ring, "60", "61")+"))", 0)
	}
}

// TestWorkIsBounded: a search over its steps is too expensive, whatever the time it takes.
func TestWorkIsBounded(t *testing.T) {
	x := configured(t, "")
	var line strings.Builder // goes to and fro on a parallel, far from the pole at each point alike
	for i := range maxVertices {
		fmt.Fprintf(&line, "[%d,%d],", -90+i%2*180, -80)
	}
	input := `{"type":"LineString","coordinates":[` + strings.TrimSuffix(line.String(), ",") + `]}`
	for i := range 20 {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(i), Owner: 1, Input: []byte(input)}})
	}
	if _, err := x.Search(sdk.Query{Predicate: []byte("nearest 90 0"), Limit: 3000}); err != sdk.ErrTooExpensive {
		t.Errorf("%v; want too expensive", err)
	}
	if _, err := x.Search(sdk.Query{Predicate: []byte("all"), Limit: 3000}); err != nil {
		t.Error(err)
	}
}

// TestRestart: the next process has the objects of the shelf, and is fed only what has changed.
func TestRestart(t *testing.T) {
	core := start(t, "")
	for i := range 100 {
		core.Insert(sdktest.ID(i), fmt.Sprintf(`{"type":"Point","coordinates":[%d,10]}`, i))
	}
	core.Insert(sdktest.ID(100), `{"type":"Polygon","coordinates":[[[0,0],[9,0],[9,9],[0,9],[0,0]],[[1,1],[2,1],[2,2],[1,1]]]}`)
	core.Insert(sdktest.ID(101), `null`)
	core.Insert(sdktest.ID(102), `{"type":"Point","coordinates":[1]}`)
	core.Save()
	core.Insert(sdktest.Version(7, 1), `{"type":"Point","coordinates":[7,20]}`)
	core.Remove(sdktest.ID(8))
	core, fed := core.Restart(&index{})
	if len(fed) != 1 || fed[0] != sdktest.Version(7, 1) {
		t.Errorf("%d objects are inserted again, want one", len(fed))
	}
	finds(t, core, "within box 5 10 10 20", 5, 6, 7, 9, 10)
	finds(t, core, "intersects point (1.9 1.5)")
	finds(t, core, "intersects point (4 4)", 100)
}

// TestHostileEntries: data that an attacker wrote on the shelf are refused.
func TestHostileEntries(t *testing.T) {
	x := configured(t, "")
	s, err := geoJSON([]byte(`{"type":"MultiPolygon","coordinates":[[[[0,0],[9,0],[9,9],[0,9],[0,0]]]]}`))
	testutil.Must(t, err)
	whole := appendShape(nil, s)
	for n := range whole {
		if x.Restore(sdk.Entry{Identity: sdktest.ID(1), Data: whole[:n]}) {
			t.Errorf("the first %d of %d bytes are accepted", n, len(whole))
		}
	}
	if x.Restore(sdk.Entry{Identity: sdktest.ID(1), Data: append(whole, 0)}) {
		t.Error("a byte too many is accepted")
	}
	if !x.Restore(sdk.Entry{Identity: sdktest.ID(1), Data: whole}) {
		t.Error("the whole entry is refused")
	}
}
