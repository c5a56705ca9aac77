package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"motte/internal/realdata"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// realPredicate returns a random predicate over packages, and the function that it stands for. Its
// values are those of a random package.
func realPredicate(r *rand.Rand, all []realdata.Package, depth int) (string, func(*realdata.Package) bool) {
	p := &all[r.IntN(len(all))]
	quote := func(s string) string {
		text, _ := json.Marshal(s)
		return string(text)
	}
	texts := map[string]func(*realdata.Package) string{
		"package":      func(p *realdata.Package) string { return p.Package },
		"section":      func(p *realdata.Package) string { return p.Section },
		"priority":     func(p *realdata.Package) string { return p.Priority },
		"architecture": func(p *realdata.Package) string { return p.Architecture },
		"source":       func(p *realdata.Package) string { return p.Source },
		"homepage":     func(p *realdata.Package) string { return p.Homepage },
		"depends":      func(p *realdata.Package) string { return p.Depends },
	}
	fields := []string{"package", "section", "section", "priority", "architecture", "source", "homepage", "depends"}
	field := fields[r.IntN(len(fields))]
	get := texts[field]
	choices := 8
	if depth > 0 {
		choices = 12
	}
	switch r.IntN(choices) {
	case 0:
		want := get(p)
		if want == "" {
			return "missing " + field, func(p *realdata.Package) bool { return get(p) == "" }
		}
		return field + " = " + quote(want), func(p *realdata.Package) bool { return get(p) == want }
	case 1:
		want := get(p)
		return field + " != " + quote(want), func(p *realdata.Package) bool { return get(p) != "" && get(p) != want }
	case 2:
		list := []string{get(p), get(&all[r.IntN(len(all))]), "nowhere"}
		return fmt.Sprintf("%s in (%s, %s, %s)", field, quote(list[0]), quote(list[1]), quote(list[2])),
			func(p *realdata.Package) bool { return get(p) != "" && slices.Contains(list, get(p)) }
	case 3:
		return "exists " + field, func(p *realdata.Package) bool { return get(p) != "" }
	case 4:
		want := p.InstalledSize
		return fmt.Sprintf("installed_size = %d", want), func(p *realdata.Package) bool { return want != 0 && p.InstalledSize == want }
	case 5, 6:
		if len(p.Tags) == 0 {
			return "missing tags", func(p *realdata.Package) bool { return len(p.Tags) == 0 }
		}
		want := p.Tags[r.IntN(len(p.Tags))]
		return "tags has " + quote(want), func(p *realdata.Package) bool { return slices.Contains(p.Tags, want) }
	case 7:
		if len(p.Tags) < 2 {
			return "exists tags", func(p *realdata.Package) bool { return len(p.Tags) > 0 }
		}
		a, b := p.Tags[0], p.Tags[len(p.Tags)-1]
		return fmt.Sprintf("tags contains all (%s, %s)", quote(a), quote(b)),
			func(p *realdata.Package) bool { return slices.Contains(p.Tags, a) && slices.Contains(p.Tags, b) }
	case 8:
		text, match := realPredicate(r, all, depth-1)
		return "not (" + text + ")", func(p *realdata.Package) bool { return !match(p) }
	case 9:
		a, matchA := realPredicate(r, all, depth-1)
		b, matchB := realPredicate(r, all, depth-1)
		return "(" + a + ") or (" + b + ")", func(p *realdata.Package) bool { return matchA(p) || matchB(p) }
	}
	a, matchA := realPredicate(r, all, depth-1)
	b, matchB := realPredicate(r, all, depth-1)
	return "(" + a + ") and (" + b + ")", func(p *realdata.Package) bool { return matchA(p) && matchB(p) }
}

// packages returns the objects of the package index, and what they stand for.
func packages(tb testing.TB) (inputs [][]byte, all []realdata.Package) {
	tb.Helper()
	inputs = realdata.Packages(tb)
	all = make([]realdata.Package, len(inputs))
	for n, input := range inputs {
		if err := json.Unmarshal(input, &all[n]); err != nil {
			tb.Fatal(err)
		}
	}
	return inputs, all
}

// load applies inputs in batches. Every tenth object has another owner.
func load(x *index, inputs [][]byte) {
	for start := 0; start < len(inputs); start += 100 {
		var batch []sdk.Change
		for n := start; n < min(start+100, len(inputs)); n++ {
			batch = append(batch, sdk.Change{Identity: sdktest.ID(n), Owner: ownerOf(n), Input: inputs[n]})
		}
		x.Apply(batch)
	}
}

func ownerOf(n int) sdk.Owner {
	if n%10 == 7 {
		return 2
	}
	return 1
}

const packageFields = `{"fields":["/package","/section","/priority","/architecture","/source","/homepage","/depends","/installed_size","/tags"]}`

// TestPackagesAgreeWithPlainCode asks an index of the package index hundreds of random predicates.
func TestPackagesAgreeWithPlainCode(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	inputs, all := packages(t)
	numbers := make(map[sdk.Identity]int)
	for n := range inputs {
		numbers[sdktest.ID(n)] = n
	}
	every, everything := inputs, all
	for options, predicates := range map[string]int{packageFields: 200, "": 100} {
		inputs, all = every, everything
		if options == "" {
			inputs, all = every[:10_000], everything[:10_000] // enough, in a part of the time
		}
		x := newIndex(t, options)
		load(x, inputs)
		r := rand.New(rand.NewPCG(1, 2))
		for range predicates {
			text, match := realPredicate(r, all, 3)
			owner := sdk.Owner(r.IntN(3)) // 0: of all owners
			found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(text), Limit: len(inputs), Owner: owner})
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			want := 0
			for n := range all {
				if match(&all[n]) && (owner == 0 || owner == ownerOf(n)) {
					want++
				}
			}
			right := 0
			for _, id := range found {
				if n := numbers[id]; match(&all[n]) && (owner == 0 || owner == ownerOf(n)) {
					right++
				}
			}
			if right != want || len(found) != want {
				t.Errorf("%s of owner %d finds %d packages, of which %d match; want %d", text, owner, len(found), right, want)
			}
		}
	}
}

// BenchmarkPackages measures queries of ten objects, insertion, restoring and memory.
func BenchmarkPackages(b *testing.B) {
	inputs, _ := packages(b)
	for _, options := range []string{packageFields, ""} {
		b.Run("fields="+map[bool]string{true: "all", false: "nine"}[options == ""], func(b *testing.B) { benchmark(b, options, inputs) })
	}
}

func benchmark(b *testing.B, options string, inputs [][]byte) {
	before := heapSize()
	x := newIndex(b, options)
	load(x, inputs)
	perObject := float64(heapSize()-before) / float64(len(inputs))
	b.Run("insert", func(b *testing.B) {
		for b.Loop() {
			load(newIndex(b, options), inputs)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(inputs)), "ns/object")
		b.ReportMetric(perObject, "bytes/object")
	})
	var entries []sdk.Entry
	saved := 0
	for n := range inputs {
		e, _ := x.Entry(sdktest.ID(n).Value())
		e.Data = []byte(string(e.Data))
		entries = append(entries, e)
		saved += len(e.Data)
	}
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			again := newIndex(b, options)
			for _, e := range entries {
				again.Restore(e)
			}
			again.Restored()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(inputs)), "ns/object")
		b.ReportMetric(float64(saved)/float64(len(inputs)), "saved-bytes/object")
	})
	for _, q := range []struct {
		predicate string
		limit     int
	}{
		{`package = "bash"`, 10},
		{`section = "devel" and priority in ("optional", "extra") and not tags has "role::program" and exists homepage`, 10},
		{`section = "devel" and tags has "implemented-in::c"`, 10},
		{`missing homepage or section in ("libs", "doc", "python")`, 10},
		{`missing homepage or section in ("libs", "doc", "python")`, len(inputs)},
		{`all`, len(inputs)},
	} {
		b.Run(fmt.Sprintf("%.30s,limit=%d", strings.ReplaceAll(q.predicate, " ", ""), q.limit), func(b *testing.B) {
			found := 0
			for b.Loop() {
				ids, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(q.predicate), Limit: q.limit})
				if err != nil {
					b.Fatal(err)
				}
				found = len(ids)
			}
			b.ReportMetric(float64(found), "found")
		})
	}
}

func heapSize() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
