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

// TestManyStringsAreCut: expressions of which the parts have more strings than are combined still find all
// texts that match, and compare few others.
func TestManyStringsAreCut(t *testing.T) {
	var samples []string
	for n := range 2000 {
		samples = append(samples, fmt.Sprintf("%03dx%03d %c%c-%x", n/2, 999-n/2, 'a'+n%26, 'z'-n%25, n*7919))
	}
	samples = append(samples, "12x345", "123x45", "1234567", "123 x 456")
	x := newIndex(t, "")
	for n, s := range samples {
		x.hold(sdktest.ID(n), 1, texts{}.add(0, []byte(s)))
	}
	for expression, most := range map[string]uint64{
		`[0-9]{3}x[0-9]{3}`:       2002,
		`[0-9]{3}x99[0-9]{3}`:     20,
		`[0-4]{2}5x[0-9]{3}`:      400,
		`[a-z]{2}-[0-9a-f]{2}`:    2004, // nothing is known
		`[a-f][s-z]-[0-9a-f]{2}0`: 700,
		`x[0-9]{2}7 [a-c]`:        400,
	} {
		parsed, err := syntax.Parse(expression, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		need := needOfExpression(parsed.Simplify())
		run := evaluation{index: x, work: maxWork}
		candidates := need.find(&run, x.objects.All())
		re := regexp.MustCompile(expression)
		for n, s := range samples {
			at, _ := x.objects.Find(sdktest.ID(n).Value())
			if re.MatchString(s) && !candidates.Contains(at) {
				t.Fatalf("/%s/ matches %q, which is no candidate", expression, s)
			}
		}
		if n := candidates.GetCardinality(); n > most {
			t.Errorf("/%s/ has %d candidates, want at most %d", expression, n, most)
		}
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
