package main

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/client"
)

func devNull(t testing.TB) *os.File {
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// keysOf reads the value of --sort.
func keysOf(t testing.TB, s string) (list []sortKey) {
	t.Helper()
	if err := (sortList{&list}).Set(s); err != nil {
		t.Fatal(err)
	}
	return list
}

// from yields objects with these contents, and then the error if there is one.
func from(last error, contents ...string) iter.Seq2[client.Object, error] {
	return func(yield func(client.Object, error) bool) {
		for _, data := range contents {
			if !yield(client.Object{Data: []byte(data)}, nil) {
				return
			}
		}
		if last != nil {
			yield(client.Object{}, last)
		}
	}
}

// contents returns the contents of objects, and the error at their end.
func contents(objects iter.Seq2[client.Object, error]) (list []string, err error) {
	for o, e := range objects {
		if err = e; e == nil {
			list = append(list, string(o.Data))
		}
	}
	return list, err
}

// ascending are objects in the order of /a. Each differs from the one before, except that the last
// five have no value.
var ascending = []string{
	`{"a":-1e99999999999999999999}`, `{"a":-1e400}`, `{"a":-9007199254740993}`, `{"a":-9007199254740992}`, `{"a":-0.1}`, `{"a":-1e-400}`,
	`{"a":0}`, `{"a":1e-400}`, `{"a":0.1}`, `{"a":1}`, `{"a":1.5}`, `{"a":2}`, `{"a":10}`, `{"a":9007199254740992}`, `{"a":9007199254740993}`, `{"a":1e400}`,
	`{"a":""}`, `{"a":"1"}`, `{"a":"A"}`, `{"a":"AA"}`, `{"a":"a"}`, `{"a":"\u00e9"}`, `{"a":"\uff5e"}`, `{"a":"\ud83d\ude00"}`,
	`{"a":false}`, `{"a":true}`, `{"a":[ 1, 2 ]}`, `{"a":[2]}`, `{"a":[]}`, `{"a":{"b":1}}`, `{"a":{"b":2}}`,
	`{"a":null}`, `{"b":1}`, `[]`, `text`, `{"a":1,"a":2}`,
}

// valued is the number of objects in ascending that have a value.
var valued = len(ascending) - 5

// TestSortHasATotalOrder: values of all types have their places, in both directions. Objects
// without a value come last, in the order in which they came.
func TestSortHasATotalOrder(t *testing.T) {
	descending := append(slices.Clone(ascending[:valued]), ascending[valued:]...)
	slices.Reverse(descending[:valued])
	rapid.Check(t, func(r *rapid.T) {
		shuffled := rapid.Permutation(ascending[:valued]).Draw(r, "objects")
		for key, want := range map[string][]string{"/a": ascending, "-/a": descending} {
			got, err := contents(sorted(from(nil, append(slices.Clone(ascending[valued:]), shuffled...)...), keysOf(t, key)))
			if err != nil || !slices.Equal(got, want) {
				r.Fatalf("--sort %s: %q, %v; want %q", key, got, err, want)
			}
		}
	})
}

// TestEqualValuesKeepTheirOrder, however the value is written; another key decides between them.
func TestEqualValuesKeepTheirOrder(t *testing.T) {
	list := []string{`{"a":1.0,"b":2}`, `{"a":10e-1,"b":1}`, `{"a":1,"b":3}`, `{"a":"x\u0041"}`, `{"a":"xA"}`, `{"a":0.0}`, `{"a":-0}`, `{"a":[1,2]}`, `{"a":[ 1 ,2]}`}
	for key, want := range map[string][]int{
		"/a":      {5, 6, 0, 1, 2, 3, 4, 7, 8},
		"/a,-/b":  {5, 6, 2, 0, 1, 3, 4, 7, 8},
		"/a,/b":   {5, 6, 1, 0, 2, 3, 4, 7, 8},
		"-/a,/b":  {7, 8, 3, 4, 1, 0, 2, 5, 6},
		"/c,/c/d": {0, 1, 2, 3, 4, 5, 6, 7, 8},
	} {
		got, err := contents(sorted(from(nil, list...), keysOf(t, key)))
		var places []int
		for _, object := range got {
			places = append(places, slices.Index(list, object))
		}
		if err != nil || !slices.Equal(places, want) {
			t.Errorf("--sort %s: %v, %v; want %v", key, places, err, want)
		}
	}
}

// TestNumbersAreComparedByValue: exactly, as rational numbers.
func TestNumbersAreComparedByValue(t *testing.T) {
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		if rapid.Bool().Draw(t, "same digits") {
			b = strings.TrimRight(a, "0123456789") + b
		}
		x, okX := new(big.Rat).SetString(a)
		y, okY := new(big.Rat).SetString(b)
		if !okX || !okY {
			return
		}
		p, q := newDecimal(a), newDecimal(b)
		if got, want := p.compare(&q), x.Cmp(y); got != want {
			t.Fatalf("%s compared with %s: %d; want %d", a, b, got, want)
		}
	})
}

// TestExponentsOfAnySize have a place in the order.
func TestExponentsOfAnySize(t *testing.T) {
	far := strings.Repeat("9", 100_000)
	list := []string{"-1e" + far, "-1", "-1e-" + far, "0", "0e" + far, "1e-" + far, "1", "1e9223372036854775807", "2e" + far}
	for i, a := range list {
		for j, b := range list {
			x, y := newDecimal(a), newDecimal(b)
			want := cmp.Compare(i, j)
			if min(i, j) == 3 && max(i, j) == 4 {
				want = 0
			}
			if got := x.compare(&y); got != want {
				t.Errorf("%.30s compared with %.30s: %d; want %d", a, b, got, want)
			}
		}
	}
}

// TestSortKeepsNoMoreThanItsLimits: 10,000 objects, and 64 MiB of objects and sorted parts. Over it
// no object is printed, since the order of some would be wrong.
func TestSortKeepsNoMoreThanItsLimits(t *testing.T) {
	many := slices.Repeat([]string{`{"a":1}`}, maxSorted)
	mebibyte := `{"a":"` + strings.Repeat("x", 1<<20-8) + `"}`
	large := slices.Repeat([]string{mebibyte}, 64)
	for _, k := range []struct {
		name    string
		objects []string
		keys    string
		fits    bool
	}{
		{"as many objects as fit", many, "/a", true},
		{"one more", append(slices.Clone(many), `{}`), "/a", false},
		{"as many bytes as fit", large, "/b", true},
		{"one object more", append(slices.Clone(large), `{}`), "/b", false},
		{"large parts", large[:32], "/a", true},
		{"large parts, too many", large[:33], "/a", false},
	} {
		got, err := contents(sorted(from(nil, k.objects...), keysOf(t, k.keys)))
		if k.fits && (err != nil || len(got) != len(k.objects)) {
			t.Errorf("%s: %d objects, %v", k.name, len(got), err)
		}
		if !k.fits && (err == nil || len(got) > 0 || !strings.Contains(err.Error(), "at most 10000 objects and 64 MiB")) {
			t.Errorf("%s: %d objects, %v; want an error alone", k.name, len(got), err)
		}
	}
}

// TestSortKeepsTheErrorOfAnAnswer: the objects before it are printed in order, and then it.
func TestSortKeepsTheErrorOfAnAnswer(t *testing.T) {
	missing := errors.New("an object is missing")
	got, err := contents(sorted(from(missing, `{"a":2}`, `{"a":1}`), keysOf(t, "/a")))
	if err != missing || fmt.Sprint(got) != `[{"a":1} {"a":2}]` {
		t.Errorf("%v, then %v", got, err)
	}
	for range sorted(from(missing, `{"a":2}`, `{"a":1}`), keysOf(t, "/a")) {
		break
	}
}
