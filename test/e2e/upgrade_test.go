package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/host"
	"motte/internal/testutil"
	"motte/tasks"
)

// upgrades is a server with executables of the Task "range": two that behave alike, and one that
// refuses the configurations of the first two's indexes.
type upgrades struct {
	*server
	c                    *client.Client
	first, next, refuses [32]byte // SHA-256
}

const inUpgrade = 3000 // objects

// upgradable starts a server with two indexes of the Task "range", which runs its first executable.
func upgradable(t *testing.T) *upgrades {
	dir := t.TempDir()
	place := func(source, name, more string) [32]byte {
		p, err := os.ReadFile(filepath.Join(testutil.Executables(t), source))
		testutil.Must(t, err)
		path := filepath.Join(dir, name)
		testutil.Must(t, os.WriteFile(path, append(p, more...), 0o755))
		m, err := host.Measure(path)
		testutil.Must(t, err)
		return m
	}
	u := &upgrades{first: place("motte-task-ordered", "motte-task-range.1", "1"), next: place("motte-task-ordered", "motte-task-range.2", "2"),
		refuses: place("motte-task-text", "motte-task-range.3", "3")}
	u.server = serve(t, filepath.Join(t.TempDir(), "store"), dir)
	u.c = u.admin()
	builtIn, err := tasks.BuiltIn()
	testutil.Must(t, err)
	row := builtIn["ordered"]
	row.Measurement = u.first
	testutil.Must(t, u.c.RegisterTask(t.Context(), "range", row))
	testutil.Must(t, u.c.CreateCollection(t.Context(), "c"))
	for index, x := range map[string]client.Index{"eager": {}, "lazy": {Lazy: true}} {
		x.Task, x.Type, x.Config = "range", model.TypeInt64, []byte(`{"path":"/n","type":"int64"}`)
		testutil.Must(t, u.c.CreateIndex(t.Context(), "c", index, x))
	}
	for from := 0; from < inUpgrade; from += 500 {
		var b client.Batch
		for i := from; i < from+500; i++ {
			b.Put(fmt.Appendf(nil, `{"n":%d}`, i), client.Name(fmt.Sprint(i)))
		}
		_, err := u.c.PutBatch(t.Context(), "c", &b)
		testutil.Must(t, err)
	}
	u.reach(model.UpgradeNone)
	return u
}

// register registers an executable. All other settings stay.
func (u *upgrades) register(measurement [32]byte) {
	u.t.Helper()
	row := u.task().Row
	row.Measurement = measurement
	testutil.Must(u.t, u.c.RegisterTask(u.t.Context(), "range", row))
}

// back registers the row before.
func (u *upgrades) back() {
	u.t.Helper()
	before := u.task().Before
	if before == nil {
		u.t.Fatal("the status has no row before")
	}
	testutil.Must(u.t, u.c.RegisterTask(u.t.Context(), "range", *before))
}

// task returns the status of the Task.
func (u *upgrades) task() (task frames.TaskStatus) {
	u.t.Helper()
	status, err := u.c.Status(u.t.Context())
	testutil.Must(u.t, err)
	for i := range status.Tasks {
		if s := &status.Tasks[i]; s.Task == "range" {
			task = *s
		}
	}
	return task
}

// reach waits until both indexes serve, and have reached a step of their upgrade.
func (u *upgrades) reach(want model.Upgrade) {
	u.t.Helper()
	testutil.Eventually(u.t, "the upgrade of both indexes", func() error {
		status, err := u.c.Status(u.t.Context())
		if err != nil {
			return err
		}
		for _, index := range []string{"eager", "lazy"} {
			if x := status.Index("c", index); x.State != model.IndexServing || x.Upgrade != want {
				return fmt.Errorf("index %s is %s, its upgrade %s", index, client.StateName(x.State), client.UpgradeName(x.Upgrade))
			}
		}
		return nil
	})
}

// load asks both indexes and replaces objects until stop is called. Each request must succeed, and
// each answer must be right.
func (u *upgrades) load() (stop func() (asked int64)) {
	ctx, cancel := context.WithCancel(u.t.Context())
	var all sync.WaitGroup
	var asked atomic.Int64
	run := func(what string, one func(i int) error) {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if err := one(i); err != nil && ctx.Err() == nil {
					u.t.Errorf("%s: %v", what, err)
					return
				}
				asked.Add(1)
			}
		})
	}
	for _, index := range []string{"eager", "lazy"} {
		run("count by "+index, func(int) error {
			found, err := u.c.Count(ctx, client.Query{Collection: "c", Index: index, Predicate: "all"})
			if err == nil && found.Count != inUpgrade {
				err = fmt.Errorf("%d objects; want %d", found.Count, inUpgrade)
			}
			return err
		})
		run("search by "+index, func(i int) error {
			n := i % inUpgrade
			seen := 0
			for o, err := range u.c.Search(ctx, client.Query{Collection: "c", Index: index, Predicate: fmt.Sprint("= ", n)}) {
				if err != nil {
					return err
				}
				if seen++; o.Name != fmt.Sprint(n) {
					return fmt.Errorf("%d: shows %s", n, o.Name)
				}
			}
			if seen != 1 {
				return fmt.Errorf("%d: %d objects; want one", n, seen)
			}
			return nil
		})
	}
	run("put", func(i int) error {
		n := i % inUpgrade
		_, err := u.c.Put(ctx, "c", fmt.Appendf(nil, `{"n":%d,"time":%d}`, n, i), client.Name(fmt.Sprint(n)))
		return err
	})
	return func() int64 {
		cancel()
		all.Wait()
		return asked.Load()
	}
}

// TestNoRequestFailsInAnUpgrade, on the way back, nor with an executable that refuses the
// configurations: those indexes keep the one before.
func TestNoRequestFailsInAnUpgrade(t *testing.T) {
	u := upgradable(t)
	stop := u.load()
	defer stop()
	for range 2 {
		u.register(u.next)
		u.reach(model.UpgradeNone)
		u.back()
		u.reach(model.UpgradeNone)
	}
	if m := u.task().Row.Measurement; m != u.first {
		t.Errorf("after the way back %x is registered, want %x", m[:4], u.first[:4])
	}
	u.register(u.refuses)
	u.reach(model.UpgradeRefused)
	testutil.Eventually(t, "an alert for each index", func() error {
		alerts, err := u.c.Alerts(t.Context())
		for _, x := range alerts {
			if x.Reason != model.ReasonUpgradeRefused || x.Collection != "c" {
				t.Errorf("an alert %s for collection %q", client.ReasonName(x.Reason), x.Collection)
			}
		}
		if err == nil && len(alerts) != 2 {
			err = fmt.Errorf("there are %d alerts", len(alerts))
		}
		return err
	})
	u.back()
	u.reach(model.UpgradeNone)
	n := stop()
	t.Logf("%d requests succeeded", n)
	if s, err := u.c.Status(t.Context()); err != nil || s.Index("c", "eager").Restarts+s.Index("c", "lazy").Restarts > 0 {
		t.Errorf("an index lost its process (%v)", err)
	}
}

// TestAnUpgradeThatFailsHarmsNothing: the server does not find the executable. The indexes serve, and
// keep their processes on the way back.
func TestAnUpgradeThatFailsHarmsNothing(t *testing.T) {
	u := upgradable(t)
	stop := u.load()
	defer stop()
	u.register([32]byte{1})
	testutil.Eventually(t, "the failure", func() error {
		status, err := u.c.Status(t.Context())
		if err != nil {
			return err
		}
		steps := map[model.Upgrade]int{}
		for _, index := range []string{"eager", "lazy"} {
			steps[status.Index("c", index).Upgrade]++
		}
		if steps[model.UpgradeFails] != 1 || steps[model.UpgradeWaits] != 1 {
			return errors.New("no upgrade fails, or none waits")
		}
		return nil
	})
	u.back()
	u.reach(model.UpgradeNone)
	if n := stop(); n == 0 {
		t.Error("no request succeeded")
	}
}
