package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"motte/internal/realdata"
	"motte/sdk"
	"motte/sdk/sdktest"
)

func quote(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// realPredicate returns a random predicate about packages, and the function that it stands for.
func realPredicate(r *rand.Rand, all []realdata.Package, depth int) (string, func(*realdata.Package) bool) {
	p := &all[r.IntN(len(all))]
	choices := 7
	if depth > 0 {
		choices = 10
	}
	switch r.IntN(choices) {
	case 0:
		return "object.section == " + quote(p.Section), func(o *realdata.Package) bool { return o.Section == p.Section }
	case 1:
		return fmt.Sprintf("object.size > %d && object.size <= %d", p.Size, 3*p.Size),
			func(o *realdata.Package) bool { return o.Size > p.Size && o.Size <= 3*p.Size }
	case 2:
		if len(p.Tags) == 0 {
			return "!has(object.tags)", func(o *realdata.Package) bool { return len(o.Tags) == 0 }
		}
		tag := p.Tags[r.IntN(len(p.Tags))]
		return "has(object.tags) && " + quote(tag) + " in object.tags", func(o *realdata.Package) bool { return slices.Contains(o.Tags, tag) }
	case 3:
		prefix := p.Package[:1+r.IntN(len(p.Package))]
		return "object.package.startsWith(" + quote(prefix) + ")", func(o *realdata.Package) bool { return strings.HasPrefix(o.Package, prefix) }
	case 4:
		pattern := "(^|, )" + regexp.QuoteMeta(p.Package) + "( |,|$)"
		re := regexp.MustCompile(pattern)
		return "object.?depends.orValue('').matches(" + quote(pattern) + ")", func(o *realdata.Package) bool { return re.MatchString(o.Depends) }
	case 5:
		return "object.?homepage.orValue('').size() > 30 && has(object.homepage)", func(o *realdata.Package) bool { return len([]rune(o.Homepage)) > 30 }
	case 6:
		return "object.?tags.orValue([]).exists(t, t.startsWith('role::')) ", func(o *realdata.Package) bool {
			return slices.ContainsFunc(o.Tags, func(t string) bool { return strings.HasPrefix(t, "role::") })
		}
	case 7:
		text, match := realPredicate(r, all, depth-1)
		return "!(" + text + ")", func(o *realdata.Package) bool { return !match(o) }
	case 8:
		a, matchA := realPredicate(r, all, depth-1)
		b, matchB := realPredicate(r, all, depth-1)
		return "(" + a + ") || (" + b + ")", func(o *realdata.Package) bool { return matchA(o) || matchB(o) }
	}
	a, matchA := realPredicate(r, all, depth-1)
	b, matchB := realPredicate(r, all, depth-1)
	return "(" + a + ") && (" + b + ")", func(o *realdata.Package) bool { return matchA(o) && matchB(o) }
}

// packages returns every step-th object of the package index that has a section, and what it stands for.
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
		if p.Section != "" && p.Size > 0 {
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
	for n, input := range inputs {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: ownerOf(n), Input: input}})
	}
}

// TestPackagesAgreeWithPlainCode asks an index of packages hundreds of random predicates.
func TestPackagesAgreeWithPlainCode(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	inputs, all := packages(t, 30)
	x := newIndex(t, "")
	load(x, inputs)
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		text, match := realPredicate(r, all, 3)
		owner := sdk.Owner(r.IntN(3)) // 0: of all owners
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(text), Limit: len(inputs), Owner: owner})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		var want []sdk.Identity
		for n := range all {
			if match(&all[n]) && (owner == 0 || owner == ownerOf(n)) {
				want = append(want, sdktest.ID(n))
			}
		}
		slices.SortFunc(want, sdk.Identity.Compare)
		if !slices.Equal(found, want) {
			t.Errorf("%s of owner %d finds %d packages, want %d", text, owner, len(found), len(want))
		}
	}
}

// BenchmarkPackages measures scans of the package index, insertion and restoring.
func BenchmarkPackages(b *testing.B) {
	inputs, _ := packages(b, 1)
	x := newIndex(b, "")
	load(x, inputs)
	b.Run("insert", func(b *testing.B) {
		for n := 0; b.Loop(); n++ {
			n %= len(inputs)
			x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: ownerOf(n), Input: inputs[n]}})
		}
	})
	var entries []sdk.Entry
	for n := range inputs {
		e, _ := x.Entry(sdktest.ID(n).Value())
		entries = append(entries, e)
	}
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			again := newIndex(b, "")
			for _, e := range entries {
				again.Restore(e)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(inputs)), "ns/object")
	})
	for _, predicate := range []string{
		`object.package == "bash"`,
		`object.section == "devel" && object.size > 1000000 && "role::program" in object.tags`,
		`object.description.contains("encryption")`,
		`object.tags.exists(t, t.startsWith("use::") && t.endsWith("ing"))`,
	} {
		b.Run(predicate, func(b *testing.B) {
			steps := 0
			for b.Loop() {
				program, err := x.language.compile([]byte(predicate))
				if err != nil {
					b.Fatal(err)
				}
				run := evaluation{program: program, steps: maxSteps}
				if _, err := x.find(&sdk.Query{Limit: len(inputs)}, &run); err != nil {
					b.Fatal(err)
				}
				steps = maxSteps - run.steps
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(inputs)), "ns/object")
			b.ReportMetric(float64(steps)/float64(len(inputs)), "steps/object")
		})
	}
}
