package main

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"regexp/syntax"
	"slices"
	"testing"

	"motte/sdk/sdktest"
)

// randomExpression returns a random expression over a and b.
func randomExpression(r *rand.Rand, depth int) string {
	if depth == 0 || r.IntN(3) == 0 {
		pieces := []string{"a", "b", "ab", "ba", "aab", "abb", ".", "[ab]", "[^a]", "^", "$", `\b`, ".*", "(?i:B)", "(?i:Ab)", ""}
		return pieces[r.IntN(len(pieces))]
	}
	sub := func() string { return randomExpression(r, depth-1) }
	switch r.IntN(4) {
	case 0:
		return "(" + sub() + "|" + sub() + ")"
	case 1:
		repeats := []string{"*", "+", "?", "{2}", "{0,1}", "{2,}", "{3}", "{0}"}
		return "(?:" + sub() + ")" + repeats[r.IntN(len(repeats))]
	}
	return sub() + sub()
}

// holds reports whether a need holds for the trigrams of a text.
func (n *need) holds(trigrams []trigram) bool {
	of := func(part need) bool { return part.holds(trigrams) }
	switch n.kind {
	case allOf:
		missing := func(t trigram) bool { return !slices.Contains(trigrams, t) }
		return !slices.ContainsFunc(n.trigrams, missing) && !slices.ContainsFunc(n.parts, func(part need) bool { return !of(part) })
	case oneOf:
		return slices.ContainsFunc(n.parts, of)
	}
	return true
}

// TestNeedHoldsForAllThatMatch tries many expressions on all short texts of a, b and B. The need
// must hold for each text that matches. On the other hand it must hold for few others, on average.
func TestNeedHoldsForAllThatMatch(t *testing.T) {
	samples := []string{""}
	for n := 0; len(samples[n]) < 6; n++ {
		for _, letter := range []string{"a", "b", "B"} {
			samples = append(samples, samples[n]+letter)
		}
	}
	trigrams := make([][]trigram, len(samples))
	for n, s := range samples {
		trigrams[n] = trigramsOf(string(fold(nil, []byte(s))))
	}
	r := rand.New(rand.NewPCG(1, 2))
	candidates, matching := 0, 0
	for range 700 {
		text := randomExpression(r, 4)
		parsed, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		need := needOfExpression(parsed.Simplify())
		re := regexp.MustCompile(text)
		for n, s := range samples {
			holds := need.holds(trigrams[n])
			if holds {
				candidates++
			}
			if !re.MatchString(s) {
				continue
			}
			if matching++; !holds {
				t.Fatalf("/%s/ matches %q, which does not satisfy %+v", text, s, need)
			}
		}
	}
	if candidates > 2*matching {
		t.Errorf("%d candidates for %d that match: the needs tell too little", candidates, matching)
	}
}

// TestNeedOfCommonExpressions: what is known of expressions that users write. The numbers are those of the
// objects of an index of 1000 texts that are compared with the expression.
func TestNeedOfCommonExpressions(t *testing.T) {
	x := newIndex(t, "")
	for n := range 1000 {
		x.hold(sdktest.ID(n), 1, texts{}.add(0, fmt.Appendf(nil, "package lib%03d-dev of section %c", n, 'a'+n%26)))
	}
	for expression, most := range map[string]uint64{
		`lib007`:              enough,
		`(?i)LIB007`:          enough,
		`^package lib00[0-4]`: 20,
		`lib(007|008)-dev$`:   enough,
		`lib99\d-(dev|doc)`:   20,
		`(lib00)+1`:           20,
		`lib.*999-dev`:        20,
		`zzz|lib123`:          enough,
		`nowhere`:             0,
		`[x-z]{2}q`:           0,
		`section z`:           40,
		`a?b?c?`:              1000,
		`.`:                   1000,
	} {
		parsed, err := syntax.Parse(expression, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		need := needOfExpression(parsed.Simplify())
		run := evaluation{index: x, work: maxWork}
		if n := need.find(&run, x.objects.All()).GetCardinality(); n > most {
			t.Errorf("%s has %d candidates, want at most %d", expression, n, most)
		}
	}
}
