package storetool_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"motte/client"
	"motte/internal/testutil"
	"motte/storetool/backup"
	"motte/storetool/keyexport"
)

var backups = flag.Int("backups", 4, "number of backups that the load test makes and restores")

// history is the record of one name: its versions, each put or deleted, and the number of
// requested and of acknowledged versions.
type history struct {
	deleted      []bool // of version 1, 2, …
	acknowledged int
}

// ledger has the histories of all names. Each name has one worker.
type ledger struct {
	mu    sync.Mutex
	names map[string]*history
}

func (l *ledger) ask(name string, deleted bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.names[name]
	if h == nil {
		h = &history{}
		l.names[name] = h
	}
	h.deleted = append(h.deleted, deleted)
	return len(h.deleted)
}

func (l *ledger) settle(name string, version int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.names[name].acknowledged = version
}

// acknowledged returns the number of acknowledged versions of each name so far.
func (l *ledger) acknowledged() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]int)
	for name, h := range l.names {
		all[name] = h.acknowledged
	}
	return all
}

// hold compares a store with the ledger. Each name must have a requested version, not older than
// the one acknowledged before the backup.
func (l *ledger) hold(t *testing.T, at map[string]int, shown map[string]string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, h := range l.names {
		if data, ok := shown[name]; ok {
			who, number, _ := strings.Cut(line(data), " ")
			v, err := strconv.Atoi(number)
			if err != nil || who != name || v < at[name] || v > len(h.deleted) || h.deleted[v-1] {
				t.Errorf("%s has %q; want one of its %d versions, from version %d on, which was acknowledged before the backup", name, line(data), len(h.deleted), at[name])
			}
			continue
		}
		may := at[name] == 0
		for v := max(at[name], 1); v <= len(h.deleted); v++ {
			may = may || h.deleted[v-1]
		}
		if !may {
			t.Errorf("%s is missing: version %d was acknowledged before the backup, and no later version deletes it", name, at[name])
		}
	}
}

// work writes a worker's names until the context ends.
func (l *ledger) work(ctx context.Context, c *client.Client, worker int) error {
	r := rand.New(rand.NewPCG(uint64(worker), 1))
	for {
		name := fmt.Sprintf("w%d-%d", worker, r.IntN(40))
		deleted := r.IntN(4) == 0
		l.mu.Lock()
		h := l.names[name]
		deleted = deleted && h != nil && !h.deleted[len(h.deleted)-1]
		l.mu.Unlock()
		v := l.ask(name, deleted)
		var err error
		if deleted {
			err = c.Delete(ctx, "people", name)
		} else {
			_, err = c.Put(ctx, "people", noise(fmt.Sprint(name, " ", v), r.IntN(1<<r.IntN(18))), client.Name(name))
		}
		if ctx.Err() != nil {
			return nil // it is unknown whether the request took effect
		}
		if err != nil {
			return fmt.Errorf("version %d of %s: %w", v, name, err)
		}
		l.settle(name, v)
	}
}

// TestBackupsOfABusyServer makes backups while clients put and delete, and compaction rewrites
// everything. Each backup must be complete, and have every write acknowledged before it began.
func TestBackupsOfABusyServer(t *testing.T) {
	s := serve(t, t.TempDir())
	testutil.Must(t, s.dial().CreateCollection(context.Background(), "people"))
	keys, to := export(t, s), filepath.Join(t.TempDir(), "backup")
	l := &ledger{names: make(map[string]*history)}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	compactions := 0
	for i := range 6 {
		c := s.dial()
		all.Go(func() {
			if err := l.work(ctx, c, i); err != nil {
				t.Error(err)
			}
		})
	}
	c := s.dial()
	all.Go(func() {
		for ctx.Err() == nil {
			if err := c.Compact(ctx); err != nil && ctx.Err() == nil {
				t.Error("compact:", err)
				return
			}
			compactions++
		}
	})
	defer all.Wait()
	defer cancel()
	for i := range *backups {
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond) // begin at a random moment of a compaction
		at := l.acknowledged()
		var archive *bytes.Buffer
		var r *backup.Report
		if i%4 == 3 {
			archive = new(bytes.Buffer)
			var err error
			r, err = backup.ToTar(ctx, s.Dir, archive, backup.Options{Now: time.Now()})
			testutil.Must(t, err)
		} else {
			r = take(t, s, to)
		}
		l.compare(t, s, r, at, to, archive, keys)
	}
	cancel()
	all.Wait()
	t.Logf("%d backups, %d compactions, %d names", *backups, compactions, len(l.names))
	if compactions == 0 {
		t.Error("no compaction ran, so the test checks too little")
	}
}

// compare restores a backup, verifies and serves it, and compares it with the ledger.
func (l *ledger) compare(t *testing.T, s *testServer, r *backup.Report, at map[string]int, from string, archive *bytes.Buffer, keys *keyexport.Keys) {
	t.Helper()
	var dir string
	if archive != nil {
		dir, _ = restored(t, keys, "", archive)
	} else {
		dir, _ = restored(t, keys, from, nil)
	}
	v := check(t, dir, keys)
	if v.Damaged() || len(v.Notes) > 0 {
		t.Fatalf("a backup of record %d is damaged: %+v", r.Manifest.LSN, v)
	}
	lend(t, s, dir)
	again := serve(t, dir)
	l.hold(t, at, contents(t, again.dial(), "people"))
	again.stop()
	t.Logf("record %d of %d: %d objects, %d files, %d copied", v.LSN, r.Manifest.LSN, v.Objects, r.Files, r.Copied)
}
