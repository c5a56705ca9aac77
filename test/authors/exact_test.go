package authors

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/host"
	"motte/host/sandbox"
	"motte/internal/testutil"
	"motte/mottetest"
)

// exactTasks are the examples that find objects by their exact input. Each builds motte-task-exact
// in a directory.
var exactTasks = map[string]func(t testing.TB, dir string){
	"c":          cExact,
	"rust":       rustExact,
	"wasm in C":  wasmInC,
	"wasm in Go": wasmInGo,
}

// exactTask returns the directory with an example's executable, which is built once.
func exactTask(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(built, strings.ReplaceAll(name, " ", "-"))
	if _, err := os.Stat(filepath.Join(dir, "motte-task-exact")); err == nil {
		return dir
	}
	testutil.Must(t, os.MkdirAll(dir, 0o755))
	exactTasks[name](t, dir)
	return dir
}

// TestExactTasks: each example indexes what clients put, replace and delete, answers page by page,
// refuses what is too long, saves on its shelf, and is complete again after a kill and after a
// restart.
func TestExactTasks(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(exactTasks)) {
		t.Run(name, func(t *testing.T) {
			s := &store{t: t, dir: t.TempDir(), bin: testutil.Executables(t), tasks: exactTask(t, name)}
			s.start()
			s.register("exact")
			testutil.Must(t, s.c.CreateCollection(t.Context(), "c"))
			testutil.Must(t, s.c.CreateIndex(t.Context(), "c", "x", client.Index{Task: "exact", Attribute: true}))
			testutil.Eventually(t, "the index", s.serving)
			s.fill()
			s.check()
			s.others()
			testutil.Eventually(t, "the shelf", s.saved)
			s.killTask("exact")
			testutil.Eventually(t, "the index after a kill", s.serving)
			s.check()
			testutil.Must(t, s.c.Close(), s.server.Stop())
			s.start()
			testutil.Eventually(t, "the index after a restart", s.serving)
			s.check()
			s.onlyEnded()
			testutil.Must(t, s.c.Close(), s.server.Stop())
		})
	}
}

// store is a server with a collection c, and an index x of a Task.
type store struct {
	t               *testing.T
	dir, bin, tasks string
	server          *mottetest.Server
	c               *client.Client
}

func (s *store) start() {
	s.t.Helper()
	var err error
	s.server, err = mottetest.Start(s.dir, s.bin, s.tasks)
	testutil.Must(s.t, err)
	s.c, err = s.server.Admin(s.t.Context())
	testutil.Must(s.t, err)
}

func (s *store) register(task string) {
	s.t.Helper()
	path := filepath.Join(s.tasks, "motte-task-"+task)
	testutil.Must(s.t, sandbox.CheckExecutable(path))
	sum, err := host.Measure(path)
	testutil.Must(s.t, err)
	testutil.Must(s.t, s.c.RegisterTask(s.t.Context(), task, client.Row{Measurement: sum,
		Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete,
		MaxInput:   1 << 20, MaxResults: 10_000, Deadline: 10_000, Memory: 1 << 30, Shelf: 64 << 20}))
}

// serving returns nil when the index serves.
func (s *store) serving() error {
	status, err := s.c.Status(s.t.Context())
	if err != nil {
		return err
	}
	if x := status.Index("c", "x"); x == nil || x.State != model.IndexServing {
		return fmt.Errorf("the index is not serving: %+v", x)
	}
	return nil
}

// saved returns nil when the shelf of the index has something.
func (s *store) saved() error {
	status, err := s.c.Status(s.t.Context())
	if err != nil {
		return err
	}
	if x := status.Index("c", "x"); x == nil || x.Shelf == 0 {
		return fmt.Errorf("nothing is on the shelf: %+v", x)
	}
	return nil
}

// onlyEnded fails on each alert but that of a process that ended.
func (s *store) onlyEnded() {
	s.t.Helper()
	alerts, err := s.c.Alerts(s.t.Context())
	testutil.Must(s.t, err)
	for _, a := range alerts {
		if a.Reason != model.ReasonTaskEnded {
			s.t.Errorf("an alert says %s: %+v", client.ReasonName(a.Reason), a)
		}
	}
}

// killTask kills the process of the Task, and waits until another one runs.
func (s *store) killTask(task string) {
	s.t.Helper()
	pid, ok := s.server.Task(task)
	if !ok {
		s.t.Fatal("no process of the Task runs")
	}
	testutil.Must(s.t, syscall.Kill(pid, syscall.SIGKILL))
	testutil.Eventually(s.t, "another process", func() error {
		if next, ok := s.server.Task(task); !ok || next == pid {
			return errors.New("the Task was not started again")
		}
		return nil
	})
}

// put puts an object with a key for the index, and reports whether it is indexed.
func (s *store) put(name, key string) bool {
	s.t.Helper()
	r, err := s.c.Put(s.t.Context(), "c", []byte("the object "+name), client.Name(name), client.Attribute("x", []byte(key)))
	testutil.Must(s.t, err)
	return !r.NotIndexed
}

// many is a number of objects that needs several frames for one answer.
const many = 4500

// fill puts, replaces and deletes objects.
func (s *store) fill() {
	s.t.Helper()
	for _, name := range []string{"a", "b", "c", "d"} {
		if !s.put(name, "red") {
			s.t.Errorf("the object %s is not indexed", name)
		}
	}
	s.put("b", "blue") // in place of red
	testutil.Must(s.t, s.c.Delete(s.t.Context(), "c", "c"))
	if s.put("d", strings.Repeat("long", 257)) {
		s.t.Error("a key of 1028 bytes is indexed")
	}
	s.put("e", "") // has nothing to index
	for at := 0; at < many; {
		var b client.Batch
		for ; at < many && b.Len() < 500; at++ {
			b.Put([]byte(fmt.Sprint("one of many ", at)), client.Attribute("x", []byte("many")))
		}
		_, err := s.c.PutBatch(s.t.Context(), "c", &b)
		testutil.Must(s.t, err)
	}
}

// check compares answers with what fill put.
func (s *store) check() {
	s.t.Helper()
	ctx := s.t.Context()
	for key, want := range map[string]string{"red": "a", "blue": "b", "": "", "re": "", strings.Repeat("long", 257): ""} {
		var found []string
		for o, err := range s.c.Search(ctx, client.Query{Collection: "c", Index: "x", Predicate: key}) {
			testutil.Must(s.t, err)
			found = append(found, o.Name)
		}
		if got := strings.Join(found, " "); got != want {
			s.t.Errorf("the key %.10q finds %q, want %q", key, got, want)
		}
	}
	all := client.Query{Collection: "c", Index: "x", Predicate: "many"}
	if n, err := s.c.Count(ctx, all); err != nil || n.Count != many || n.Truncated {
		s.t.Errorf("the count is %+v, %v; want %d", n, err, many)
	}
	all.Limit = 999
	seen := make(map[client.Identity]bool)
	for id, err := range s.c.SearchAllIdentities(ctx, all) {
		testutil.Must(s.t, err)
		seen[id] = true
	}
	if len(seen) != many {
		s.t.Errorf("pages of %d have %d objects, want %d", all.Limit, len(seen), many)
	}
}

// others: a principal that may see only its own objects gets those, among many.
func (s *store) others() {
	s.t.Helper()
	ctx := s.t.Context()
	key, alice, err := mottetest.NewPrincipal(ctx, s.c, "alice")
	testutil.Must(s.t, err)
	testutil.Must(s.t, s.c.Grant(ctx, "c", alice, model.RightReadOwn|model.RightWrite|model.RightDelete))
	c, err := s.server.As(ctx, key)
	testutil.Must(s.t, err)
	defer c.Close()
	_, err = c.Put(ctx, "c", []byte("hers"), client.Name("hers"), client.Attribute("x", []byte("many")))
	testutil.Must(s.t, err)
	n, err := c.Count(ctx, client.Query{Collection: "c", Index: "x", Predicate: "many"})
	if err != nil || n.Count != 1 || n.Truncated {
		s.t.Errorf("alice counts %+v, %v; want her one object", n, err)
	}
	testutil.Must(s.t, c.Delete(ctx, "c", "hers"))
}
