package main

import (
	"regexp/syntax"
	"slices"
)

// maxStrings bounds the strings of a set, so that two digits are known. With more strings, the rest of
// the pattern decides.
const maxStrings = 128

// facts is what is known of the texts that a part of a regular expression matches. All strings are
// folded. So the facts hold for both cases of each letter.
type facts struct {
	// exact has all texts that the part matches, folded, if known is true. Then the other fields
	// are not set.
	exact []string
	known bool

	starts []string // each text begins with one of these, which may be empty
	ends   []string // each text ends with one of these, which may be empty
	need   need     // what each text satisfies
}

// nothingKnown are the facts of a part that may match any text.
func nothingKnown() facts { return facts{starts: []string{""}, ends: []string{""}} }

// exactly are the facts of a part that matches some folded texts.
func exactly(texts ...string) facts {
	slices.Sort(texts)
	texts = slices.Compact(texts)
	if len(texts) > maxStrings {
		return open(texts)
	}
	return facts{exact: texts, known: true}
}

// open returns facts of a part that matches some texts, without the whole texts.
func open(texts []string) facts {
	f := facts{starts: starts(texts), ends: ends(texts)}
	if len(texts) <= maxStrings {
		f.need = needOfOne(texts)
	}
	return f
}

// opened returns the same facts without exact.
func (f facts) opened() facts {
	if f.known {
		return open(f.exact)
	}
	return f
}

// edge is the length of a start or end, in bytes. A trigram that lies across two parts has at most
// two bytes of each.
const edge = 2

// starts returns the starts of texts, of the greatest length with which they are at most maxStrings.
func starts(texts []string) []string { return edges(texts, cutStart) }

// ends returns the ends of texts, likewise.
func ends(texts []string) []string { return edges(texts, cutEnd) }

func cutStart(s string, n int) string { return s[:min(len(s), n)] }
func cutEnd(s string, n int) string   { return s[len(s)-min(len(s), n):] }

func edges(texts []string, cut func(s string, n int) string) []string {
	for n := edge; n > 0; n-- {
		if list := cutAll(texts, n, cut); len(list) <= maxStrings {
			return list
		}
	}
	return []string{""}
}

// cutAll returns the distinct edges of texts, of at most n bytes.
func cutAll(texts []string, n int, cut func(s string, n int) string) (list []string) {
	for _, s := range texts {
		list = append(list, cut(s, n))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// derive returns the facts of a simplified regular expression.
func derive(re *syntax.Regexp) facts {
	switch re.Op {
	case syntax.OpNoMatch:
		return exactly()
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return exactly("")
	case syntax.OpLiteral:
		return exactly(string(fold(nil, []byte(string(re.Rune)))))
	case syntax.OpCharClass:
		return deriveClass(re.Rune)
	case syntax.OpCapture:
		return derive(re.Sub[0])
	case syntax.OpConcat:
		f := exactly("")
		for _, sub := range re.Sub {
			f = concat(f, derive(sub))
		}
		return f
	case syntax.OpAlternate:
		var list []facts
		for _, sub := range re.Sub {
			list = append(list, derive(sub))
		}
		return alternate(list)
	case syntax.OpQuest:
		return alternate([]facts{derive(re.Sub[0]), exactly("")})
	case syntax.OpPlus:
		return derive(re.Sub[0]).opened()
	}
	return nothingKnown() // any character, and any number of a part
}

// deriveClass returns the facts of a class of characters, given by its ranges.
func deriveClass(ranges []rune) facts {
	var texts []string
	for i := 0; i < len(ranges); i += 2 {
		low, high := ranges[i], ranges[i+1]
		if int(high-low) >= 4*maxStrings {
			return nothingKnown()
		}
		for r := low; r <= high; r++ {
			texts = append(texts, string(foldRune(r)))
		}
		if len(texts) > 8*maxStrings {
			return nothingKnown()
		}
	}
	return exactly(texts...)
}

// concat returns the facts of a part that another follows.
func concat(a, b facts) facts {
	if a.known && b.known {
		if texts, ok := product(a.exact, b.exact); ok {
			return exactly(texts...)
		}
	}
	first, second := a.opened(), b.opened()
	f := facts{starts: first.starts, ends: second.ends, need: both(first.need, second.need)}
	left, right := first.ends, second.starts
	if a.known {
		left = a.exact
	}
	if b.known {
		right = b.exact
	}
	across, ok := product(left, right)
	if !ok {
		f.need = both(f.need, needAcross(left, right))
		return f
	}
	f.need = both(f.need, needOfOne(across))
	if a.known {
		f.starts = starts(across)
	}
	if b.known {
		f.ends = ends(across)
	}
	return f
}

// needAcross returns the need of texts in which an end is followed by a start. If these are too many to
// combine, fewer bytes of them may not be. A trigram across both has two bytes of one of them.
func needAcross(ends, starts []string) (n need) {
	for left := 1; left <= edge; left++ {
		short := cutAll(ends, left, cutEnd)
		if across, ok := product(short, cutAll(starts, edge+1-left, cutStart)); ok {
			n = both(n, needOfOne(across))
		}
	}
	return n
}

// product returns each string of a with each of b behind it, unless these are too many.
func product(a, b []string) (list []string, ok bool) {
	if len(a)*len(b) > maxStrings {
		return nil, false
	}
	for _, s := range a {
		for _, t := range b {
			list = append(list, s+t)
		}
	}
	return list, true
}

// alternate returns the facts of a part that matches what at least one of some parts matches.
func alternate(list []facts) facts {
	var texts []string
	known := true
	for _, f := range list {
		known = known && f.known
		texts = append(texts, f.exact...)
	}
	if known {
		return exactly(texts...)
	}
	var all facts
	var needs []need
	for _, f := range list {
		f = f.opened()
		all.starts, all.ends = append(all.starts, f.starts...), append(all.ends, f.ends...)
		needs = append(needs, f.need)
	}
	return facts{starts: starts(all.starts), ends: ends(all.ends), need: either(needs)}
}

// needOfExpression returns the need of the texts in which a simplified regular expression matches a part.
func needOfExpression(re *syntax.Regexp) need { return derive(re).opened().need }

// needOfPart returns the need of the texts that contain a part.
func needOfPart(part string) need { return needOfText(string(fold(nil, []byte(part)))) }
