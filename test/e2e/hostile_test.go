package e2e

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/host"
	"motte/internal/testutil"
)

// hostileRow returns the row of the hostile Task.
func hostileRow(t *testing.T) client.Row {
	sum, err := host.Measure(filepath.Join(testutil.HostileTask(t), "motte-task-hostile"))
	testutil.Must(t, err)
	return client.Row{Measurement: sum, Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete,
		MaxInput: 1 << 20, MaxResults: 100, Deadline: 1000, Memory: 1 << 30}
}

// hostileIndex starts a server with a collection whose index "x" is served by the hostile Task.
func hostileIndex(t *testing.T, collection string) (*server, *client.Client) {
	s := serve(t, t.TempDir())
	c, ctx := s.admin(), t.Context()
	testutil.Must(t, c.RegisterTask(ctx, "hostile", hostileRow(t)))
	testutil.Must(t, c.CreateCollection(ctx, collection))
	testutil.Must(t, c.CreateIndex(ctx, collection, "x", client.Index{Task: "hostile"}))
	testutil.Eventually(t, "index", serving(c, collection, "x"))
	return s, c
}

// alerted returns nil when there is an alert for the index "x" of a collection with this reason.
func alerted(c *client.Client, collection string, reason model.Reason) func() error {
	return func() error {
		alerts, err := c.Alerts(context.Background())
		if err != nil {
			return err
		}
		for _, a := range alerts {
			if a.Reason == reason && a.Collection == collection && a.Index == "x" {
				return nil
			}
		}
		return fmt.Errorf("no alert for %s among %v", client.ReasonName(reason), alerts)
	}
}

// TestHostileTask lets a confined Task tell every known lie. For each lie: no object leaves that
// should not, the client gets a fixed error, an alert is recorded, other indexes keep serving,
// and a fresh Task rebuilds the index.
func TestHostileTask(t *testing.T) {
	s := serve(t, t.TempDir())
	c, ctx := s.admin(), t.Context()
	testutil.Must(t, c.RegisterTask(ctx, "hostile", hostileRow(t)))
	prepare := func(t *testing.T, collection string) {
		testutil.Must(t, c.CreateCollection(ctx, collection))
		testutil.Must(t, c.CreateIndex(ctx, collection, "x", client.Index{Task: "hostile"}))
		testutil.Eventually(t, collection, serving(c, collection, "x"))
	}
	content := func(name string) []byte {
		return []byte("the secret content of object " + name + ", longer than an identity")
	}
	prepare(t, "bystander")
	other, err := c.Put(ctx, "bystander", content("o"), client.Name("o"))
	testutil.Must(t, err)

	lies := []struct {
		predicate string
		reason    model.Reason
	}{
		{"forged", model.ReasonInvalidIdentity},
		{"given " + hex.EncodeToString(other.Identity[:]), model.ReasonOtherCollection},
		{"deleted", model.ReasonInvalidIdentity},
		{"altered", model.ReasonInvalidIdentity},
		{"secret", model.ReasonInvalidIdentity},
		{"long", model.ReasonBadFrame},
		{"short", model.ReasonInvalidIdentity}, // the next bytes are read as the missing identities
		{"type", model.ReasonBadFrame},
		{"unasked", model.ReasonUnasked},
		{"twice", model.ReasonUnasked},
		{"many", model.ReasonTooManyResults},
		{"silence", model.ReasonTooSlow},
		{"endless", model.ReasonTooManyResults},
		{"flood", model.ReasonUnasked},
		{"half", model.ReasonBadFrame},
		{"exit", model.ReasonTaskEnded},
		{"text", model.ReasonBadFrame},
		{"few", model.ReasonBadFrame},
		{"idle", model.ReasonBadFrame},
		{"state", model.ReasonBadFrame},
		{"failure", model.ReasonBadFrame},
		{"unfinished", model.ReasonTooSlow},
		{"regret", model.ReasonUnasked},
		{"configuration", model.ReasonUnasked},
		{"gone", model.ReasonUnasked}, // the query has no identity behind which the answer begins
	}
	for _, lie := range lies {
		victim := strings.Fields(lie.predicate)[0]
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			prepare(t, victim)
			// Make dead objects, which the Task can then name.
			for _, name := range []string{"a", "b", "c", "d"} {
				_, err := c.Put(ctx, victim, content(name), client.Name(name))
				testutil.Must(t, err)
			}
			testutil.Must(t, c.Delete(ctx, victim, "d"))

			found, err := names(c, client.Query{Collection: victim, Index: "x", Predicate: lie.predicate})
			if len(found) > 0 {
				t.Fatalf("the lie got objects out of the Core: %q; want none", found)
			}
			// The first answer may be complete and correct before the lie comes ("twice").
			if err != nil && !errors.Is(err, client.ErrIndexViolated) && !errors.Is(err, client.ErrIndexUnavailable) &&
				(lie.reason != model.ReasonTooSlow || !errors.Is(err, client.ErrTooSlow)) {
				t.Fatalf("the client got %v; want a fixed error", err)
			}
			testutil.Eventually(t, "alert", alerted(c, victim, lie.reason))
			if found, err := names(c, client.Query{Collection: "bystander", Index: "x", Predicate: "all"}); err != nil || !slices.Equal(found, []string{"o"}) {
				t.Fatalf("another index answers %q, %v; want that it is not affected", found, err)
			}
			if _, err := c.Get(ctx, victim, "a"); err != nil {
				t.Fatalf("a GET from the collection fails: %v", err)
			}
			testutil.Eventually(t, "the index is back", func() error {
				found, err := names(c, client.Query{Collection: victim, Index: "x", Predicate: "all"})
				if err == nil && !slices.Equal(found, []string{"a", "b", "c"}) {
					t.Fatalf("the rebuilt index finds %q; want all objects", found)
				}
				return err
			})
		})
	}
}

// TestOthersObjectsDoNotLeave: a Task may name objects of another principal. A client that may
// not read them must not get them.
func TestOthersObjectsDoNotLeave(t *testing.T) {
	s, c := hostileIndex(t, "shared")
	ctx := t.Context()
	alice := s.person(c, "alice", "shared", model.RightReadOwn|model.RightWrite)
	_, err := c.Put(ctx, "shared", []byte("not alice's"), client.Name("hers-not"))
	testutil.Must(t, err)
	_, err = alice.Put(ctx, "shared", []byte("alice's"), client.Name("hers"))
	testutil.Must(t, err)
	q := client.Query{Collection: "shared", Index: "x", Predicate: "all"}
	if found, err := names(alice, q); err != nil || !slices.Equal(found, []string{"hers"}) {
		t.Errorf("alice finds %q, %v; want only her own object", found, err)
	}
	if n, err := alice.Count(ctx, q); err != nil || n.Count != 1 {
		t.Errorf("alice counts %d objects, %v; want 1, her own", n.Count, err)
	}
	if _, err := alice.Get(ctx, "shared", "hers-not"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("alice's GET of another principal's object returns %v; want no such object", err)
	}
	if found, err := names(c, q); err != nil || len(found) != 2 {
		t.Errorf("the administrator finds %q, %v; want both objects", found, err)
	}
}

// roundsCase is a lie to a client that may see only its own objects. The Core asks a Task up to
// four times to fill the answer to such a client.
type roundsCase struct {
	lie    string
	found  []string     // the objects that the client gets
	err    error        // its error
	reason model.Reason // the reason of an alert; 0: the Task broke no rule
}

// TestRoundsGiveNothingAway lets a Task lie in the rounds of a query. For each lie: the client
// gets only its own objects, a truncated answer or a fixed error. Writes of others go on. And
// the index serves again.
func TestRoundsGiveNothingAway(t *testing.T) {
	s := serve(t, t.TempDir())
	c, ctx := s.admin(), t.Context()
	testutil.Must(t, c.RegisterTask(ctx, "hostile", hostileRow(t)))
	own := []string{"own-1", "own-2"}
	cases := []roundsCase{
		{lie: "own", found: own},
		{lie: "all", found: own}, // in spite of the hint
		{lie: "others"},
		{lie: "expensive", err: client.ErrTooExpensive},
		{lie: "refuse", err: client.ErrQueryRefused},
		{lie: "gone", err: client.ErrIndexViolated, reason: model.ReasonUnasked},

		// The Task says for ever that more match, and names objects that the client may not see,
		// or the same objects in each round.
		{lie: "fill others", err: client.ErrTruncated},
		{lie: "fill own", found: own, err: client.ErrTruncated},
		{lie: "fill own, then fill others", found: own, err: client.ErrTruncated},

		// A later round ends as a first round may end.
		{lie: "fill others, then own", found: own},
		{lie: "fill others, then all", found: own},
		{lie: "fill others, then others"},
		{lie: "fill own, then others", found: own},

		// A later round that the Task refuses leaves a truncated answer.
		{lie: "fill others, then gone", err: client.ErrTruncated},
		{lie: "fill own, then gone", found: own, err: client.ErrTruncated},
		{lie: "fill own, then refuse", found: own, err: client.ErrTruncated},
		{lie: "fill own, then expensive", found: own, err: client.ErrTruncated},

		// A violation in a later round takes the whole answer back.
		{lie: "fill own, then forged", err: client.ErrIndexViolated, reason: model.ReasonInvalidIdentity},
		{lie: "fill own, then few", err: client.ErrIndexViolated, reason: model.ReasonBadFrame},
		{lie: "fill own, then many", err: client.ErrIndexViolated, reason: model.ReasonTooManyResults},
		{lie: "fill own, then endless", err: client.ErrIndexViolated, reason: model.ReasonTooManyResults},
		{lie: "fill own, then idle", err: client.ErrIndexViolated, reason: model.ReasonBadFrame},
		{lie: "fill own, then regret", err: client.ErrIndexViolated, reason: model.ReasonUnasked},
		{lie: "fill own, then exit", err: client.ErrIndexViolated, reason: model.ReasonTaskEnded},
		{lie: "fill own, then silence", err: client.ErrTooSlow, reason: model.ReasonTooSlow},
		{lie: "fill own, then unfinished", err: client.ErrTooSlow, reason: model.ReasonTooSlow},
	}
	for i, tc := range cases {
		collection := fmt.Sprint("c", i)
		testutil.Must(t, c.CreateCollection(ctx, collection))
		testutil.Must(t, c.CreateIndex(ctx, collection, "x", client.Index{Task: "hostile"}))
		testutil.Eventually(t, collection, serving(c, collection, "x"))
		t.Run(tc.lie, func(t *testing.T) {
			t.Parallel()
			alice := s.person(c, "alice"+collection, collection, model.RightReadOwn|model.RightWrite|model.RightDelete)
			tc.run(t, c, alice, collection)
		})
	}
}

func (tc *roundsCase) run(t *testing.T, c, alice *client.Client, collection string) {
	ctx := t.Context()
	others := []string{"other-1", "other-2", "other-3"}
	for _, name := range others {
		_, err := c.Put(ctx, collection, []byte("not alice's"), client.Name(name))
		testutil.Must(t, err)
	}
	for _, name := range []string{"own-1", "own-2"} {
		_, err := alice.Put(ctx, collection, []byte("alice's"), client.Name(name))
		testutil.Must(t, err)
	}

	// Others write while the query holds changes of the index back.
	written := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < 20 && err == nil; i++ {
			_, err = c.Put(ctx, collection, []byte("not alice's"), client.Name(others[i%len(others)]))
		}
		written <- err
	}()
	q := client.Query{Collection: collection, Index: "x", Predicate: tc.lie}
	found, err := names(alice, q)
	if !slices.Equal(found, tc.found) || !errors.Is(err, tc.err) {
		t.Errorf("alice gets %q, %v; want %q, %v", found, err, tc.found, tc.err)
	}
	select {
	case err := <-written:
		testutil.Must(t, err)
	case <-time.After(testutil.Patience):
		t.Fatal("writes of others do not end")
	}
	if tc.reason != 0 {
		testutil.Eventually(t, "alert", alerted(c, collection, tc.reason))
	}

	// The index is back, and a deletion by predicate can't delete an object of others.
	all := client.Query{Collection: collection, Index: "x", Predicate: "all"}
	testutil.Eventually(t, "the index is back", func() error {
		found, err := names(c, all)
		if err == nil && len(found) != 5 {
			t.Fatalf("the index finds %q; want all five objects", found)
		}
		return err
	})
	if tc.reason == 0 {
		n, err := alice.Count(ctx, q)
		if truncated := tc.err == client.ErrTruncated; n.Truncated != truncated || int(n.Count) != len(tc.found) {
			t.Errorf("alice counts %d, truncated %v (%v); want %d, %v", n.Count, n.Truncated, err, len(tc.found), truncated)
		}
		if n, err := alice.DeleteWhere(ctx, q); int(n.Count) != len(tc.found) {
			t.Errorf("alice deletes %d objects (%v); want %d", n.Count, err, len(tc.found))
		}
	}
	for _, name := range others {
		if _, err := c.Get(ctx, collection, name); err != nil {
			t.Errorf("%s is gone after the lies: %v; want that it stays", name, err)
		}
	}
}

// TestPagesOfAHostileTaskEnd: a Task says of each page that more match. A client that takes all
// pages gets an error in the end, and no object that it may not read.
func TestPagesOfAHostileTaskEnd(t *testing.T) {
	s, c := hostileIndex(t, "c")
	ctx := t.Context()
	alice := s.person(c, "alice", "c", model.RightReadOwn|model.RightWrite)
	for name, writer := range map[string]*client.Client{"other-1": c, "other-2": c, "own-1": alice} {
		_, err := writer.Put(ctx, "c", []byte("content"), client.Name(name))
		testutil.Must(t, err)
	}
	for _, tc := range []struct {
		lie    string
		reader *client.Client
		may    []string // the objects that the reader may get
		err    error    // nil: any error
	}{
		{"fill others", alice, nil, client.ErrTruncated}, // there is no object after which a page could begin
		{"fill own", alice, []string{"own-1"}, nil},
		{"fill others", c, []string{"other-1", "other-2", "own-1"}, nil},
		{"fill others, then gone", c, []string{"other-1", "other-2", "own-1"}, client.ErrGone},
		{"fill others, then expensive", c, []string{"other-1", "other-2", "own-1"}, client.ErrTooExpensive},
		{"fill others, then refuse", c, []string{"other-1", "other-2", "own-1"}, client.ErrQueryRefused},
		{"fill others, then forged", c, []string{"other-1", "other-2", "own-1"}, client.ErrIndexViolated},
	} {
		var end error
		for o, err := range tc.reader.SearchAll(ctx, client.Query{Collection: "c", Index: "x", Predicate: tc.lie}) {
			if err != nil {
				end = err
			} else if !slices.Contains(tc.may, o.Name) {
				t.Errorf("%s: the client gets %q; want only %q", tc.lie, o.Name, tc.may)
			}
		}
		if end == nil || tc.err != nil && !errors.Is(end, tc.err) {
			t.Errorf("%s: the pages end with %v; want %v", tc.lie, end, tc.err)
		}
	}
}
