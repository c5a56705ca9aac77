package main

import (
	"bytes"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"motte/internal/testutil"
)

// TestREADMEShowsTheSizeOfTheCore: the README shows the sum that `motte tcb` prints. Its numbers
// may differ by 1 %, so that a small change of the Core needs no change of the README. To update
// it: go test ./cmd/motte -run TestREADME -update
func TestREADMEShowsTheSizeOfTheCore(t *testing.T) {
	const name, begin, end = "../../README.md", "$ motte tcb | grep tokens\n", "```\n"
	v, err := measureSource()
	if err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	if err := printSizes(&printed, v); err != nil {
		t.Fatal(err)
	}
	table := strings.TrimSpace(printed.String())
	sum := table[strings.LastIndex(table, "\n")+1:] + "\n"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	shown, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("the README has no sum of motte tcb, between %q and %q", begin, end)
	}
	if testutil.Updating() {
		text = []byte(before + begin + sum + end + after)
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, want := strings.Fields(shown), strings.Fields(sum)
	if len(got) != len(want) {
		t.Fatalf("the README shows\n%s\nmotte tcb prints\n%s", shown, sum)
	}
	for i := range want {
		if got[i] != want[i] && !alike(got[i], want[i]) {
			t.Errorf("the README shows %s, motte tcb prints %s", got[i], want[i])
		}
	}
}

var digits = regexp.MustCompile(`[0-9]+`)

// alike reports whether two words differ only in their number, and by little.
func alike(a, b string) bool {
	if digits.ReplaceAllString(a, "") != digits.ReplaceAllString(b, "") {
		return false
	}
	x, errX := strconv.ParseFloat(digits.FindString(a), 64)
	y, errY := strconv.ParseFloat(digits.FindString(b), 64)
	return errX == nil && errY == nil && math.Abs(x-y) <= 10+y/100
}
