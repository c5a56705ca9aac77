package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"motte/internal/realdata"
	"motte/sdk"
	"motte/sdk/sdktest"
)

const packageColumns = `{"columns":[{"name":"package","path":"/package","type":"text","index":true},{"name":"section","path":"/section","type":"text","index":true},
	{"name":"priority","path":"/priority","type":"text"},{"name":"source","path":"/source","type":"text"},{"name":"size","path":"/size","type":"integer","index":true},
	{"name":"installed","path":"/installed_size","type":"integer"},{"name":"homepage","path":"/homepage","type":"text"}]}`

func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// realPredicate returns a random condition about packages, and the function that it stands for. No condition is
// NULL for any package, so that "not" means the opposite.
func realPredicate(r *rand.Rand, all []realdata.Package, depth int) (string, func(*realdata.Package) bool) {
	p := &all[r.IntN(len(all))]
	choices := 7
	if depth > 0 {
		choices = 10
	}
	switch r.IntN(choices) {
	case 0:
		return "section = " + literal(p.Section), func(o *realdata.Package) bool { return o.Section == p.Section }
	case 1:
		return fmt.Sprintf("size between %d and %d", p.Size, 3*p.Size), func(o *realdata.Package) bool { return o.Size >= p.Size && o.Size <= 3*p.Size }
	case 2:
		part := p.Package[r.IntN(len(p.Package)):]
		return "package like " + literal("%"+strings.ReplaceAll(part, "_", "")+"%"), func(o *realdata.Package) bool {
			return strings.Contains(strings.ToLower(o.Package), strings.ReplaceAll(part, "_", ""))
		}
	case 3:
		return "package >= " + literal(p.Package), func(o *realdata.Package) bool { return o.Package >= p.Package }
	case 4:
		return "source is null", func(o *realdata.Package) bool { return o.Source == "" }
	case 5:
		factor := int64(1 + r.IntN(5))
		return fmt.Sprintf("coalesce(installed, 0) * 1024 > size * %d", factor), func(o *realdata.Package) bool { return o.InstalledSize*1024 > o.Size*factor }
	case 6:
		return "coalesce(homepage, '') like 'https://%' and priority in ('optional', 'extra')", func(o *realdata.Package) bool {
			return strings.HasPrefix(strings.ToLower(o.Homepage), "https://") && (o.Priority == "optional" || o.Priority == "extra")
		}
	case 7:
		text, match := realPredicate(r, all, depth-1)
		return "not (" + text + ")", func(o *realdata.Package) bool { return !match(o) }
	case 8:
		a, matchA := realPredicate(r, all, depth-1)
		b, matchB := realPredicate(r, all, depth-1)
		return "(" + a + ") or (" + b + ")", func(o *realdata.Package) bool { return matchA(o) || matchB(o) }
	}
	a, matchA := realPredicate(r, all, depth-1)
	b, matchB := realPredicate(r, all, depth-1)
	return "(" + a + ") and (" + b + ")", func(o *realdata.Package) bool { return matchA(o) && matchB(o) }
}

// packages returns every step-th object of the package index that has a section and a priority, and what it stands for.
func packages(tb testing.TB, step int) (inputs [][]byte, all []realdata.Package) {
	tb.Helper()
	for n, input := range realdata.Packages(tb) {
		if n%step != 0 {
			continue
		}
		var p realdata.Package
		if err := json.Unmarshal(input, &p); err != nil {
			tb.Fatal(err)
		}
		if p.Section != "" && p.Size > 0 && p.Priority != "" {
			inputs, all = append(inputs, input), append(all, p)
		}
	}
	return inputs, all
}

func ownerOf(n int) sdk.Owner {
	if n%10 == 7 {
		return 2
	}
	return 1
}

func load(x *index, inputs [][]byte) {
	for start := 0; start < len(inputs); start += 100 {
		var batch []sdk.Change
		for n := start; n < min(start+100, len(inputs)); n++ {
			batch = append(batch, sdk.Change{Identity: sdktest.ID(n), Owner: ownerOf(n), Input: inputs[n]})
		}
		x.Apply(batch)
	}
}

// TestPackagesAgreeWithPlainCode asks an index of packages hundreds of random predicates, half of them with an order.
func TestPackagesAgreeWithPlainCode(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	inputs, all := packages(t, 100)
	numbers := make(map[sdk.Identity]int)
	for n := range inputs {
		numbers[sdktest.ID(n)] = n
	}
	x := newIndex(t, packageColumns)
	load(x, inputs)
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		text, match := realPredicate(r, all, 3)
		compare := func(a, b int) int { return 0 }
		if r.IntN(2) == 0 {
			text += " order by section desc, size"
			compare = func(a, b int) int {
				return cmp.Or(-cmp.Compare(all[a].Section, all[b].Section), cmp.Compare(all[a].Size, all[b].Size))
			}
		}
		owner, limit := sdk.Owner(r.IntN(3)), 1+r.IntN(len(inputs)) // owner 0: all owners
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(text), Limit: limit, Owner: owner})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var want []int
		for n := range all {
			if match(&all[n]) && (owner == 0 || owner == ownerOf(n)) {
				want = append(want, n)
			}
		}
		slices.SortFunc(want, func(a, b int) int { return cmp.Or(compare(a, b), sdktest.ID(a).Compare(sdktest.ID(b))) })
		want = want[:min(limit, len(want))]
		var got []int
		for _, id := range found {
			got = append(got, numbers[id])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s of owner %d finds %d packages, want %d, or in another order", text, owner, len(found), len(want))
		}
	}
}

// BenchmarkPackages measures queries over the package index, insertion and restoring.
func BenchmarkPackages(b *testing.B) {
	inputs, _ := packages(b, 1)
	x := newIndex(b, packageColumns)
	load(x, inputs)
	b.Run("insert", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			n %= len(inputs)
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: ownerOf(n), Input: inputs[n]}})
		}
	})
	var entries []sdk.Entry
	saved := 0
	for n := range inputs {
		e, _ := x.Entry(sdktest.ID(n).Value())
		entries = append(entries, e)
		saved += len(e.Data)
	}
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			again := &index{}
			if err := again.Configure(sdk.Config{Ordered: true, Options: []byte(packageColumns)}); err != nil {
				b.Fatal(err)
			}
			for _, e := range entries {
				again.Restore(e)
			}
			again.Restored()
			again.Close()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(inputs)), "ns/object")
		b.ReportMetric(float64(saved)/float64(len(inputs)), "saved-bytes/object")
		b.ReportMetric(float64(count(x.pages)*pageSize)/float64(len(inputs)), "bytes/object")
	})
	for _, predicate := range []string{
		"package = 'bash'",
		"section = 'devel' and size > 1000000 order by size desc",
		"section = 'devel' and size > 1000000 and homepage like 'https://%'",
		"homepage like '%github%' order by installed desc",
		"installed > 2 * size",
	} {
		b.Run(predicate, func(b *testing.B) {
			for b.Loop() {
				if _, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 10}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
