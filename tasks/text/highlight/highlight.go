// Package highlight finds in a text the words for which a predicate of the Task text asks. It works at the
// client: the Task answers with identities alone, and the client has the objects.
package highlight

import (
	"slices"
	"strings"

	"motte/tasks/text/analysis"
	"motte/tasks/text/grammar"
)

// Highlighter finds the words of one predicate. It is not safe for several goroutines at once.
type Highlighter struct {
	dialect grammar.Dialect
	words   []words
}

// Range is a part of a text, in bytes.
type Range struct{ Start, End int }

// New returns a highlighter for a predicate. The dialect is that of the index: see [grammar.DialectOf].
func New(d grammar.Dialect, predicate string) (*Highlighter, error) {
	n, err := d.Parse(predicate)
	if err != nil {
		return nil, err
	}
	h := &Highlighter{dialect: d}
	h.add(n)
	return h, nil
}

// add adds the words of a part of the predicate, except those that must not be found.
func (h *Highlighter) add(n grammar.Node) {
	switch n := n.(type) {
	case grammar.Or:
		h.addAll(n)
	case grammar.And:
		h.addAll(n)
	case grammar.Group:
		h.addAll(n.Must)
		h.addAll(n.Should)
	case grammar.Weighted:
		h.add(n.Node)
	case grammar.Words:
		h.words = append(h.words, newWords(n, &h.dialect))
	}
}

func (h *Highlighter) addAll(list []grammar.Node) {
	for _, n := range list {
		h.add(n)
	}
}

// term is a term of the text.
type term struct {
	text string
	at   analysis.Run
}

// Find returns the parts of a text in a field that the predicate finds, in ascending order. They do not overlap.
// The field "" stands for a field whose name is not known.
func (h *Highlighter) Find(field, text string) (found []Range) {
	placed := h.dialect.Language.FoldPlaced(text)
	var terms []term
	analysis.Terms(placed.Text, func(text string, at analysis.Run) { terms = append(terms, term{text, at}) })
	for i := range h.words {
		w := &h.words[i]
		if field != "" && w.field != "" && w.field != field {
			continue
		}
		for at := range terms {
			if end := w.match(terms[at:]); end > 0 {
				start, end := placed.Place(terms[at].at.Start, end)
				found = append(found, Range{start, end})
			}
		}
	}
	slices.SortFunc(found, func(a, b Range) int { return a.Start - b.Start })
	return merged(found)
}

// merged joins parts that overlap.
func merged(sorted []Range) (list []Range) {
	for _, r := range sorted {
		if last := len(list) - 1; last >= 0 && r.Start <= list[last].End {
			list[last].End = max(list[last].End, r.End)
		} else {
			list = append(list, r)
		}
	}
	return list
}

// Mark returns a text with marks before and behind each part that the predicate finds. It reports whether there is one.
func (h *Highlighter) Mark(field, text, before, behind string) (string, bool) {
	var b strings.Builder
	at := 0
	for _, r := range h.Find(field, text) {
		b.WriteString(text[at:r.Start] + before + text[r.Start:r.End] + behind)
		at = r.End
	}
	b.WriteString(text[at:])
	return b.String(), at > 0
}
