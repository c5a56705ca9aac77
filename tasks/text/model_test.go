package main

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
	"motte/tasks/text/grammar"
)

// textsOf is a model of the index: the words and the owner of each object.
type textsOf map[sdk.Identity]modelText

type modelText struct {
	owner sdk.Owner
	words []string
}

// history draws changes, and applies them to the model.
type history struct {
	held     textsOf
	contents textsOf // of each identity ever held, which determines them
}

var drawWord = rapid.SampledFrom([]string{"a", "b", "c", "d"})

func drawIdentity(t *rapid.T) sdk.Identity {
	return sdktest.Version(rapid.IntRange(0, 40).Draw(t, "object"), rapid.IntRange(0, 3).Draw(t, "version"))
}

func (h *history) draw(t *rapid.T) sdk.Change {
	id := drawIdentity(t)
	for old := range h.held {
		if old.Value() == id.Value() {
			delete(h.held, old)
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "remove") == 0 {
		return sdk.Change{Identity: id, Remove: true}
	}
	d, ok := h.contents[id]
	if !ok {
		d.owner = sdk.Owner(rapid.Uint64Range(1, 3).Draw(t, "owner"))
		d.words = rapid.SliceOfN(drawWord, 0, 4).Draw(t, "words")
		h.contents[id] = d
	}
	h.held[id] = d
	return sdk.Change{Identity: id, Owner: d.owner, Input: []byte(strings.Join(d.words, " "))}
}

// question is a query, and the function that its predicate stands for.
type question struct {
	sdk.Query
	match func(words []string) bool
}

func drawQuestion(t *rapid.T) (q question) {
	v, w := drawWord.Draw(t, "v"), drawWord.Draw(t, "w")
	has := slices.Contains[[]string]
	var text string
	switch rapid.IntRange(0, 8).Draw(t, "form") {
	case 0:
		text, q.match = "", func([]string) bool { return true }
	case 1:
		text, q.match = v, func(words []string) bool { return has(words, v) }
	case 2:
		text, q.match = v+" "+w, func(words []string) bool { return has(words, v) || has(words, w) }
	case 3:
		text, q.match = "+"+v+" +"+w, func(words []string) bool { return has(words, v) && has(words, w) }
	case 4:
		text, q.match = "+"+v+" -"+w+" c d", func(words []string) bool { return has(words, v) && !has(words, w) }
	case 5:
		text, q.match = "-"+v, func(words []string) bool { return !has(words, v) }
	case 6:
		text = `"` + v + " " + w + `"`
		q.match = func(words []string) bool { return strings.Contains(strings.Join(words, " "), v+" "+w) }
	case 8:
		text = "nested"
	case 7: // many words
		text = v + "* " + strings.Repeat(w+" ", 12)
		q.match = func(words []string) bool { return has(words, v) || has(words, w) }
	}
	if text == "nested" {
		text, q.match = drawNested(t, 3)
	}
	q.Predicate = []byte(text)
	q.Limit = rapid.IntRange(1, 10).Draw(t, "limit")
	q.Owner = sdk.Owner(rapid.Uint64Range(0, 4).Draw(t, "owner"))
	if rapid.IntRange(0, 2).Draw(t, "candidates") == 0 {
		for range rapid.IntRange(1, 20).Draw(t, "within") {
			q.Within = append(q.Within, drawIdentity(t))
		}
		slices.SortFunc(q.Within, compare)
		q.Within = slices.Compact(q.Within)
	}
	return q
}

// drawNested draws a predicate with parentheses, and the function that it stands for.
func drawNested(t *rapid.T, depth int) (string, func([]string) bool) {
	form := rapid.IntRange(0, 6).Draw(t, "nested")
	if depth == 0 || form == 0 {
		w := drawWord.Draw(t, "word")
		return w, func(words []string) bool { return slices.Contains(words, w) }
	}
	a, isA := drawNested(t, depth-1)
	b, isB := drawNested(t, depth-1)
	switch form {
	case 1:
		return "(" + a + ") AND (" + b + ")", func(w []string) bool { return isA(w) && isB(w) }
	case 2:
		return "(" + a + ") OR (" + b + ")", func(w []string) bool { return isA(w) || isB(w) }
	case 3:
		return "(" + a + ") AND NOT (" + b + ")", func(w []string) bool { return isA(w) && !isB(w) }
	case 4:
		return "-(" + a + ")", func(w []string) bool { return !isA(w) }
	case 5:
		return "+(" + a + ") -(" + b + ") c", func(w []string) bool { return isA(w) && !isB(w) }
	}
	return "(" + a + ") (" + b + ")", func(w []string) bool { return isA(w) || isB(w) }
}

// find returns the objects of the model that match, in the order of their values.
func (m textsOf) find(q *question) (ids []sdk.Identity) {
	for id, d := range m {
		if q.match(d.words) && q.Wants(d.owner) && (len(q.Within) == 0 || slices.Contains(q.Within, id)) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, compare)
	return ids
}

func compare(a, b sdk.Identity) int { return slices.Compare(a[:], b[:]) }

// behind returns the part of an answer behind the first of after that the model holds.
func (m textsOf) behind(whole, after []sdk.Identity) ([]sdk.Identity, error) {
	if len(after) == 0 {
		return whole, nil
	}
	for _, id := range after {
		if _, ok := m[id]; ok {
			n := slices.IndexFunc(whole, func(w sdk.Identity) bool { return compare(id, w) < 0 })
			if n < 0 {
				n = len(whole)
			}
			return slices.DeleteFunc(slices.Clone(whole[n:]), func(w sdk.Identity) bool { return slices.Contains(after, w) }), nil
		}
	}
	return nil, sdk.ErrGone
}

// pages asks for all pages of an answer, as the Core does.
func pages(t *rapid.T, x sdk.Index, q question) (all []sdk.Identity) {
	for more := true; more; {
		var ids []sdk.Identity
		var err error
		q.After = sdktest.Next(all)
		if ids, more, err = sdktest.Page(x, q.Query); err != nil || len(ids) < q.Limit && more {
			t.Fatalf("%s: a page of %d, more %v (%v)", q.Predicate, len(ids), more, err)
		}
		all = append(all, ids...)
	}
	return all
}

func configured(t *rapid.T, ordered bool) *index {
	x := &index{}
	if err := x.Configure(sdk.Config{Type: model.TypeText, Ordered: ordered, Options: []byte(`{}`)}); err != nil {
		t.Fatal(err)
	}
	return x
}

// TestIndexAgreesWithAList applies the same random history to an index and to a list. The
// history is so small that runs merge all the time. The index does not rank, so its order is
// that of the list.
func TestIndexAgreesWithAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := configured(t, false)
		h := history{held: make(textsOf), contents: make(textsOf)}
		m := h.held
		check := func(t *rapid.T, q *question) []sdk.Identity {
			want, wantErr := m.behind(m.find(q), q.After)
			ids, more, err := sdktest.Page(x, q.Query)
			if err != wantErr || !slices.Equal(ids, want[:min(q.Limit, len(want))]) || more != (len(want) > q.Limit) {
				t.Fatalf("%s, limit %d, owner %d, after %x: %x, more %v (%v); want %x (%v)",
					q.Predicate, q.Limit, q.Owner, q.After, ids, more, err, want, wantErr)
			}
			return ids
		}
		// A question whose pages are asked with changes in between.
		var open question
		var shown []sdk.Identity
		unchanged := make(map[sdk.Value]bool) // objects that have not changed since they were shown
		t.Repeat(map[string]func(*rapid.T){
			"apply": func(t *rapid.T) {
				var batch []sdk.Change
				for range rapid.IntRange(1, 6).Draw(t, "changes") {
					c := h.draw(t)
					delete(unchanged, c.Identity.Value())
					batch = append(batch, c)
				}
				x.Apply(batch)
			},
			"search behind any identities": func(t *rapid.T) {
				q := drawQuestion(t)
				for range rapid.IntRange(0, 3).Draw(t, "after") {
					q.After = append(q.After, drawIdentity(t))
				}
				check(t, &q)
			},
			"search all pages": func(t *rapid.T) {
				q := drawQuestion(t)
				if all, want := pages(t, x, q), m.find(&q); !slices.Equal(all, want) {
					t.Fatalf("%s, limit %d, owner %d: the pages have %x, want %x", q.Predicate, q.Limit, q.Owner, all, want)
				}
			},
			"restart": func(t *rapid.T) { x = restarted(t, x) },
			"begin pages": func(t *rapid.T) {
				open, shown = drawQuestion(t), nil
				clear(unchanged)
			},
			"next page": func(t *rapid.T) {
				if open.match == nil {
					t.Skip("no pages have begun")
				}
				open.After = sdktest.Next(shown)
				ids := check(t, &open)
				for _, id := range ids {
					if unchanged[id.Value()] {
						t.Fatalf("%s: %x, which has not changed, is shown twice", open.Predicate, id)
					}
					unchanged[id.Value()] = true
				}
				shown = append(shown, ids...)
			},
			"": func(t *rapid.T) {
				if len(x.documents.byValue) != len(m) {
					t.Fatalf("the index has %d objects; want %d", len(x.documents.byValue), len(m))
				}
				checkLists(t, x)
			},
		})
	})
}

// restarted returns a new index with the entries of another.
func restarted(t *rapid.T, x *index) *index {
	next := configured(t, x.ordered)
	for v := range x.documents.byValue {
		if e, ok := x.Entry(v); !ok || e.Identity.Value() != v || !next.Restore(e) {
			t.Fatalf("the entry of %x is %+v, %v; want that it is restored", v, e, ok)
		}
	}
	next.Restored()
	return next
}

// TestPagesOfRankedAnswers compares the pages of an answer, and the answers for each owner, with
// the whole answer of the same index.
func TestPagesOfRankedAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := configured(t, true)
		h := history{held: make(textsOf), contents: make(textsOf)}
		for range rapid.IntRange(1, 10).Draw(t, "batches") {
			var batch []sdk.Change
			for range rapid.IntRange(1, 12).Draw(t, "changes") {
				batch = append(batch, h.draw(t))
			}
			x.Apply(batch)
		}
		q := drawQuestion(t)
		whole := q
		whole.Limit = 1000
		want, _, err := sdktest.Page(x, whole.Query)
		if err != nil {
			t.Fatal(err)
		}
		if all := pages(t, x, q); !slices.Equal(all, want) {
			t.Fatalf("%s, limit %d, owner %d: the pages have %x, want %x", q.Predicate, q.Limit, q.Owner, all, want)
		}
		if got := slices.SortedFunc(slices.Values(want), compare); !slices.Equal(got, h.held.find(&q)) {
			t.Fatalf("%s, owner %d: %x, want %x", q.Predicate, q.Owner, got, h.held.find(&q))
		}
		scores := scoresOf(t, x, &whole)
		whole.Owner = sdk.AllOwners
		of := scoresOf(t, x, &whole)
		for id, score := range scores {
			if diff := score - of[id]; diff > 1e-9 || diff < -1e-9 {
				t.Fatalf("%s: the score of %x is %v for its owner, and %v for all", q.Predicate, id, score, of[id])
			}
		}
		gone := sdktest.Version(1000, 0)
		q.After = []sdk.Identity{gone}
		if _, _, err := sdktest.Page(x, q.Query); err != sdk.ErrGone {
			t.Fatalf("%s: behind an object that is not held: %v, want %v", q.Predicate, err, sdk.ErrGone)
		}
	})
}

// scoresOf returns the score of each object that a ranked answer has.
func scoresOf(t rapid.TB, x *index, q *question) map[sdk.Identity]float64 {
	d := grammar.Dialect{}
	predicate, err := d.Parse(string(q.Predicate))
	if err != nil {
		t.Fatal(err)
	}
	scores := make(map[sdk.Identity]float64)
	s := x.newSearch(maxWork)
	n := s.among(predicate, s.candidates(&q.Query))
	for at := n.seek(0); at != noSlot; at = n.seek(at + 1) {
		scores[x.documents.all[at].id] = n.score()
	}
	return scores
}

// checkLists compares the lists of all terms with the texts of the objects.
func checkLists(t *rapid.T, x *index) {
	type place struct {
		number number
		slot   slot
		field  int
	}
	want := make(map[place]uint64)
	text := make([][]number, len(x.fields))
	for s := range x.documents.all {
		if x.documents.all[s].text == nil {
			continue
		}
		decodeText(x.documents.all[s].text, text)
		for f := range text {
			for _, n := range text[f] {
				if n >= firstTerm {
					want[place{n, slot(s), f}]++
				}
			}
		}
	}
	search := x.newSearch(maxWork)
	for text, n := range x.dictionary.byText {
		l := &x.dictionary.terms[n].list
		if x.dictionary.terms[n].text != text || l.count == 0 {
			t.Fatalf("the term %q has number %d, whose text is %q, with %d objects", text, n, x.dictionary.terms[n].text, l.count)
		}
		count := uint32(0)
		c := search.cursor(l, 1, 1)
		for s := c.seek(0); s != noSlot; s = c.seek(s + 1) {
			count++
			delete(want, place{n, s, 0})
		}
		if count != l.count {
			t.Fatalf("the list of %q says that it has %d objects; it has %d", text, l.count, count)
		}
	}
	if len(want) > 0 {
		t.Fatalf("no list has %v", want)
	}
}
