package sdk_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"motte/core/taskwire"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// counted yields the first n identities of the tests, and counts in taken how many were taken.
func counted(n int, taken *int) iter.Seq[sdk.Identity] {
	return func(yield func(sdk.Identity) bool) {
		for i := range n {
			*taken++
			if !yield(sdktest.ID(i)) {
				return
			}
		}
	}
}

// answers decodes the frames of a Task that answer the query of number 2.
func answers(t *testing.T, frames []byte) (list []taskwire.Answer) {
	t.Helper()
	in := bytes.NewReader(frames)
	for in.Len() > 0 {
		a, err := taskwire.ReadAnswer(in, make([]byte, taskwire.MaxAnswerFrame))
		if err != nil {
			t.Fatal(err)
		}
		if a.Type != taskwire.Applied {
			list = append(list, a)
		}
	}
	return list
}

// TestAnswerStopsAtTheLimit: an answer has at most as many identities as the limit, in as few
// frames as hold them. It says that more match exactly if the index yields another one, and the
// kit takes no further identity from the index.
func TestAnswerStopsAtTheLimit(t *testing.T) {
	const chunk = taskwire.MaxChunk
	for _, c := range []struct{ matches, limit int }{
		{0, 1}, {1, 1}, {2, 1}, {1, 2}, {2, 2}, {3, 2}, {1000, 10},
		{chunk - 1, chunk}, {chunk, chunk}, {chunk + 1, chunk}, {chunk, chunk + 1}, {chunk + 1, chunk + 1},
		{2*chunk - 1, 2 * chunk}, {2 * chunk, 2 * chunk}, {2*chunk + 1, 2 * chunk}, {2*chunk + 2, 2*chunk + 1},
		{4 * chunk, 2*chunk - 1}, {4 * chunk, 1 << 20},
	} {
		taken := 0
		w := &witness{search: func(sdk.Query) (iter.Seq[sdk.Identity], error) {
			return counted(c.matches, &taken), nil
		}}
		out, err := serve(w, taskwire.AppendSearch(configure(), 2, &taskwire.Query{Limit: uint32(c.limit)}))
		if err != nil {
			t.Fatal(err)
		}
		want := min(c.matches, c.limit)
		state := taskwire.StateLast
		if c.matches > c.limit {
			state = taskwire.StateMore
		}
		list := answers(t, out)
		if frames := max(1, (want+chunk-1)/chunk); len(list) != frames {
			t.Errorf("%d matches, limit %d: %d frames, want %d", c.matches, c.limit, len(list), frames)
		}
		var found []sdk.Identity
		for i, a := range list {
			found = append(found, a.Found...)
			wantState := taskwire.StateContinues
			if i == len(list)-1 {
				wantState = state
			}
			if a.Type != taskwire.Found || a.Seq != 2 || a.State != wantState {
				t.Errorf("%d matches, limit %d: frame %d is of type %d and state %d, want state %d",
					c.matches, c.limit, i, a.Type, a.State, wantState)
			}
		}
		var all int
		if first := slices.Collect(counted(want, &all)); !slices.Equal(found, first) {
			t.Errorf("%d matches, limit %d: not the first %d identities", c.matches, c.limit, want)
		}
		if most := min(c.matches, c.limit+1); taken != most {
			t.Errorf("%d matches, limit %d: %d identities are taken, want %d", c.matches, c.limit, taken, most)
		}
	}
}

// TestAnswersFollowEachOther: an answer does not begin with a rest of the answer before it.
func TestAnswersFollowEachOther(t *testing.T) {
	c := sdktest.Start(t, &recorder{}, config)
	ids := c.InsertAll(0, make([]string, taskwire.MaxChunk+2))
	for _, limit := range []int{1, len(ids) - 1, 1, len(ids), len(ids) + 1, 2} {
		found, more, err := c.Ask(sdk.Query{Limit: limit})
		if want := min(limit, len(ids)); err != nil || len(found) != want || more != (limit < len(ids)) {
			t.Errorf("limit %d: %d found, more is %v, %v; want %d found, more %v",
				limit, len(found), more, err, want, limit < len(ids))
		}
	}
}

// TestNilSequenceIsEmpty: an index without a match may return nil.
func TestNilSequenceIsEmpty(t *testing.T) {
	c := sdktest.Start(t, &witness{}, config)
	if found, more, err := c.Ask(sdk.Query{Limit: 1}); err != nil || more || len(found) > 0 {
		t.Errorf("%x, more is %v, %v; want an empty answer", found, more, err)
	}
}

// TestErrorsOfSearch: each error is told by its number alone. The index serves on.
func TestErrorsOfSearch(t *testing.T) {
	var err error
	c := sdktest.Start(t, &witness{search: func(sdk.Query) (iter.Seq[sdk.Identity], error) {
		return nil, err
	}}, config)
	before := []sdk.Identity{sdktest.ID(1)}
	for _, tc := range []struct {
		err   error
		after []sdk.Identity
		want  error
	}{
		{errors.New("any"), nil, sdktest.ErrQueryRefused},
		{errors.New("any"), before, sdktest.ErrQueryRefused},
		{sdk.ErrTooExpensive, nil, sdktest.ErrTooExpensive},
		{sdk.ErrTooExpensive, before, sdktest.ErrTooExpensive},
		{fmt.Errorf("here: %w", sdk.ErrTooExpensive), nil, sdktest.ErrTooExpensive},
		{sdk.ErrGone, before, sdktest.ErrGone},
		{fmt.Errorf("here: %w", sdk.ErrGone), before, sdktest.ErrGone},
		{sdk.ErrGone, nil, sdktest.ErrQueryRefused}, // the Core does not allow this failure for a first page
		{nil, before, nil},
	} {
		err = tc.err
		if _, _, got := c.Ask(sdk.Query{Limit: 1, After: tc.after}); got != tc.want {
			t.Errorf("%v with %d identities before the page: the Core gets %v, want %v", tc.err, len(tc.after), got, tc.want)
		}
	}
}

// TestAfter: a page begins after the first identity of after that the sequence has.
func TestAfter(t *testing.T) {
	ids := func(numbers ...int) (list []sdk.Identity) {
		for _, n := range numbers {
			list = append(list, sdktest.ID(n))
		}
		return list
	}
	for _, c := range []struct {
		name       string
		all, after []sdk.Identity
		want       []sdk.Identity
		err        error
	}{
		{"the first page", ids(1, 2, 3), nil, ids(1, 2, 3), nil},
		{"the first page of an empty answer", nil, nil, nil, nil},
		{"after the first", ids(1, 2, 3), ids(1), ids(2, 3), nil},
		{"after the last", ids(1, 2, 3), ids(3), nil, nil},
		{"the first of after counts", ids(1, 2, 3), ids(2, 1), ids(3), nil},
		{"the first of after counts, in another order", ids(1, 2, 3), ids(1, 2), ids(2, 3), nil},
		{"those that are gone are passed over", ids(1, 2, 3), ids(9, 8, 2, 1), ids(3), nil},
		{"only the last of after is left", ids(1, 2, 3), ids(9, 8, 7, 6, 5, 4, 10, 1), ids(2, 3), nil},
		{"all are gone", ids(1, 2, 3), ids(9, 8), nil, sdk.ErrGone},
		{"all are gone of an empty answer", nil, ids(1), nil, sdk.ErrGone},
	} {
		taken := 0
		all := func(yield func(sdk.Identity) bool) {
			for _, id := range c.all {
				taken++
				if !yield(id) {
					return
				}
			}
		}
		page, err := sdk.After(all, c.after)
		looked := taken
		switch {
		case err != c.err:
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		case err == nil && !slices.Equal(slices.Collect(page), c.want):
			t.Errorf("%s: %x, want %x", c.name, slices.Collect(page), c.want)
		case len(c.after) > 0 && slices.Contains(c.all, c.after[0]) && looked != slices.Index(c.all, c.after[0])+1:
			t.Errorf("%s: it looks at %d identities to find the first of after", c.name, looked)
		}
		if err != nil {
			continue
		}
		taken = 0
		for range page {
			break
		}
		if most := len(c.all) - len(c.want) + 1; taken > most {
			t.Errorf("%s: the first identity of the page takes %d, want at most %d", c.name, taken, most)
		}
	}
}

// TestPagesMakeTheWholeAnswer: pages of any size, one after the other, have each object once,
// also if the objects before a page are removed meanwhile.
func TestPagesMakeTheWholeAnswer(t *testing.T) {
	for size := 1; size < 12; size++ {
		c := sdktest.Start(t, &recorder{}, config)
		all := c.InsertAll(0, make([]string, 30))
		q := sdk.Query{Limit: size}
		var found []sdk.Identity
		for more := true; more; {
			var page []sdk.Identity
			var err error
			if page, more, err = c.Ask(q); err != nil {
				t.Fatalf("pages of %d: %v after %d objects", size, err, len(found))
			}
			found = append(found, page...)
			q.After = nil
			for i := 1; i <= min(8, len(found)); i++ {
				q.After = append(q.After, found[len(found)-i])
			}
			if size > 1 && len(q.After) > 1 { // the last object of the page goes
				c.Remove(q.After[0])
			}
		}
		if !slices.Equal(found, all) {
			t.Errorf("pages of %d have %d objects, want all %d in their order", size, len(found), len(all))
		}
	}
}

// TestOnlyCandidatesAreNamed: of an index that ignores the candidates, the kit names those that
// match, in the order of the index and up to the limit, and takes nothing after the last of them.
func TestOnlyCandidatesAreNamed(t *testing.T) {
	const objects = 100
	taken := 0
	c := sdktest.Start(t, &witness{search: func(q sdk.Query) (iter.Seq[sdk.Identity], error) {
		return sdk.After(counted(objects, &taken), q.After)
	}}, config)
	c.InsertAll(0, make([]string, objects))
	ids := func(numbers ...int) (list []sdk.Identity) {
		for _, n := range numbers {
			list = append(list, sdktest.ID(n))
		}
		return list
	}
	for _, tc := range []struct {
		name   string
		within []sdk.Identity
		after  []sdk.Identity
		limit  int
		want   []sdk.Identity
		more   bool
		taken  int
	}{
		{"a few", ids(3, 17, 50), nil, 10, ids(3, 17, 50), false, 51},
		{"the limit", ids(3, 17, 50), nil, 3, ids(3, 17, 50), false, 51},
		{"more than the limit", ids(3, 17, 50), nil, 2, ids(3, 17), true, 51},
		{"one that does not match", ids(3, 1000), nil, 10, ids(3), false, objects},
		{"one of another version", append(ids(3), sdktest.Version(4, 1)), nil, 10, ids(3), false, objects},
		{"none that matches", ids(1000, 1001), nil, 10, nil, false, objects},
		{"all", sdktest.Candidates(objects), nil, objects, ids(slices.Collect(numbers(objects))...), false, objects},
		{"a page after a candidate", ids(3, 17, 50), ids(17), 10, ids(50), false, 18 + objects},
		{"a page after another object", ids(3, 17, 50), ids(30, 3), 10, ids(50), false, 31 + objects},
		{"a page of one", ids(3, 17, 50), ids(2), 1, ids(3), true, 3 + 18},
	} {
		taken = 0
		slices.SortFunc(tc.within, sdk.Identity.Compare)
		found, more, err := c.Ask(sdk.Query{Limit: tc.limit, Within: tc.within, After: tc.after})
		if err != nil || more != tc.more || !slices.Equal(found, tc.want) || taken != tc.taken {
			t.Errorf("%s: %d found, more is %v, %d taken, %v; want %d, %v, %d", tc.name, len(found), more, taken, err,
				len(tc.want), tc.more, tc.taken)
		}
	}
}

func numbers(n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := 0; i < n && yield(i); i++ {
		}
	}
}

// TestCandidates: an index looks at the candidates, and at the objects after which a page begins.
func TestCandidates(t *testing.T) {
	within := sdktest.Candidates(3)
	q := sdk.Query{Within: within, After: []sdk.Identity{sdktest.ID(7), sdktest.ID(1), sdktest.ID(7), sdktest.ID(8)}}
	want := append(slices.Clone(within), sdktest.ID(7), sdktest.ID(8))
	if got := slices.Collect(q.Candidates()); !slices.Equal(got, want) {
		t.Errorf("the candidates are %x, want %x", got, want)
	}
	for i := range 10 {
		if id := sdktest.ID(i); q.Candidate(id) != slices.Contains(want, id) {
			t.Errorf("ID(%d) is a candidate: %v", i, q.Candidate(id))
		}
	}
	for n := range len(want) {
		taken := 0
		for range q.Candidates() {
			if taken++; taken > n {
				break
			}
		}
	}
	if q.Within = nil; !q.Candidate(sdktest.ID(9)) {
		t.Error("without candidates, an object is none")
	}
}

// TestOwnersAreTold: an index learns the owner of each object, and of each query.
func TestOwnersAreTold(t *testing.T) {
	w := &witness{}
	c := sdktest.Start(t, w, config)
	c.InsertOf(7, sdktest.ID(1), "x")
	c.Insert(sdktest.ID(2), "x")
	c.Remove(sdktest.ID(1))
	for i, want := range []sdk.Owner{7, 1, sdk.AllOwners} {
		if got := w.changes[i].Owner; got != want {
			t.Errorf("change %d is of owner %d, want %d", i, got, want)
		}
	}
	for _, owner := range []sdk.Owner{sdk.AllOwners, 7} {
		if _, _, err := c.Ask(sdk.Query{Limit: 1, Owner: owner}); err != nil {
			t.Fatal(err)
		}
		q := w.queries[len(w.queries)-1]
		if q.Owner != owner || !q.Wants(7) || q.Wants(8) != (owner == sdk.AllOwners) {
			t.Errorf("a query of owner %d: the index gets %+v; it wants 7: %v, 8: %v", owner, q, q.Wants(7), q.Wants(8))
		}
	}
}
