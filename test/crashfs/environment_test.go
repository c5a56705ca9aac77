package crashfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"motte/client"
	"motte/internal/procfs"
	"motte/internal/testutil"
)

// disturbance is a change of a served store, or of its server, by another program.
type disturbance struct {
	name string
	make func(t *testing.T, s *server)
	wait time.Duration // how long the server may take to notice
}

// gap is the pause between two writes, so that the writes do not replace all objects within a
// minute.
const gap = 200 * time.Millisecond

// noticedWithin bounds the wait until a disturbance is noticed. A server must notice within a
// minute, which TestSimulatedDisturbances checks. A busy machine takes longer.
const noticedWithin = testutil.Patience

// brief is the time of a disturbance that loses no data, and so need not be noticed.
const brief = 5 * time.Second

// The files to disturb.
var (
	olderSegment = func(s *server) string { return s.file("*.seg", false) }
	newest       = func(s *server) string { return s.file("*.seg", true) }
	checkpoint   = func(s *server) string { return s.file("*.ckp", true) }
	dataKeys     = func(s *server) string { return s.file("data.keys", true) }
)

var disturbances = []disturbance{
	{"an older segment vanishes", vanish(olderSegment), noticedWithin},
	{"the newest segment vanishes", vanish(newest), noticedWithin},
	{"the data keys vanish", vanish(dataKeys), noticedWithin},
	{"a second server", secondServer, brief},
	{"a checkpoint vanishes", vanish(checkpoint), noticedWithin},
	{"an older segment is cut", cutOff(olderSegment), noticedWithin},
	{"the newest segment is cut", cutOff(newest), noticedWithin},
	{"the data keys are cut", cutOff(dataKeys), noticedWithin},
	{"an older segment is replaced", replace(olderSegment), noticedWithin},
	{"the newest segment is replaced", replace(newest), noticedWithin},
	{"the data keys are replaced", replace(dataKeys), noticedWithin},
	{"the Core hangs", hang, brief},
}

// file returns the first or the last file of the store that matches the pattern.
func (s *server) file(pattern string, last bool) string {
	s.t.Helper()
	list, err := filepath.Glob(filepath.Join(s.medium.dir(), "store", pattern))
	testutil.Must(s.t, err)
	if len(list) == 0 {
		s.t.Fatalf("the store has no file %s", pattern)
	}
	if last {
		return list[len(list)-1]
	}
	return list[0]
}

func vanish(which func(*server) string) func(*testing.T, *server) {
	return func(t *testing.T, s *server) { testutil.Must(t, os.Remove(which(s))) }
}

func cutOff(which func(*server) string) func(*testing.T, *server) {
	return func(t *testing.T, s *server) { testutil.Must(t, os.Truncate(which(s), 64)) }
}

// replace replaces a file by another file of the same size.
func replace(which func(*server) string) func(*testing.T, *server) {
	return func(t *testing.T, s *server) {
		path := which(s)
		data, err := os.ReadFile(path)
		testutil.Must(t, err)
		for i := len(data) / 4; i < len(data)/2; i++ {
			data[i] ^= 0x55
		}
		testutil.Must(t, os.WriteFile(path+".other", data, 0o600))
		testutil.Must(t, os.Rename(path+".other", path))
	}
}

// secondServer starts another server on the store, after removing any lock file. It must end by
// itself. Otherwise it is stopped after a while.
func secondServer(t *testing.T, s *server) {
	if err := os.Remove(filepath.Join(s.medium.dir(), "store", "LOCK")); !errors.Is(err, os.ErrNotExist) {
		testutil.Must(t, err) // this version has no lock file
	}
	other := exec.Command(filepath.Join(s.bin, "motte"), "serve", "--dir", filepath.Join(s.medium.dir(), "store"), "--listen", "127.0.0.1:0")
	other.Stdout, other.Stderr = s.log, s.log
	other.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	testutil.Must(t, other.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = other.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = other.Process.Signal(syscall.SIGTERM)
		<-ended
	}
}

// hang stops the Core's process for a while, and continues it.
func hang(t *testing.T, s *server) {
	core := 0
	for _, p := range procfs.All() {
		if p.Parent == s.host.Process.Pid && p.Name == "motte-core" {
			core = p.PID
		}
	}
	if core == 0 {
		t.Fatal("there is no Core")
	}
	testutil.Must(t, syscall.Kill(core, syscall.SIGSTOP))
	time.Sleep(2 * time.Second)
	testutil.Must(t, syscall.Kill(core, syscall.SIGCONT))
}

// disturbing, in the environment, names the disturbance of this process.
const disturbing = "MOTTE_DISTURBANCE"

// atOnce is the number of simultaneous disturbances, which mostly wait.
const atOnce = 4

// TestChangesOfTheEnvironment disturbs a served store. Either the disturbance is noticed within
// a minute: by an alert, by refused writes, or by the end of the server. Or no acknowledged
// write is lost, including writes after the disturbance.
//
// Each disturbance has its own test process. Such a process kills all processes that it started,
// so it can have only one server at a time.
func TestChangesOfTheEnvironment(t *testing.T) {
	testutil.Executables(t) // build once, before the test processes need them
	one := os.Getenv(disturbing)
	places := make(chan struct{}, atOnce)
	type result struct {
		said []byte
		err  error
	}
	results := make(map[string]chan result)
	var all sync.WaitGroup
	t.Cleanup(all.Wait) // the end of the context has ended the remaining processes by then
	for _, d := range disturbances {
		if one != "" {
			if d.name == one {
				disturbed(t, d)
			}
			continue
		}
		ended := make(chan result, 1)
		results[d.name] = ended
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			c := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
			c.Env = append(os.Environ(), disturbing+"="+d.name)
			said, err := c.CombinedOutput()
			ended <- result{said, err}
		})
	}
	for _, d := range disturbances[:len(results)] {
		t.Run(d.name, func(t *testing.T) {
			switch r := <-results[d.name]; {
			case r.err != nil:
				t.Errorf("%v\n%s", r.err, r.said)
			case bytes.Contains(r.said, []byte("--- SKIP")):
				t.Skipf("%s", r.said)
			default:
				t.Logf("%s", r.said)
			}
		})
	}
}

// disturbed makes a disturbance, and compares the store with the books.
func disturbed(t *testing.T, d disturbance) {
	s, b := newServer(t, media["file system"](t)), newBooks()
	c := s.mustReady()
	s.create(c)
	b.loadUntil(s, 40)
	testutil.Must(t, c.CreateCollection(t.Context(), quietCollection))
	cold(func(name string, data []byte) {
		_, err := c.Put(t.Context(), quietCollection, data, client.Name(name))
		testutil.Must(t, err)
	})
	testutil.Must(t, c.Compact(t.Context()))
	s.stop()
	c = s.mustReady() // the start makes a new segment
	b.loadUntil(s, 20)
	alerts, err := c.Alerts(t.Context())
	testutil.Must(t, err)

	d.make(t, s)
	noticed := b.writeUntilNoticed(s, c, len(alerts), d.wait)
	b.soundOrRefused(t, c)
	if noticed != "" {
		t.Log("noticed: " + noticed)
		return
	}
	s.kill()
	c = s.mustReady()
	b.account(t.Context(), c)
	b.balance(t)
	cold(func(name string, data []byte) {
		if o, err := c.Get(t.Context(), quietCollection, name); err != nil || !bytes.Equal(o.Data, data) {
			t.Errorf("object %s, which no request changed, is lost, and the server noticed no disturbance: %v", name, err)
		}
	})
}

// quietCollection holds objects that no request changes.
const quietCollection = "quiet"

// cold calls visit for each of these objects.
func cold(visit func(name string, data []byte)) {
	for i := range 20 {
		visit(fmt.Sprint("cold ", i), bytes.Repeat([]byte{byte(i)}, 500))
	}
}

// writeUntilNoticed writes until the server notices a disturbance, or until the time has passed.
// It returns how the server showed that.
func (b *books) writeUntilNoticed(s *server, c *client.Client, alerts int, most time.Duration) (noticed string) {
	s.t.Helper()
	refused := b.count(&b.refused, 0)
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(gap) {
		b.change(s.t.Context(), c, 0)
		select {
		case <-s.ended:
			return "the server ended"
		default:
		}
		if b.count(&b.refused, 0) > refused {
			return "writes are refused"
		}
		if list, err := c.Alerts(s.t.Context()); err == nil && len(list) > alerts {
			return fmt.Sprint("an alert: ", client.ReasonName(list[len(list)-1].Reason))
		}
	}
	return ""
}

// soundOrRefused checks that every object that can still be read has a content that some request
// put.
func (b *books) soundOrRefused(t *testing.T, c *client.Client) {
	t.Helper()
	for w := range b.names {
		for _, n := range b.names[w] {
			o, err := c.Get(t.Context(), collection, n.key)
			if err != nil {
				continue
			}
			if _, err := n.number(o); err != nil {
				t.Error(errors.Join(errors.New("the server returned content that no request put"), err))
			}
		}
	}
}
