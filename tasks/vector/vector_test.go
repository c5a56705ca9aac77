package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// configured returns an index, and fails if it refuses its configuration.
func configured(tb testing.TB, options string) *index {
	tb.Helper()
	x := &index{}
	if err := x.Configure(sdk.Config{Ordered: true, Options: []byte(options)}); err != nil {
		tb.Fatal(err)
	}
	return x
}

// float32Bytes returns numbers as an input without a path has them.
func float32Bytes(v []float32) (p []byte) {
	for _, f := range v {
		p = binary.LittleEndian.AppendUint32(p, math.Float32bits(f))
	}
	return p
}

func insert(x *index, n int, input []byte) (refused bool) {
	changes := []sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: input}}
	x.Apply(changes)
	_, held := x.slots[sdktest.ID(n).Value()]
	return !held
}

// TestFormsOfAVector: an array, base64 and bytes stand for the same vector.
func TestFormsOfAVector(t *testing.T) {
	floats := float32Bytes([]float32{0.5, -2, 3e7})
	for _, c := range []struct{ options, array, bytes string }{
		{`"element":"float32"`, `[0.5, -2, 3e7]`, string(floats)},
		{`"element":"int8"`, `[127, -128, 0]`, "\x7f\x80\x00"},
	} {
		for metric := range metrics {
			t.Run(metric+" "+c.options, func(t *testing.T) {
				o := fmt.Sprintf(`"dimensions":3,"metric":%q,%s`, metric, c.options)
				raw, inJSON := configured(t, "{"+o+"}"), configured(t, `{"path":"/a/1",`+o+"}")
				encoded := base64.StdEncoding.EncodeToString([]byte(c.bytes))
				insert(raw, 1, []byte(c.bytes))
				insert(inJSON, 1, []byte(`{"a":[0,`+c.array+`]}`))
				insert(inJSON, 2, []byte(`{"a":[0,"`+strings.ReplaceAll(encoded, "/", `\/`)+`"]}`))
				first := raw.vectors.at(0)
				for n := range slot(2) {
					if v := inJSON.vectors.at(n); !v.equal(&first) {
						t.Errorf("the vector %d is %v, want %v", n, v, first)
					}
				}
				for _, p := range []string{"near " + c.array, `near "` + encoded + `" ef 20`} {
					found, _, err := sdktest.Page(inJSON, sdk.Query{Predicate: []byte(p), Limit: 5})
					if err != nil || len(found) != 2 {
						t.Errorf("%s finds %d objects (%v), want 2", p, len(found), err)
					}
				}
			})
		}
	}
}

// TestInputsThatAreRefused: and those that have no vector are no error.
func TestInputsThatAreRefused(t *testing.T) {
	base := func(p string) string { return `{"v":"` + base64.StdEncoding.EncodeToString([]byte(p)) + `"}` }
	nan := string(float32Bytes([]float32{1, float32(math.NaN())}))
	inf := string(float32Bytes([]float32{1, float32(math.Inf(1))}))
	for _, c := range []struct {
		options string
		skipped []string
		refused []string
	}{
		{`{"path":"/v","dimensions":2}`, []string{`{}`, `{"v":null}`, `no JSON`, ``}, []string{
			`{"v":[1]}`, `{"v":[1,2,3]}`, `{"v":[1,null]}`, `{"v":[1,[2]]}`, `{"v":[1,"2"]}`, `{"v":[1,true]}`, `{"v":{}}`, `{"v":1}`, `{"v":""}`, `{"v":[]}`,
			`{"v":[1,1.1e15]}`, `{"v":[1,1e39]}`, `{"v":[0,0]}`, `{"v":[1e-60,0]}`, `{"v":[1,2],"v":[1,2]}`, base(nan), base(inf), base("1234567"), base("123456789"),
			`{"v":"AAAAPwAAAD8"}`, `{"v":"AAAAPwAAAD9="}`, `{"v":"AAAAPwAAAD8\n="}`, `{"v":"AAAAPw AAAD8="}`}},
		{`{"path":"/v","dimensions":2,"metric":"l2","element":"int8"}`, []string{`{}`}, []string{
			`{"v":[1,128]}`, `{"v":[-129,1]}`, `{"v":[1.0,1]}`, `{"v":[1e1,1]}`, base("123")}},
		{`{"dimensions":2,"element":"int8"}`, []string{""}, []string{"1", "123", "\x00\x00"}},
		{`{"dimensions":2}`, []string{""}, []string{"1", "123456789", nan, inf, "\x00\x00\x00\x00\x00\x00\x00\x80"}},
	} {
		x := configured(t, c.options)
		core := sdktest.Start(t, x, sdk.Config{Ordered: true, Options: []byte(c.options)})
		for n, in := range c.skipped {
			if !core.Insert(sdktest.ID(n), in) || len(x.slots) != 0 {
				t.Errorf("%s: %q is refused or indexed, want that it has no vector", c.options, in)
			}
		}
		for n, in := range c.refused {
			if core.Insert(sdktest.ID(n), in) || len(x.slots) != 0 {
				t.Errorf("%s: %q is indexed, want that it is refused", c.options, in)
			}
		}
	}
}

// TestConfigurationsThatAreRefused: a number over a limit, and a name that is not known.
func TestConfigurationsThatAreRefused(t *testing.T) {
	for _, o := range []string{`{"dimensions":1}`, `{"dimensions":4096,"m":64,"ef_construction":1000,"ef":4096}`,
		`{"dimensions":2,"m":4,"ef_construction":16,"ef":10,"metric":"dot","element":"int8","path":""}`} {
		configured(t, o)
	}
	for _, o := range []string{"", `{}`, `{"dimensions":0}`, `{"dimensions":-1}`, `{"dimensions":4097}`, `{"dimensions":2,"m":3}`, `{"dimensions":2,"m":65}`,
		`{"dimensions":2,"ef":9}`, `{"dimensions":2,"ef":4097}`, `{"dimensions":2,"ef_construction":15}`, `{"dimensions":2,"ef_construction":1001}`,
		`{"dimensions":2,"metric":""}`, `{"dimensions":2,"element":"float64"}`, `{"dimensions":2,"path":"v"}`, `{"dimensions":2,"M":8}`} {
		if err := (&index{}).Configure(sdk.Config{Options: []byte(o)}); err == nil {
			t.Errorf("%s is accepted, want it refused", o)
		}
	}
	for _, of := range []model.DataType{model.TypeInt64, model.TypeFloat64, model.TypeString, model.TypeTime} {
		if err := (&index{}).Configure(sdk.Config{Type: of, Options: []byte(`{"dimensions":2}`)}); err == nil {
			t.Errorf("the data type %d is accepted, want it refused", of)
		}
	}
}

// TestDistanceOfEachMetric: the bound of a predicate is in the unit that the documentation says, and it
// is included.
func TestDistanceOfEachMetric(t *testing.T) {
	for _, c := range []struct {
		options, input, to string
		distance           float64
	}{
		{`"metric":"l2"`, "[3, 4]", "[0, 0]", 5},
		{`"metric":"dot"`, "[3, 4]", "[-1, 2]", -5},
		{`"metric":"cosine"`, "[0, 7]", "[2, 0]", 1},
		{`"metric":"cosine"`, "[8, 0]", "[-2, 0]", 2},
		{`"metric":"l2","element":"int8"`, "[-128, 4]", "[127, 4]", 255},
		{`"metric":"dot","element":"int8"`, "[-128, -128]", "[-128, 127]", -128},
		{`"metric":"cosine","element":"int8"`, "[100, 0]", "[0, -100]", 1},
	} {
		x := configured(t, `{"path":"","dimensions":2,`+c.options+`}`)
		insert(x, 1, []byte(c.input))
		for _, w := range []struct {
			bound float64
			finds int
		}{{c.distance, 1}, {c.distance + 0.01, 1}, {c.distance - 0.01, 0}} {
			p := fmt.Sprintf("near %s within %v", c.to, w.bound)
			if found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(p), Limit: 2}); err != nil || len(found) != w.finds {
				t.Errorf("%s, %s: %s finds %d objects (%v), want %d", c.options, c.input, p, len(found), err, w.finds)
			}
		}
	}
}

// TestTheLibraryAgreesWithPlainLoops: for each length, on this processor.
func TestTheLibraryAgreesWithPlainLoops(t *testing.T) {
	for length := 1; length <= 300; length++ {
		a, b := make([]float32, length), make([]float32, length)
		u, v := make([]uint8, length), make([]uint8, length)
		for i := range a {
			a[i], b[i] = float32(i*7919%31-15), float32(i*104729%37-18)
			u[i], v[i] = uint8(i*7919), uint8(255-i*31)
		}
		if got, want := squaredL2(a, b), plainSquaredL2(a, b); got != want {
			t.Errorf("%d numbers: the squared distance is %v, want %v", length, got, want)
		}
		if got, want := dotProduct(a, b), plainDotProduct(a, b); got != want {
			t.Errorf("%d numbers: the product is %v, want %v", length, got, want)
		}
		if got, want := squaredL2OfBytes(u, v), plainSquaredL2OfBytes(u, v); got != want {
			t.Errorf("%d bytes: the squared distance is %v, want %v", length, got, want)
		}
		if got, want := dotProductOfBytes(u, v), plainDotProductOfBytes(u, v); got != want {
			t.Errorf("%d bytes: the product is %v, want %v", length, got, want)
		}
	}
	u, v := slices.Repeat([]uint8{255}, maxDimensions), make([]uint8, maxDimensions)
	if got := squaredL2OfBytes(u, v); got != 255*255*maxDimensions {
		t.Errorf("the longest distance of bytes is %d, want %d", got, 255*255*maxDimensions)
	}
	if got := dotProductOfBytes(u, u); got != 255*255*maxDimensions {
		t.Errorf("the largest product of bytes is %d, want %d", got, 255*255*maxDimensions)
	}
}

// FuzzPredicate: no predicate makes the parser panic. A predicate that is accepted has a vector of the
// index, and bounds within their limits.
func FuzzPredicate(f *testing.F) {
	for _, s := range []string{"", "near [1,2] within 0.3 ef 50", `near "AAAAPwAAAD8=" ef 10`, "near[1,-2e3]within-1ef 10", "near [[1,2]]", "near [1,2] within NaN", `near "\u0041"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, o := range []string{`{"dimensions":2}`, `{"dimensions":2,"element":"int8"}`} {
			x := configured(t, o)
			q, err := x.parse([]byte(s))
			if err != nil {
				continue
			}
			if len(q.point.floats)+len(q.point.bytes) != 2 || !finite(q.point.floats) || q.ef != 0 && (q.ef < minEf || q.ef > maxEf) || math.IsNaN(q.bound) {
				t.Fatalf("%q is accepted as %+v", s, q)
			}
		}
	})
}

// FuzzInput: no input makes the index panic. A vector that it holds is at a finite distance from itself.
func FuzzInput(f *testing.F) {
	f.Add([]byte(`{"v":[1,2]}`))
	f.Add([]byte(`{"v":"AAAAPwAAAD8="}`))
	f.Add(float32Bytes([]float32{1, 2}))
	f.Add([]byte{1, 2})
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, o := range []string{`{"dimensions":2}`, `{"dimensions":2,"element":"int8"}`, `{"path":"/v","dimensions":2,"metric":"l2"}`,
			`{"path":"/v","dimensions":2,"element":"int8","metric":"dot"}`} {
			x := configured(t, o)
			if insert(x, 1, in) {
				continue
			}
			if d := x.vectors.between(0, 0); math.IsNaN(float64(d)) || math.IsInf(float64(d), 0) {
				t.Fatalf("%s: the vector of %q is at the distance %v from itself", o, in, d)
			}
		}
	})
}
