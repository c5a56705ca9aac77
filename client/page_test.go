package client

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"motte/client/frames"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

// numbered returns the identity of the object with this number.
func numbered(n int) (id Identity) {
	binary.BigEndian.PutUint32(id[:], uint32(n))
	return id
}

// indexed stands for a Core with an index, and answers a SEARCH.
type indexed struct {
	objects  int // their numbers are 1, 2, …
	most     int // most results of one answer
	requests chan wire.Request

	missing int                   // the number of an object that can't be shown; 0: no object
	gone    int                   // the number of the SEARCH that is answered Gone; 0: no SEARCH
	lost    bool                  // a truncated answer has no identities for the next page
	ignores bool                  // the Task ignores the place where a page should begin
	spoil   func(p []byte) []byte // changes the body of the End; nil: it stays
}

func (x *indexed) serve(c conn) {
	for q, ok := c.request(); ok; q, ok = c.request() {
		if q.Op != model.OpSearch {
			c.reply(q.Number, wire.KindEnd, 0, nil)
			continue
		}
		x.requests <- q
		x.answer(c, &q)
	}
}

func (x *indexed) answer(c conn, q *wire.Request) {
	after, err := wire.DecodeAfter(q.Object)
	end := wire.ReplyHeader{Kind: wire.KindEnd, Flags: wire.ReplyLast, Number: q.Number}
	if err != nil || x.gone > 0 && len(x.requests) == x.gone {
		end.Code = model.Gone
		c.send(end, nil)
		return
	}
	first := 1
	if len(after) > 0 && !x.ignores {
		first = int(binary.BigEndian.Uint32(after[0][:])) + 1
	}
	want := x.most
	if q.Limit > 0 {
		want = min(want, int(q.Limit))
	}
	last := min(first+want-1, x.objects)
	var next []Identity
	for n := first; n <= last; n++ {
		id := numbered(n)
		next = append([]Identity{id}, next...)
		switch {
		case n == x.missing:
			end.Code = model.Damaged
			c.send(wire.ReplyHeader{Kind: wire.KindMissing, Number: q.Number}, wire.AppendMissing(nil, id, model.Damaged))
		case q.Flags&wire.FlagIDsOnly != 0:
			c.send(wire.ReplyHeader{Kind: wire.KindIdentities, Number: q.Number, Count: 1}, id[:])
		default:
			c.reply(q.Number, wire.KindObject, 0, append(id[:], 0, 0))
		}
	}
	var body []byte
	if end.Count = uint32(len(next)); last < x.objects {
		end.Flags |= wire.ReplyTruncated
		if !x.lost {
			body = frames.AppendIdentities(nil, next[:min(len(next), model.MaxAfter)])
		}
	}
	if x.spoil != nil {
		body = x.spoil(body)
	}
	c.send(end, body)
}

// dial connects to the Core that x stands for.
func (x *indexed) dial(t *testing.T) *Client {
	t.Helper()
	x.requests = make(chan wire.Request, 1000)
	return connect(t, fake(t, x.serve))
}

// numbers returns the numbers of the objects that a sequence shows, and its last error.
func numbers[T any](t *testing.T, list iter.Seq2[T, error], id func(T) Identity) (shown []int, last error) {
	t.Helper()
	for v, err := range list {
		if last != nil {
			t.Fatal("an element follows the error")
		}
		if last = err; err == nil {
			i := id(v)
			shown = append(shown, int(binary.BigEndian.Uint32(i[:])))
		}
	}
	return shown, last
}

func identityOf(o Object) Identity      { return o.Identity }
func identityAsIs(id Identity) Identity { return id }

// countTo returns 1, 2, … n.
func countTo(n int) (list []int) {
	for i := range n {
		list = append(list, i+1)
	}
	return list
}

// TestAShortAnswerNeverLooksComplete: if more objects match, and the answer has fewer objects
// than the limit, its last element is an error. A page always tells that more objects match.
func TestAShortAnswerNeverLooksComplete(t *testing.T) {
	for _, k := range []struct {
		name      string
		index     indexed
		limit     uint32
		shown     int // with the missing ones
		more      bool
		truncated bool // the last element is a TruncatedError
	}{
		{"all objects", indexed{objects: 5, most: 10}, 0, 5, false, false},
		{"all objects, and a limit", indexed{objects: 5, most: 10}, 10, 5, false, false},
		{"a limit that is just reached", indexed{objects: 5, most: 10}, 5, 5, false, false},
		{"a limit that is reached", indexed{objects: 5, most: 10}, 3, 3, true, false},
		{"a limit that is reached with a missing object", indexed{objects: 5, most: 10, missing: 2}, 3, 3, true, false},
		{"no limit", indexed{objects: 20, most: 10}, 0, 10, true, true},
		{"a limit that the Core does not reach", indexed{objects: 20, most: 10}, 15, 10, true, true},
		{"a limit over that of the shared connection", indexed{objects: 20, most: 10}, smallLimit + 1, 10, true, true},
		{"a missing object", indexed{objects: 20, most: 10, missing: 2}, 0, 10, true, true},
		{"the Core can't continue", indexed{objects: 20, most: 10, lost: true}, 0, 10, true, true},
		{"no object", indexed{objects: 20, lost: true}, 0, 0, true, true},
		{"no object with a limit", indexed{objects: 20, lost: true}, 5, 0, true, true},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := k.index.dial(t)
			q := Query{Collection: "c", Index: "x", Limit: k.limit}
			objects, identities := c.SearchPage(q), c.SearchPage(q)
			want := countTo(k.shown)
			if m := k.index.missing; m > 0 {
				want = slices.Delete(want, m-1, m)
			}
			var next []Identity
			for n := k.shown; n > max(0, k.shown-model.MaxAfter) && k.more && !k.index.lost; n-- {
				next = append(next, numbered(n))
			}
			check := func(page *Page, shown []int, err error) {
				t.Helper()
				if !slices.Equal(shown, want) {
					t.Errorf("shown: %v; want %v", shown, want)
				}
				if page.More != k.more || !slices.Equal(page.Next, next) {
					t.Errorf("more: %v, next: %x; want %v, %x", page.More, page.Next, k.more, next)
				}
				var cut *TruncatedError
				if errors.As(err, &cut) != k.truncated || errors.Is(err, ErrTruncated) != k.truncated {
					t.Errorf("the answer ends with %v; truncated: %v", err, k.truncated)
				} else if k.truncated && !slices.Equal(cut.After, next) {
					t.Errorf("the error says that the next page begins after %x; want %x", cut.After, next)
				}
				var missing *MissingError
				if errors.As(err, &missing) != (k.index.missing > 0) {
					t.Errorf("the answer ends with %v; want a MissingError for object %d", err, k.index.missing)
				}
				if err != nil && k.index.missing == 0 && !k.truncated {
					t.Error(err)
				}
			}
			shown, err := numbers(t, objects.Objects(t.Context()), identityOf)
			check(objects, shown, err)
			shown, err = numbers(t, identities.Identities(t.Context()), identityAsIs)
			check(identities, shown, err)
		})
	}
}

// TestSearchAllShowsEveryPage: each object once, in the order of the index.
func TestSearchAllShowsEveryPage(t *testing.T) {
	for _, k := range []struct {
		name          string
		objects, most int
		limit         uint32
		pages         int
	}{
		{"no object", 0, 10, 0, 1},
		{"one page", 10, 10, 0, 1},
		{"one page with a limit", 10, 10, 10, 1},
		{"two pages", 11, 10, 0, 2},
		{"pages of the limit", 25, 100, 10, 3},
		{"pages smaller than the limit", 25, 3, 10, 9},
		{"pages of one object", 5, 1, 1, 5},
		{"pages of the default", 2500, 10_000, 0, 3},
	} {
		t.Run(k.name, func(t *testing.T) {
			x := &indexed{objects: k.objects, most: k.most}
			c := x.dial(t)
			q := Query{Collection: "c", Index: "x", Predicate: "all", Limit: k.limit}
			shown, err := numbers(t, c.SearchAll(t.Context(), q), identityOf)
			if err != nil || !slices.Equal(shown, countTo(k.objects)) {
				t.Errorf("objects %v, %v; want 1 to %d", shown, err, k.objects)
			}
			if len(x.requests) != k.pages {
				t.Errorf("%d searches; want %d", len(x.requests), k.pages)
			}
			shown, err = numbers(t, c.SearchAllIdentities(t.Context(), q), identityAsIs)
			if err != nil || !slices.Equal(shown, countTo(k.objects)) {
				t.Errorf("identities %v, %v; want 1 to %d", shown, err, k.objects)
			}
			for range len(x.requests) {
				if r := <-x.requests; string(r.Query) != "all" || r.Limit == 0 || len(r.Object) > model.MaxAfter*identity.Size {
					t.Errorf("a search has the predicate %q, the limit %d and %d bytes of identities", r.Query, r.Limit, len(r.Object))
				}
			}
		})
	}
}

// TestSearchAllBeginsAfterTheGivenObjects and may be left early.
func TestSearchAllBeginsAfterTheGivenObjects(t *testing.T) {
	x := &indexed{objects: 30, most: 10}
	c := x.dial(t)
	q := Query{Collection: "c", Index: "x", After: []Identity{numbered(20), numbered(19)}}
	shown, err := numbers(t, c.SearchAll(t.Context(), q), identityOf)
	if err != nil || !slices.Equal(shown, countTo(30)[20:]) {
		t.Errorf("shown: %v, %v; want 21 to 30", shown, err)
	}
	for range c.SearchAll(t.Context(), q) {
		break
	}
}

// TestSearchAllNamesWhatIsMissingAtItsEnd: all pages come first.
func TestSearchAllNamesWhatIsMissingAtItsEnd(t *testing.T) {
	x := &indexed{objects: 25, most: 10, missing: 4}
	shown, err := numbers(t, x.dial(t).SearchAll(t.Context(), Query{Collection: "c", Index: "x"}), identityOf)
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Count != 1 || errors.Is(err, ErrTruncated) || len(shown) != 24 {
		t.Errorf("%d objects, then %v; want 24 objects and a MissingError", len(shown), err)
	}
}

// TestSearchAllFailsIfItCannotContinue: it never ends as if all objects had been shown, and
// it always ends.
func TestSearchAllFailsIfItCannotContinue(t *testing.T) {
	for _, k := range []struct {
		name  string
		index indexed
		want  error
		text  string
		shown int
	}{
		{"all objects of a page are gone", indexed{objects: 100, most: 10, gone: 3}, ErrGone, "page 3: ", 20},
		{"the Core does not say where the next page begins", indexed{objects: 100, most: 10, lost: true}, ErrTruncated, "", 10},
		{"likewise, with a missing object", indexed{objects: 100, most: 10, lost: true, missing: 1}, ErrTruncated, "", 9},
		{"the Task ignores where the page begins", indexed{objects: 100, most: 10, ignores: true}, errRepeats, "", 20},
	} {
		t.Run(k.name, func(t *testing.T) {
			c := k.index.dial(t)
			shown, err := numbers(t, c.SearchAll(t.Context(), Query{Collection: "c", Index: "x"}), identityOf)
			if !errors.Is(err, k.want) || !strings.Contains(fmt.Sprint(err), k.text) || len(shown) != k.shown {
				t.Errorf("%d objects, then %v; want %d, then %v", len(shown), err, k.shown, k.want)
			}
			if Temporary(err) {
				t.Errorf("%v is temporary; want an error that the same call gets again", err)
			}
		})
	}
	x := &indexed{objects: 100, most: 10, gone: 1}
	q := Query{Collection: "c", Index: "x", After: []Identity{numbered(1)}}
	if _, err := numbers(t, x.dial(t).SearchAll(t.Context(), q), identityOf); !errors.Is(err, ErrGone) {
		t.Errorf("the first page ends with %v; want ErrGone", err)
	}
}

// TestTooManyIdentitiesOfAPage are refused before a request is sent.
func TestTooManyIdentitiesOfAPage(t *testing.T) {
	x := &indexed{objects: 1, most: 1}
	c := x.dial(t)
	q := Query{Collection: "c", Index: "x", After: make([]Identity, model.MaxAfter)}
	if _, err := numbers(t, c.Search(t.Context(), q), identityOf); err != nil {
		t.Error(err)
	}
	q.After = make([]Identity, model.MaxAfter+1)
	for name, err := range map[string]error{
		"Search":    second(numbers(t, c.Search(t.Context(), q), identityOf)),
		"SearchAll": second(numbers(t, c.SearchAll(t.Context(), q), identityOf)),
		"Count":     second(c.Count(t.Context(), q)),
	} {
		if !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("%s with %d identities: %v; want ErrInvalidRequest", name, len(q.After), err)
		}
	}
	if len(x.requests) != 1 {
		t.Errorf("the Core got %d searches; want 1", len(x.requests))
	}
}

func second[T any](_ T, err error) error { return err }

// TestTheNextPageIsDecodedStrictly, although the Core is trusted.
func TestTheNextPageIsDecodedStrictly(t *testing.T) {
	for name, k := range map[string]indexed{
		"a byte more":          {objects: 5, most: 3, spoil: func(p []byte) []byte { return append(p, 0) }},
		"too many identities":  {objects: 5, most: 3, spoil: func([]byte) []byte { return make([]byte, (model.MaxAfter+1)*identity.Size) }},
		"of a complete answer": {objects: 3, most: 3, spoil: func([]byte) []byte { return make([]byte, identity.Size) }},
	} {
		_, err := numbers(t, k.dial(t).Search(t.Context(), Query{Collection: "c", Index: "x"}), identityOf)
		if err == nil || !strings.Contains(err.Error(), "can't be decoded") {
			t.Errorf("%s: %v; want an error", name, err)
		}
	}
}

// TestWhichFailuresOfAPageAreTemporary: a query that is too expensive now may be answered later. A
// page whose beginning is gone never comes back.
func TestWhichFailuresOfAPageAreTemporary(t *testing.T) {
	if !Temporary(ErrTooExpensive) || Temporary(ErrGone) || Temporary(&TruncatedError{}) {
		t.Errorf("temporary: too expensive %v, gone %v, truncated %v; want only the first",
			Temporary(ErrTooExpensive), Temporary(ErrGone), Temporary(&TruncatedError{}))
	}
}
