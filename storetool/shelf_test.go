package storetool_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"motte/client"
	"motte/core/engine"
	"motte/core/mapping"
	"motte/core/model"
	"motte/internal/testutil"
)

// shelfStore makes a store with an index whose Task has saved n objects, and stops its server. It
// returns the directory and the blobs.
func shelfStore(t *testing.T, n int) (w *world, s *testServer, blobs []mapping.Entry) {
	t.Helper()
	ctx := context.Background()
	w = &world{dir: t.TempDir()}
	s = serve(t, w.dir)
	c := s.dial()
	status, err := c.Status(ctx)
	testutil.Must(t, err)
	for _, task := range status.Tasks {
		if task.Task == "ordered" {
			row := task.Row
			row.Shelf = 1 << 20
			testutil.Must(t, c.RegisterTask(ctx, "ordered", row))
		}
	}
	testutil.Must(t, c.CreateCollection(ctx, "people"))
	testutil.Must(t, c.CreateIndex(ctx, "people", "age", client.Index{Task: "ordered", Type: model.TypeInt64, Config: []byte(`{"path":"/age","type":"int64"}`)}))
	for i := range n {
		_, err := c.Put(ctx, "people", fmt.Appendf(nil, `{"age":%d}`, i), client.Name(fmt.Sprint(i)))
		testutil.Must(t, err)
	}
	testutil.Eventually(t, "the Task saves", func() error {
		status, err := c.Status(ctx)
		if err == nil && status.Indexes[0].Shelf == 0 {
			err = errors.New("it has not")
		}
		return err
	})
	c.Close()
	s.stop()
	_, e, closed, err := openAsCore(t, w.data())
	testutil.Must(t, err)
	testutil.Must(t, closed())
	people := uint32(0)
	var from engine.Cursor
	for _, o := range e.Scan(&from, 1<<20) {
		if people == 0 {
			people = o.Collection // the first collection has the objects
		}
		if o.Collection != people {
			blobs = append(blobs, o)
		}
	}
	if len(blobs) == 0 {
		t.Fatal("the store has no blob")
	}
	return w, s, blobs
}

// servesAll checks that a store serves, and that its index finds n objects.
func servesAll(t *testing.T, dir string, n int) {
	t.Helper()
	s := serve(t, dir)
	c := s.dial()
	testutil.Eventually(t, "the index serves", func() error {
		got, err := c.Count(context.Background(), client.Query{Collection: "people", Index: "age", Predicate: ">= 0"})
		if err == nil && int(got.Count) != n {
			t.Fatalf("the index finds %d objects, want %d", got.Count, n)
		}
		return err
	})
	if v, err := c.Verify(context.Background()); err != nil || int(v.Objects) != n || v.Damaged != 0 {
		t.Errorf("a verification of the running store reads %+v, %v; want %d objects", v, err, n)
	}
	c.Close()
	s.stop()
}

// TestAShelfIsBackedUpAndRestored, like objects. It is counted by no tool.
func TestAShelfIsBackedUpAndRestored(t *testing.T) {
	const n = 50
	w, s, _ := shelfStore(t, n)
	keys, to := export(t, s), filepath.Join(t.TempDir(), "backup")
	take(t, s, to)
	dir, _ := restored(t, keys, to, nil)
	for _, dir := range []string{w.dir, dir} {
		if v := check(t, dir, keys); v.Damaged() || v.Objects != n {
			t.Errorf("the store has %d objects, want %d: %+v", v.Objects, n, v)
		}
	}
	lend(t, s, dir)
	servesAll(t, dir, n)
}

// TestADamagedBlobIsNoLoss: salvage empties its shelf, and the index is fed again.
func TestADamagedBlobIsNoLoss(t *testing.T) {
	const n = 50
	w, s, blobs := shelfStore(t, n)
	keys := export(t, s)
	o := blobs[len(blobs)-1]
	spoil(t, filepath.Join(w.data(), fmt.Sprintf("%08d.seg", o.Loc.Segment)), int64(o.Loc.Offset)+200)
	v := check(t, w.dir, keys)
	if !v.Damaged() || len(v.Gone) > 0 || v.Objects != n {
		t.Errorf("a damaged blob is reported as %+v", v)
	}
	if len(v.Damage) != 1 || !strings.Contains(v.Damage[0].Lost, "people/age is fed again") {
		t.Errorf("the damage is reported as %+v", v.Damage)
	}
	r := w.salvage(t, w.data())
	if len(r.Gone) != 0 {
		t.Errorf("salvage loses %d objects", len(r.Gone))
	}
	if v := check(t, w.dir, keys); v.Damaged() || v.Objects != n {
		t.Errorf("after salvage the store has %d objects, want %d: %+v", v.Objects, n, v)
	}
	servesAll(t, w.dir, n)
}
