package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"motte/client"
	"motte/host/anchor"
	"motte/internal/procfs"
)

// serving is "motte serve" as a process of its own.
type serving struct {
	t     *testing.T
	cmd   *exec.Cmd
	ready chan struct{} // each time that clients can connect; closed when it has ended
	log   strings.Builder
}

func startServing(t *testing.T, args ...string) *serving {
	t.Helper()
	s := &serving{t: t, ready: make(chan struct{}, 16),
		cmd: exec.Command(filepath.Join(bin, "motte"), append([]string{"serve", "--json", "--listen", "127.0.0.1:0"}, args...)...)}
	s.cmd.Stderr = &s.log
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	go func() {
		defer close(s.ready)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if json.Valid(lines.Bytes()) {
				s.ready <- struct{}{}
			}
		}
	}()
	return s
}

// await waits until clients can connect.
func (s *serving) await() {
	s.t.Helper()
	select {
	case _, ok := <-s.ready:
		if !ok {
			_ = s.cmd.Wait()
			s.t.Fatalf("the server ended with %v:\n%s", s.cmd.ProcessState, s.log.String())
		}
	case <-time.After(time.Minute):
		s.t.Fatal("the server is not ready")
	}
}

// end sends the host a signal and waits for its end.
func (s *serving) end(signal os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
	for range s.ready {
	}
	if err := s.cmd.Wait(); err != nil && signal != os.Kill {
		s.t.Fatalf("the server ended with %v:\n%s", err, s.log.String())
	}
}

// killCore kills the Core of this host.
func (s *serving) killCore() { s.signalCore(syscall.SIGKILL) }

func (s *serving) signalCore(signal syscall.Signal) {
	s.t.Helper()
	for _, p := range procfs.Children(s.cmd.Process.Pid) {
		if p.Name == "motte-core" {
			if err := syscall.Kill(p.PID, signal); err != nil {
				s.t.Fatal(err)
			}
			return
		}
	}
	s.t.Fatal("this host has no Core")
}

// remembered is the LSN that an anchor holds.
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

// TestKillsDoNotMakeAStoreOlder: whatever is killed, and whenever, the anchor is
// never ahead of the disk, so the store is served again; and an orderly stop
// leaves nothing that the anchor does not remember.
func TestKillsDoNotMakeAStoreOlder(t *testing.T) {
	dir := t.TempDir()
	store, spec := filepath.Join(dir, "store"), "file:"+filepath.Join(dir, "head")
	ways := []struct {
		name string
		end  func(*serving)
	}{
		{"the Core, then the host", func(s *serving) {
			s.killCore()
			s.await()
			time.Sleep(rand.N(time.Second))
			s.end(os.Kill)
		}},
		{"the host", func(s *serving) { s.end(os.Kill) }},
		{"both", func(s *serving) {
			s.killCore()
			s.end(os.Kill)
		}},
		{"nothing", func(s *serving) { s.end(os.Interrupt) }},
	}
	moved := 0
	for round := range 2 * len(ways) {
		way := ways[round%len(ways)]
		before := uint64(0)
		if round > 0 {
			before = remembered(t, spec)
		}
		s := startServing(t, "--dir", store, "--anchor", spec)
		s.await()
		wrote := writing(t, filepath.Join(store, "admin.profile"), fmt.Sprintf("round-%d", round))
		time.Sleep(rand.N(2500 * time.Millisecond)) // the anchor is written each second
		way.end(s)
		head := wrote()
		after := remembered(t, spec)
		t.Logf("killed: %s; the anchor went from record %d to %d, a client saw %d", way.name, before, after, head)
		if after < before {
			t.Errorf("the anchor went back from record %d to %d", before, after)
		}
		if after > before {
			moved++
		}
		if way.name == "nothing" && after < head {
			t.Errorf("the server stopped in order, and the anchor remembers record %d, though a client saw %d", after, head)
		}
	}
	if moved < 2 {
		t.Errorf("the anchor moved in %d rounds", moved)
	}
}

// writing puts objects until the server is gone; what it returns says which head
// was seen last.
func writing(t *testing.T, profile, collection string) func() uint64 {
	t.Helper()
	p, err := client.ReadProfile(profile)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
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

// TestAStoreSetBackUnderItsHost: the Core that is started in place of one that
// ended is held against what the host knows by then.
func TestAStoreSetBackUnderItsHost(t *testing.T) {
	dir := t.TempDir()
	store, old, spec := filepath.Join(dir, "store"), filepath.Join(dir, "old"), "file:"+filepath.Join(dir, "head")
	s := startServing(t, "--dir", store, "--anchor", spec)
	s.await()
	s.end(os.Interrupt)
	if err := os.CopyFS(old, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(old, "root.key"), 0o600); err != nil { // CopyFS lets others read
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(old, "admin.profile"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := remembered(t, spec)

	s = startServing(t, "--dir", store, "--anchor", spec)
	s.await()
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
	for end := time.Now().Add(time.Minute); remembered(t, spec) <= before; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the anchor does not move")
		}
	}
	s.signalCore(syscall.SIGSTOP) // it would write into the other directory
	if err := os.Rename(store, filepath.Join(dir, "right")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, store); err != nil {
		t.Fatal(err)
	}
	s.killCore()
	for range s.ready {
		t.Error("the older store is served")
	}
	if err := s.cmd.Wait(); s.cmd.ProcessState.ExitCode() != exitWentBack {
		t.Errorf("the server ended with %v:\n%s", err, s.log.String())
	}
	if got := remembered(t, spec); got <= before {
		t.Errorf("the anchor went back to record %d", got)
	}
}
