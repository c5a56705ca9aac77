package main

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestWordsBeyondTheLimitsAreNotFound: the words before them are, and the object can be removed.
func TestWordsBeyondTheLimitsAreNotFound(t *testing.T) {
	x := &index{}
	if err := x.Configure(sdk.Config{Type: model.TypeText}); err != nil {
		t.Fatal(err)
	}
	var distinct strings.Builder
	for n := range maxDistinct {
		fmt.Fprintf(&distinct, "w%d ", n)
	}
	places := strings.Repeat("a b ", maxPlaces/2-2)
	x.Apply([]sdk.Change{
		{Identity: sdktest.ID(0), Input: []byte(distinct.String() + "beyond w0 w1 w7")},
		{Identity: sdktest.ID(1), Input: []byte("first " + places + "x y last beyond")},
	})
	for predicate, want := range map[string]string{
		"w0": "0", fmt.Sprintf("w%d", maxDistinct-1): "0", "beyond": "", `"w1 w7"`: "0", "first": "1", "last": "1", `"x y last"`: "1", `"a b a"`: "1",
	} {
		found, err := ask(x, predicate)
		if got := numbers(found, 2); err != nil || got != want {
			t.Errorf("%s finds %q (%v), want %q", predicate, got, err, want)
		}
	}
	x.Apply([]sdk.Change{{Identity: sdktest.ID(0), Remove: true}, {Identity: sdktest.ID(1), Remove: true}})
	if len(x.dictionary.byText) != 0 || x.dictionary.sorted.Len() != 0 || len(x.documents.byValue) != 0 {
		t.Errorf("%d terms and %d objects are left, want none", len(x.dictionary.byText), len(x.documents.byValue))
	}
}

// TestAnObjectTakesBoundedMemory: texts that are made to take much.
func TestAnObjectTakesBoundedMemory(t *testing.T) {
	const size = 1 << 20
	unlike := func(count int) string { // different words
		var b strings.Builder
		for n := 0; b.Len() < count; n++ {
			fmt.Fprintf(&b, "%x ", n*0x9e3779b9&math.MaxUint32)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"one word": strings.Repeat("a", size), "short words": strings.Repeat("a b ", size/4), "different words": unlike(size),
		"emoji": strings.Repeat("🎉", size/4), "marks": strings.Repeat("\u0301", size/2), "fractions": strings.Repeat("½", size/2), "ligatures": strings.Repeat("ﷺ", size/3),
	} {
		x := &index{}
		if err := x.Configure(sdk.Config{Type: model.TypeText}); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		x.Apply([]sdk.Change{{Identity: sdktest.ID(0), Input: []byte(text)}})
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4*size+200*maxDistinct {
			t.Errorf("%s: a text of %d bytes takes %d bytes of memory", name, size, grown)
		}
		for _, predicate := range []string{"a?b*", "*a*b*c", "a~2", `"a b a b"`, "????"} {
			if _, err := ask(x, predicate); err != nil {
				t.Errorf("%s: %q: %v", name, predicate, err)
			}
		}
		runtime.KeepAlive(x)
	}
}

// TestScoresAreThoseOfBM25F computes scores by the formula of the books.
func TestScoresAreThoseOfBM25F(t *testing.T) {
	x := &index{}
	if err := x.Configure(sdk.Config{Ordered: true, Options: []byte(`{"fields":["/a","/b"],"weights":{"a":3}}`)}); err != nil {
		t.Fatal(err)
	}
	objects := [][2]string{{"fox", "dog dog fox"}, {"dog", "cat"}, {"fox fox cat dog", ""}, {"cat", "fox"}, {"", "cat cat cat cat cat"}}
	for n, o := range objects {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Input: fmt.Appendf(nil, `{"a":%q,"b":%q}`, o[0], o[1])}})
	}
	weights := [2]float64{3, 1}
	var mean [2]float64
	for _, o := range objects {
		for f := range o {
			mean[f] += float64(len(strings.Fields(o[f]))) / float64(len(objects))
		}
	}
	score := func(o [2]string, word string) float64 {
		sum, having := 0.0, 0.0
		for f := range o {
			times := 0.0
			for _, w := range strings.Fields(o[f]) {
				if w == word {
					times++
				}
			}
			sum += weights[f] * times / (1 - 0.75 + 0.75*float64(len(strings.Fields(o[f])))/mean[f])
		}
		for _, o := range objects {
			if slices.Contains(strings.Fields(o[0]+" "+o[1]), word) {
				having++
			}
		}
		return math.Log(1+(float64(len(objects))-having+0.5)/(having+0.5)) * sum * 2.2 / (sum + 1.2)
	}
	q := &question{Query: sdk.Query{Predicate: []byte("fox dog^2")}}
	got := scoresOf(t, x, q)
	for n, o := range objects {
		want := score(o, "fox") + 2*score(o, "dog")
		if diff := got[sdktest.ID(n)] - want; diff > 1e-9 || diff < -1e-9 {
			t.Errorf("the score of object %d is %v, want %v", n, got[sdktest.ID(n)], want)
		}
	}
}
