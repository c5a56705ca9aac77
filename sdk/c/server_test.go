package c

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/host"
	"motte/internal/testutil"
	"motte/mottetest"
)

// serve starts a real server that knows a Task of the tests, and makes an index of it: "x" of the
// collection "c". The Task runs behind the walls.
func serve(t *testing.T, task string, index client.Index) (*mottetest.Server, *client.Client) {
	t.Helper()
	file := build(t, task)
	s, err := mottetest.Start(t.TempDir(), testutil.Executables(t), filepath.Dir(file))
	testutil.Must(t, err)
	t.Cleanup(func() { testutil.Must(t, s.Stop()) })
	c, err := s.Admin(t.Context())
	testutil.Must(t, err)
	t.Cleanup(func() { c.Close() })
	sum, err := host.Measure(file)
	testutil.Must(t, err)
	index.Task = task[len("motte-task-"):]
	testutil.Must(t, c.RegisterTask(t.Context(), index.Task, client.Row{Measurement: sum,
		Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete, MaxInput: 1 << 20, MaxResults: 1000,
		Deadline: 10_000, Memory: 256 << 20, Shelf: quota, Ordered: index.Ordered}))
	testutil.Must(t, c.CreateCollection(t.Context(), "c"))
	testutil.Must(t, c.CreateIndex(t.Context(), "c", "x", index))
	testutil.Eventually(t, "the index", serving(c))
	return s, c
}

func serving(c *client.Client) func() error {
	return func() error {
		status, err := c.Status(context.Background())
		if err != nil {
			return err
		}
		if x := status.Index("c", "x"); x == nil || x.State != model.IndexServing {
			return fmt.Errorf("not serving: %+v", x)
		}
		return nil
	}
}

// restartTask kills the process of a Task. The next one is fed by the Core.
func restartTask(t *testing.T, s *mottetest.Server, c *client.Client, task string) {
	t.Helper()
	killed, ok := s.Task(task)
	if !ok {
		t.Fatalf("the Task %s does not run\n", task)
	}
	testutil.Must(t, syscall.Kill(killed, syscall.SIGKILL))
	testutil.Eventually(t, "a new process", func() error {
		if pid, ok := s.Task(task); !ok || pid == killed {
			return errors.New("no new process")
		}
		return serving(c)()
	})
}

// names returns the sorted names of the objects that a sequence yields.
func names(t *testing.T, c *client.Client, q client.Query) (list []string) {
	t.Helper()
	for o, err := range c.SearchAll(t.Context(), q) {
		testutil.Must(t, err)
		list = append(list, o.Name)
	}
	slices.Sort(list)
	return list
}

// TestNearestBehindTheWalls uses the Task in C++ like a client. It kills the Task after the Core has
// its shelf, and after more changes.
func TestNearestBehindTheWalls(t *testing.T) {
	const side = 40
	s, c := serve(t, nearest, client.Index{Ordered: true, Config: []byte(`{"dimensions":2,"field":"at","candidates":5000}`)})
	ctx := t.Context()
	put := func(b *client.Batch, x, y int) {
		b.Put(fmt.Appendf(nil, `{"at":[%d,%d],"about":"a place"}`, x, y), client.Name(fmt.Sprintf("%d-%d", x, y)))
	}
	for x := range side {
		var b client.Batch
		for y := range side {
			put(&b, x, y)
		}
		b.Put([]byte(`{"about":"no place"}`), client.Name(fmt.Sprint("nowhere-", x)))
		_, err := c.PutBatch(ctx, "c", &b)
		testutil.Must(t, err)
	}
	check := func(when string, want ...string) {
		t.Helper()
		var found []string
		for o, err := range c.Search(ctx, client.Query{Collection: "c", Index: "x", Predicate: "[3.1,4.2]", Limit: 3}) {
			testutil.Must(t, err)
			found = append(found, o.Name)
		}
		if !slices.Equal(found, want) {
			t.Errorf("%s: %v, want %v", when, found, want)
		}
		if got := names(t, c, client.Query{Collection: "c", Index: "x", Predicate: "[0,0]", Limit: 300}); len(got) != side*side-1 {
			t.Errorf("%s: pages of 300 have %d objects, want %d", when, len(got), side*side-1)
		}
		n, err := c.Count(ctx, client.Query{Collection: "c", Index: "x", Predicate: `{"to":[0,0],"within":1.5}`})
		if err != nil || n.Count != 4 {
			t.Errorf("%s: %+v, %v, want 4 within 1.5", when, n, err)
		}
	}
	testutil.Must(t, c.Delete(ctx, "c", "3-4"))
	check("at first", "3-5", "4-4", "2-4")
	testutil.Eventually(t, "the shelf", func() error {
		status, err := c.Status(ctx)
		if err != nil {
			return err
		}
		if x := status.Index("c", "x"); x.Shelf < side*side*50 { // vector, identity and links of each
			return fmt.Errorf("the shelf has %d bytes", x.Shelf)
		}
		return nil
	})
	testutil.Must(t, c.Delete(ctx, "c", "3-5"))
	var b client.Batch
	put(&b, 3, 4)
	_, err := c.PutBatch(ctx, "c", &b)
	testutil.Must(t, err)
	check("after the shelf was saved", "3-4", "4-4", "2-4")
	restartTask(t, s, c, "nearest")
	check("after the process was killed", "3-4", "4-4", "2-4")
	status, err := c.Status(ctx)
	testutil.Must(t, err)
	if x := status.Index("c", "x"); x.Refed >= side*side/2 {
		t.Errorf("%d of %d objects were fed again after the process was killed", x.Refed, side*side)
	}
	alerts, err := c.Alerts(ctx)
	testutil.Must(t, err)
	for _, a := range alerts {
		if a.Reason != model.ReasonTaskEnded {
			t.Errorf("an alert: %s", client.ReasonName(a.Reason))
		}
	}
}
