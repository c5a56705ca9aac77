package server

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"motte/core/model"
	"motte/core/seglog"
	"motte/internal/testutil"
)

// TestASecondCoreIsRefused, also if other files of the directory were removed under the first
// one.
func TestASecondCoreIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	defer s.stop()
	admin := s.dial(key(1))
	do(t, admin, model.OK, request(1, model.OpCreateCollection, "c", "", ""), request(2, model.OpPut, "c", "one", "data"))
	_ = os.Remove(filepath.Join(dir, "LOCK"))
	ends := testutil.Control(t)
	defer ends[0].Close()
	defer ends[1].Close()
	err := Run(Config{Dir: dir, RootKey: filepath.Join(dir, "root.key"), Listen: "127.0.0.1:0", Admin: principalOf(key(1)), Control: ends[1]})
	if !errors.Is(err, seglog.ErrLocked) {
		t.Errorf("a second Core returns %v; want that the directory is locked", err)
	}
	do(t, admin, model.OK, request(3, model.OpPut, "c", "two", "data"), request(4, model.OpGet, "c", "one", ""))
}

// TestLostFilesAreNoticedWithinAMinute: the data keys are written again, another checkpoint is
// written, and each loss is an alert.
func TestLostFilesAreNoticedWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		r.all.Go(func() { r.maintain(r.ctx) })
		r.all.Go(func() { r.watchFiles(r.ctx) })
		r.must(model.OK, request(0, model.OpCompact, "", "", ""))
		lose := func(name string) []byte {
			r.disk.mu.Lock()
			defer r.disk.mu.Unlock()
			p := bytes.Clone(r.disk.files[name])
			delete(r.disk.files, name)
			return p
		}
		there := func(name string) []byte {
			r.disk.mu.Lock()
			defer r.disk.mu.Unlock()
			return r.disk.files[name]
		}
		keys := lose(seglog.KeysNames[0])
		newest := r.log.Checkpoints()[0]
		time.Sleep(time.Minute)
		if !bytes.Equal(there(seglog.KeysNames[0]), there(seglog.KeysNames[1])) || len(keys) == 0 || len(there(seglog.KeysNames[0])) != len(keys) {
			t.Error("the keys were not written again")
		}
		lose(fmt.Sprintf("%08d.ckp", newest))
		time.Sleep(time.Minute)
		if n := r.log.Checkpoints()[0]; n < newest || len(there(fmt.Sprintf("%08d.ckp", n))) == 0 {
			t.Errorf("checkpoint %d is lost, and %d is the newest", newest, n)
		}
		lose(segmentFile(r.log.Position().Segment))
		time.Sleep(time.Minute)
		reasons := r.reasons()
		if !slices.Equal(reasons, slices.Repeat([]model.Reason{model.ReasonFileLost}, 3)) {
			t.Errorf("alerts for %v", reasons)
		}
	})
}

// TestAStartGivesBackWhatCrashesLeft: zeros after the data of older segments are removed.
func TestAStartGivesBackWhatCrashesLeft(t *testing.T) {
	dir := t.TempDir()
	for n := range uint64(3) { // each start makes a new segment
		s := start(t, dir)
		do(t, s.dial(key(1)), model.OK, request(1, model.OpCreateCollection, fmt.Sprint("c", n), "", ""))
		s.stop()
	}
	segments, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil || len(segments) != 3 {
		t.Fatalf("%v, %v", segments, err)
	}
	var sizes []int64
	for _, path := range segments {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
		if err := os.Truncate(path, info.Size()+4<<20); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, dir)
	do(t, s.dial(key(1)), model.OK, request(1, model.OpHead, "", "", ""))
	s.stop()
	for i, path := range segments[:2] {
		if info, err := os.Stat(path); err != nil || info.Size() != sizes[i] {
			t.Errorf("%s is as long as a crash left it: %v", path, err)
		}
	}
}

// TestAPipeIsNoRootKey: opening it returns an error, and does not wait for a writer.
func TestAPipeIsNoRootKey(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "root.key")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	r := openRig(t, newMemory())
	defer r.close()
	r.RootKey = pipe
	w := &watcher{s: r.server}
	done := make(chan struct{})
	go func() {
		w.checkRootKey()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(testutil.Patience):
		t.Error("reading the root key from a pipe waits for a writer")
		f, err := os.OpenFile(pipe, os.O_RDWR, 0) // ends the wait
		if err == nil {
			_, err = f.WriteString("no key")
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	if !w.keyLost {
		t.Error("a pipe is accepted as the root key; want an error")
	}
}
