package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"motte/client"
	"motte/host/anchor"
	"motte/internal/testutil"
)

// remembered returns the LSN that an anchor holds.
func remembered(t *testing.T, spec string) uint64 {
	t.Helper()
	a, err := anchor.Open(spec)
	if err != nil {
		t.Fatal(err)
	}
	h, _, err := a.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h.LSN()
}

// TestKillsDoNotMakeAStoreOlder kills processes at random moments. The anchor must never be
// ahead of the disk, so the store is always served again. After an orderly stop the anchor must
// hold the last head.
func TestKillsDoNotMakeAStoreOlder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, spec := filepath.Join(dir, "store"), "file:"+filepath.Join(dir, "head")
	ways := []struct {
		name string
		end  func(*testutil.Server)
	}{
		{"the Core, then the host", func(s *testutil.Server) {
			s.SignalCore(syscall.SIGKILL)
			s.Ready()
			time.Sleep(rand.N(time.Second))
			s.End(os.Kill)
		}},
		{"the host", func(s *testutil.Server) { s.End(os.Kill) }},
		{"both", func(s *testutil.Server) {
			s.SignalCore(syscall.SIGKILL)
			s.End(os.Kill)
		}},
		{"nothing", (*testutil.Server).Stop},
	}
	moved := 0
	for round := range 2 * len(ways) {
		way := ways[round%len(ways)]
		before := uint64(0)
		if round > 0 {
			before = remembered(t, spec)
		}
		s := testutil.Serve(t, "--dir", store, "--anchor", spec)
		s.Ready()
		wrote := writing(t, filepath.Join(store, "admin.profile"), fmt.Sprintf("round-%d", round))
		time.Sleep(rand.N(2500 * time.Millisecond)) // the anchor is written each second
		way.end(s)
		head := wrote()
		after := remembered(t, spec)
		t.Logf("killed: %s; the anchor went from record %d to %d, a client saw %d", way.name, before, after, head)
		if after < before {
			t.Errorf("the anchor went back from record %d to %d; want it only to advance", before, after)
		}
		if after > before {
			moved++
		}
		if way.name == "nothing" && after < head {
			t.Errorf("after an orderly stop the anchor remembers record %d; want at least %d, which a client saw", after, head)
		}
	}
	if moved < 2 {
		t.Errorf("the anchor advanced in %d rounds; want more, or the test checks too little", moved)
	}
}

// writing puts objects until the server ends. The returned function waits for that, and returns
// the LSN of the last head seen.
func writing(t *testing.T, profile, collection string) func() uint64 {
	t.Helper()
	p, err := client.ReadProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
	c, err := client.Dial(ctx, p)
	if err == nil {
		err = c.CreateCollection(ctx, collection)
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan uint64, 1)
	go func() {
		for err = nil; err == nil; {
			_, err = c.Put(ctx, collection, []byte("{}"), client.Name("x"))
		}
		ended <- c.Head().LSN
	}()
	return func() uint64 {
		defer cancel()
		defer c.Close()
		return <-ended
	}
}

// TestAStoreSetBackUnderItsHost rolls a store back while its host runs. The host must check the
// next Core against the newest head that it knows.
func TestAStoreSetBackUnderItsHost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, old, spec := filepath.Join(dir, "store"), filepath.Join(dir, "old"), "file:"+filepath.Join(dir, "head")
	s := testutil.Serve(t, "--dir", store, "--anchor", spec)
	s.Ready()
	s.Stop()
	if err := os.CopyFS(old, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(old, "root.key"), 0o600); err != nil { // CopyFS makes it readable for others
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(old, "admin.profile"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := remembered(t, spec)

	s = testutil.Serve(t, "--dir", store, "--anchor", spec)
	s.Ready()
	p, err := client.ReadProfile(filepath.Join(store, "admin.profile"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), p)
	if err == nil {
		defer c.Close()
		err = c.CreateCollection(t.Context(), "people")
	}
	if err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "the anchor", func() error {
		if remembered(t, spec) <= before {
			return errors.New("the anchor does not advance")
		}
		return nil
	})
	s.SignalCore(syscall.SIGSTOP) // otherwise it would write into the older copy
	if err := os.Rename(store, filepath.Join(dir, "right")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, store); err != nil {
		t.Fatal(err)
	}
	s.SignalCore(syscall.SIGKILL)
	if _, ok := s.Serves(); ok {
		t.Fatal("the host serves the older store; want it to refuse")
	}
	if s.Process.ProcessState.ExitCode() != exitWentBack {
		t.Errorf("the server ended with %v:\n%s", s.Process.ProcessState, s.Log())
	}
	if got := remembered(t, spec); got <= before {
		t.Errorf("the anchor went back to record %d", got)
	}
}
