package highlight

import (
	"motte/tasks/text/analysis"
	"motte/tasks/text/grammar"
)

// words is a word of the predicate, or several in an order.
type words struct {
	field    string
	elements []element
}

// element decides which terms of a text it stands for.
type element struct {
	at      int
	dense   bool // the term is a pair of characters, both of which are meant
	matches func(text string, dense bool) bool
}

func newWords(w grammar.Words, d *grammar.Dialect) words {
	edits := w.Edits
	if edits == 0 && d.Typos {
		edits = w.Tolerance()
	}
	list := words{field: w.Field}
	for _, e := range w.Elements {
		list.elements = append(list.elements, newElement(e, &d.Language, edits))
	}
	return list
}

func newElement(e grammar.Element, l *analysis.Language, edits int) element {
	x := element{at: e.At}
	switch e.Kind {
	case grammar.Glob:
		pattern := []rune(e.Text)
		unbounded := func(int) bool { return true }
		x.matches = func(text string, dense bool) bool { return !dense && analysis.Fits(text, pattern, unbounded) }
	case grammar.Prefix:
		x.matches = func(text string, dense bool) bool {
			return dense && len(text) >= len(e.Text) && text[:len(e.Text)] == e.Text
		}
	default:
		x.dense = grammar.IsDense(e.Text)
		stem := e.Text
		if !x.dense {
			stem = l.Stem(e.Text)
		}
		distances := analysis.NewDistances(e.Text, edits)
		x.matches = func(text string, dense bool) bool {
			if text == e.Text || dense || x.dense {
				return text == e.Text
			}
			if edits > 0 {
				if distances.Read(text); distances.Distance() <= edits {
					return true
				}
			}
			return l.HasStems() && l.Stem(text) == stem
		}
	}
	return x
}

// match returns the end of the words at the beginning of some terms, or 0 if these are others.
func (w *words) match(terms []term) (end int) {
	for _, e := range w.elements {
		if e.at >= len(terms) {
			return 0
		}
		t := &terms[e.at]
		if !e.matches(t.text, t.at.Dense) {
			return 0
		}
		if end = t.at.End; e.dense {
			end = t.at.Start + len(t.text)
		}
	}
	return end
}
