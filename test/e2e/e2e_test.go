// Package e2e tests a whole server with real processes: a Core, confined Tasks, a host, and
// clients over TLS.
package e2e

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"motte/client"
	"motte/core/model"
	"motte/host"
	"motte/host/sandbox"
	"motte/internal/procfs"
	"motte/internal/testutil"
)

func TestMain(m *testing.M) {
	sandbox.ReexecInit()
	os.Exit(m.Run())
}

// server is a running host with its Core and Tasks.
type server struct {
	t     *testing.T
	dir   string
	pages string     // address of its metrics and health; "": not served
	mu    sync.Mutex // of log, while the server runs
	log   *bytes.Buffer
	ready chan host.Ready
	ended chan error
	stop  func()
}

// serve starts a server and waits until clients can connect.
func serve(t *testing.T, dir string, taskDirs ...string) *server {
	t.Helper()
	return launch(t, dir, taskDirs...).awaitReady()
}

// awaitReady waits until clients can connect.
func (s *server) awaitReady() *server {
	t := s.t
	t.Helper()
	select {
	case <-s.ready:
	case err := <-s.ended:
		t.Fatalf("the server ended: %v\n%s", err, s.log)
	case <-time.After(testutil.Patience):
		t.Fatalf("the server is not ready\n%s", s.log)
	}
	return s
}

// launch starts a server.
func launch(t *testing.T, dir string, taskDirs ...string) *server {
	t.Helper()
	return launchWith(t, host.Config{Dir: dir, TaskDirs: taskDirs})
}

// launchWith starts a server with this configuration, completed by the settings of all servers
// in these tests.
func launchWith(t *testing.T, cfg host.Config) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{t: t, dir: cfg.Dir, log: &bytes.Buffer{}, ready: make(chan host.Ready, 16), ended: make(chan error, 1)}
	cfg.TaskDirs = append(cfg.TaskDirs, testutil.HostileTask(t))
	cfg.Listen, cfg.Bin, cfg.Logger = "127.0.0.1:0", testutil.Executables(t), slog.New(slog.NewTextHandler(lockedWriter{&s.mu, s.log}, nil))
	cfg.Ready = func(r host.Ready) {
		s.mu.Lock()
		_, rest, _ := strings.Cut(s.log.String(), "msg=metrics address=")
		s.pages, _, _ = strings.Cut(rest, "\n")
		s.mu.Unlock()
		s.ready <- r
	}
	go func() { s.ended <- host.Run(ctx, cfg) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-s.ended; err != nil {
			t.Errorf("the server stopped with %v\n%s", err, s.log)
		}
		s.ended <- nil
	})
	t.Cleanup(func() {
		cancel()
		<-s.ended
		if t.Failed() {
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Logf("the server's log:\n%s", s.log)
		}
	})
	return s
}

type lockedWriter struct {
	mu *sync.Mutex
	b  *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

// admin connects as the administrator.
func (s *server) admin() *client.Client {
	s.t.Helper()
	p, err := client.ReadProfile(filepath.Join(s.dir, "admin.profile"))
	if err != nil {
		s.t.Fatal(err)
	}
	return s.dial(p)
}

func (s *server) dial(p *client.Profile) *client.Client {
	s.t.Helper()
	c, err := client.Dial(s.t.Context(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// person registers another principal, with rights in a collection.
func (s *server) person(c *client.Client, label, collection string, r client.Rights) *client.Client {
	s.t.Helper()
	p, err := client.ReadProfile(filepath.Join(s.dir, "admin.profile"))
	if err != nil {
		s.t.Fatal(err)
	}
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, label)
	p.Key = ed25519.NewKeyFromSeed(seed)
	testutil.Must(s.t, c.AddPrincipal(s.t.Context(), p.Principal(), label))
	testutil.Must(s.t, c.Grant(s.t.Context(), collection, p.Principal(), r))
	return s.dial(p)
}

// names searches, and returns the sorted names of the found objects, also with an error.
func names(c *client.Client, q client.Query) (list []string, err error) {
	for o, failure := range c.Search(context.Background(), q) {
		if failure != nil {
			err = failure
			break
		}
		list = append(list, o.Name)
	}
	slices.Sort(list)
	return list, err
}

func serving(c *client.Client, collection, index string) func() error {
	return func() error {
		status, err := c.Status(context.Background())
		if err != nil {
			return err
		}
		if s := status.Index(collection, index); s != nil && s.State == model.IndexServing {
			return nil
		}
		return errors.New("not serving")
	}
}

// TestBuiltInTasks uses the two built-in Tasks like a client.
func TestBuiltInTasks(t *testing.T) {
	s := serve(t, t.TempDir())
	c, ctx := s.admin(), t.Context()
	testutil.Must(t, c.CreateCollection(ctx, "people"))
	testutil.Must(t, c.CreateIndex(ctx, "people", "by_age", client.Index{Task: "ordered", Type: model.TypeInt64, Ordered: true,
		Config: []byte(`{"path":"/age","type":"int64"}`)}))
	testutil.Must(t, c.CreateIndex(ctx, "people", "notes", client.Index{Task: "text", Ordered: true, Config: []byte(`{"path":"/note"}`)}))
	for i, note := range []string{"likes the castle on the hill", "keeps bees", "walks up the hill to the castle keep"} {
		_, err := c.Put(ctx, "people", fmt.Appendf(nil, `{"age":%d,"note":%q}`, 30+i, note), client.Name(fmt.Sprint("p", i)))
		testutil.Must(t, err)
	}
	_, err := c.Put(ctx, "people", []byte("not JSON at all"), client.Name("odd"))
	testutil.Must(t, err)
	for _, index := range []string{"by_age", "notes"} {
		testutil.Eventually(t, index, serving(c, "people", index))
	}
	for _, tc := range []struct {
		index, predicate string
		want             []string
	}{
		{"by_age", ">= 31", []string{"p1", "p2"}},
		{"by_age", ">= 30 and < 31", []string{"p0"}},
		{"notes", "castle", []string{"p0", "p2"}},
		{"notes", `"castle keep"`, []string{"p2"}},
	} {
		if found, err := names(c, client.Query{Collection: "people", Index: tc.index, Predicate: tc.predicate}); err != nil || !slices.Equal(found, tc.want) {
			t.Errorf("%s %s: %q, %v; want %q", tc.index, tc.predicate, found, err, tc.want)
		}
	}
	if _, err := c.Count(ctx, client.Query{Collection: "people", Index: "by_age", Predicate: "what?"}); !errors.Is(err, client.ErrQueryRefused) {
		t.Errorf("an invalid predicate returns %v; want that it is refused", err)
	}
	if n, err := c.DeleteWhere(ctx, client.Query{Collection: "people", Index: "notes", Predicate: "castle"}); err != nil || n.Count != 2 {
		t.Errorf("a deletion by predicate deletes %d objects, %v; want 2", n.Count, err)
	}
	if found, err := names(c, client.Query{Collection: "people", Index: "by_age", Predicate: "> 0"}); err != nil || !slices.Equal(found, []string{"p1"}) {
		t.Errorf("after the deletion the index finds %q, %v; want p1", found, err)
	}
}

// processIDs returns the process numbers of the server's processes whose name has a prefix.
func processIDs(name string) (list []int) {
	for _, p := range procfs.Children(os.Getpid()) {
		if strings.HasPrefix(p.Name, name) {
			list = append(list, p.PID)
		}
	}
	return list
}

// TestKilledProcessesLoseNothing kills the Core and the Tasks while clients write. Afterwards
// every acknowledged write must be there, and the index must find it.
func TestKilledProcessesLoseNothing(t *testing.T) {
	s := serve(t, t.TempDir())
	c, ctx := s.admin(), t.Context()
	testutil.Must(t, c.CreateCollection(ctx, "c"))
	testutil.Must(t, c.CreateIndex(ctx, "c", "n", client.Index{Task: "ordered", Type: model.TypeInt64, Attribute: true, Config: []byte(`{"type":"int64"}`)}))
	testutil.Eventually(t, "index", serving(c, "c", "n"))

	var mu sync.Mutex
	acknowledged := map[string]int{}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	// The Core listens on a new port after each start, so writers read the address again.
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ; i++ {
				p, err := client.ReadProfile(filepath.Join(s.dir, "admin.profile"))
				if err != nil {
					continue
				}
				c, err := client.Dial(ctx, p)
				for ; err == nil; i++ {
					select {
					case <-stop:
						c.Close()
						return
					default:
					}
					name := fmt.Sprint(w, "-", i)
					_, err = c.Put(ctx, "c", []byte(name), client.Name(name), client.Attribute("n", fmt.Append(nil, i)))
					if err == nil {
						mu.Lock()
						acknowledged[name] = i
						mu.Unlock()
					}
				}
				if c != nil {
					c.Close()
				}
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	for round := range 6 {
		time.Sleep(150 * time.Millisecond)
		name := []string{"motte-core", "memfd:"}[round%2] // the executable of a Task is in memory
		var pids []int
		testutil.Eventually(t, "a process to kill", func() error {
			if pids = processIDs(name); len(pids) == 0 {
				return errors.New("none")
			}
			return nil
		})
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if name == "motte-core" {
			<-s.ready
		}
	}
	close(stop)
	writers.Wait()
	c = s.admin()
	if len(acknowledged) < 10 {
		t.Fatalf("only %d writes were acknowledged; want more, or the test checks too little", len(acknowledged))
	}
	for name := range maps.Keys(acknowledged) {
		o, err := c.Get(ctx, "c", name)
		if err != nil || string(o.Data) != name {
			t.Fatalf("%s was acknowledged, but a GET returns %q, %v", name, o.Data, err)
		}
	}
	testutil.Eventually(t, "index", serving(c, "c", "n"))
	listed := map[string]bool{}
	for o, err := range c.List(ctx, "c") {
		testutil.Must(t, err)
		listed[o.Name] = true
	}
	found, err := names(c, client.Query{Collection: "c", Index: "n", Predicate: ">= 0"})
	testutil.Must(t, err)
	if !slices.Equal(found, slices.Sorted(maps.Keys(listed))) {
		t.Errorf("the index finds %d of %d objects; want all", len(found), len(listed))
	}
	t.Logf("all %d acknowledged writes are there", len(acknowledged))
}

// TestACoreThatGoEndsIsStartedAgain: Go's runtime ends a process with status 2 after a panic,
// and after this signal. The host must treat that as a crash, not as a refusal to start.
func TestACoreThatGoEndsIsStartedAgain(t *testing.T) {
	s, _ := twenty(t, t.TempDir())
	pids := processIDs("motte-core")
	if len(pids) != 1 {
		t.Fatalf("%d Cores run; want 1", len(pids))
	}
	testutil.Must(t, syscall.Kill(pids[0], syscall.SIGQUIT))
	select {
	case <-s.ready:
	case err := <-s.ended:
		s.ended <- err
		t.Fatalf("the host ends after a crash of its Core: %v; want it to start the Core again", err)
	}
	_, err := s.admin().Get(t.Context(), "c", "7")
	testutil.Must(t, err)
}

// twenty starts a server whose collection "c" has twenty objects. The name of each is a number,
// and its bytes have that value.
func twenty(t *testing.T, dir string) (*server, *client.Client) {
	t.Helper()
	s := serve(t, dir)
	c, ctx := s.admin(), t.Context()
	testutil.Must(t, c.CreateCollection(ctx, "c"))
	for i := range 20 {
		_, err := c.Put(ctx, "c", bytes.Repeat([]byte{byte(i)}, 500), client.Name(fmt.Sprint(i)))
		testutil.Must(t, err)
	}
	return s, c
}

// TestAlteredStoreIsRefused alters the log between two starts. The Core must refuse to start,
// and its error must name the segment and the offset.
func TestAlteredStoreIsRefused(t *testing.T) {
	dir := t.TempDir()
	s, _ := twenty(t, dir)
	ctx := t.Context()
	s.stop()
	path := filepath.Join(dir, "00000001.seg")
	good, err := os.ReadFile(path)
	testutil.Must(t, err)
	for name, alter := range map[string]func([]byte) []byte{
		"a byte altered":   func(p []byte) []byte { p[len(p)/2] ^= 1; return p },
		"a piece cut out":  func(p []byte) []byte { return slices.Delete(p, 3000, 3800) },
		"a piece repeated": func(p []byte) []byte { return slices.Concat(p[:4000], p[3200:4000], p[4000:]) },
		"header altered":   func(p []byte) []byte { p[60] ^= 1; return p },
	} {
		testutil.Must(t, os.WriteFile(path, alter(bytes.Clone(good)), 0o600))
		s := launch(t, dir)
		select {
		case err := <-s.ended:
			s.ended <- nil
			if !errors.Is(err, host.ErrRefused) || !strings.Contains(err.Error(), "00000001.seg, offset") {
				t.Errorf("%s: %v", name, err)
			}
		case <-s.ready:
			t.Errorf("%s: the store is served; want it refused", name)
		}
	}
	testutil.Must(t, os.WriteFile(path, good, 0o600))
	s = serve(t, dir)
	if o, err := s.admin().Get(ctx, "c", "7"); err != nil || !bytes.Equal(o.Data, bytes.Repeat([]byte{7}, 500)) {
		t.Errorf("the unaltered store is refused: %v", err)
	}
}
