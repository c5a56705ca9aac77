package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"motte/internal/realdata"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// packageLines returns a line of ASCII for each package: its name and its description. So grep needs not
// know of other characters, with which it is slow.
func packageLines(tb testing.TB) []string {
	tb.Helper()
	var lines []string
	for _, input := range realdata.Packages(tb) {
		var p realdata.Package
		if err := json.Unmarshal(input, &p); err != nil {
			tb.Fatal(err)
		}
		lines = append(lines, strings.Map(func(r rune) rune {
			switch {
			case r == '\n':
				return ' '
			case r >= utf8.RuneSelf:
				return -1
			}
			return r
		}, p.Package+": "+p.Description))
	}
	return lines
}

func load(x *index, inputs []string) {
	for start := 0; start < len(inputs); start += 100 {
		var batch []sdk.Change
		for n := start; n < min(start+100, len(inputs)); n++ {
			batch = append(batch, sdk.Change{Identity: sdktest.ID(n), Owner: 1, Input: []byte(inputs[n])})
		}
		x.Apply(batch)
	}
}

// searchGrep returns the numbers of the lines that grep finds.
func searchGrep(t *testing.T, file string, arguments ...string) map[int]bool {
	t.Helper()
	grep := exec.Command("grep", append([]string{"-a", "-n"}, append(arguments, file)...)...)
	grep.Env = append(os.Environ(), "LC_ALL=C")
	out, err := grep.Output()
	var status *exec.ExitError
	if err != nil && (!errors.As(err, &status) || status.ExitCode() != 1) {
		t.Fatalf("%v: %v", grep.Args, err)
	}
	found := make(map[int]bool)
	for line := range bytes.Lines(out) {
		number, _, _ := bytes.Cut(line, []byte(":"))
		n, err := strconv.Atoi(string(number))
		if err != nil {
			t.Fatal(err)
		}
		found[n-1] = true
	}
	return found
}

// randomPattern returns a random part of a random line, as a predicate and as arguments of grep. Expressions
// are those that both understand in the same way.
func randomPattern(r *rand.Rand, lines []string) (predicate string, arguments []string) {
	line := lines[r.IntN(len(lines))]
	length := min(len(line), 4+r.IntN(8))
	at := r.IntN(len(line) - length + 1)
	part := line[at : at+length]
	fold := r.IntN(3) == 0
	flags := ""
	if fold {
		flags, arguments = "i", []string{"-i"}
	}
	if r.IntN(3) == 0 {
		quoted, _ := json.Marshal(part)
		return string(quoted) + flags, append(arguments, "-F", "-e", part)
	}
	var expression strings.Builder
	if at == 0 && r.IntN(2) == 0 {
		expression.WriteString("^")
	}
	for i, c := range part {
		literal := string(c)
		if strings.ContainsRune(`\.[]{}()*+?|^$`, c) {
			literal = `\` + literal
		}
		switch r.IntN(20) {
		case 0:
			literal = "."
		case 1:
			literal = "[a-z]"
		case 2:
			literal += "+"
		case 3:
			literal = "(" + literal + "|[0-9]x)"
		case 4:
			literal += "?"
		case 5:
			literal = "[^ ]{1,3}"
		case 6:
			if i > 0 && i < len(part)-1 {
				literal = ".*"
			}
		}
		expression.WriteString(literal)
	}
	if at+length == len(line) {
		expression.WriteString("$")
	}
	return "/" + strings.ReplaceAll(expression.String(), "/", `\/`) + "/" + flags, append(arguments, "-E", "-e", expression.String())
}

// TestPackagesAgreeWithGrep asks an index of the package index for random substrings and expressions, and
// for pairs of them.
func TestPackagesAgreeWithGrep(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	if _, err := exec.LookPath("grep"); err != nil {
		t.Skip(err)
	}
	var lines []string
	for n, line := range packageLines(t) {
		if n%16 == 0 { // enough, in a fraction of the time
			lines = append(lines, line)
		}
	}
	file := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	x := newIndex(t, "")
	load(x, lines)
	numbers := make(map[sdk.Identity]int)
	for n := range lines {
		numbers[sdktest.ID(n)] = n
	}
	check := func(predicate string, want func(n int) bool) {
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: len(lines)})
		if err != nil {
			t.Fatalf("%s: %v", predicate, err)
		}
		right, all := 0, 0
		for n := range lines {
			if want(n) {
				all++
			}
		}
		for _, id := range found {
			if want(numbers[id]) {
				right++
			}
		}
		if right != all || len(found) != all {
			t.Errorf("%s finds %d lines, of which grep finds %d; grep finds %d", predicate, len(found), right, all)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	before, beforeFound := `"never"`, searchGrep(t, file, "-F", "-e", "never")
	for n := range 200 {
		predicate, arguments := randomPattern(r, lines)
		found := searchGrep(t, file, arguments...)
		check(predicate, func(n int) bool { return found[n] })
		if n%10 == 0 { // they compare many lines
			check(predicate+" and not "+before, func(n int) bool { return found[n] && !beforeFound[n] })
		}
		before, beforeFound = predicate, found
	}
}

// BenchmarkPackages measures queries of ten objects, insertion, restoring and memory.
func BenchmarkPackages(b *testing.B) {
	lines := packageLines(b)
	size := 0
	for _, line := range lines {
		size += len(line)
	}
	before := heapSize()
	x := newIndex(b, "")
	load(x, lines)
	perByte := float64(heapSize()-before) / float64(size)
	b.Run("insert", func(b *testing.B) {
		for b.Loop() {
			load(newIndex(b, ""), lines)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(lines)), "ns/object")
		b.ReportMetric(perByte, "bytes/byte")
		b.ReportMetric(float64(size)/float64(len(lines)), "text-bytes/object")
		b.ReportMetric(float64(len(x.postings)), "trigrams")
	})
	b.Run("restore", func(b *testing.B) {
		for b.Loop() {
			again := newIndex(b, "")
			for n := range lines {
				e, _ := x.Entry(sdktest.ID(n).Value())
				again.Restore(e)
			}
			again.Restored()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(lines)), "ns/object")
	})
	for _, q := range []struct {
		predicate string
		limit     int
	}{
		{`"metapackage"`, 10},
		{`"metapackage"i`, len(lines)},
		{`^"lib" and "documentation" and not "python"`, 10},
		{`/^lib[a-z]+[0-9]-dev: /`, 10},
		{`/(regex|pattern) matching/i`, 10},
		{`"quantum chromodynamics"`, 10},
		{`/[0-9]{3}x[0-9]{3}/`, 10},
		{`/[0-9]{3}x[0-9]{3}/`, len(lines)},
		{`not "e"`, 10},
	} {
		b.Run(fmt.Sprintf("%s,limit=%d", strings.ReplaceAll(q.predicate, " ", ""), q.limit), func(b *testing.B) {
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
