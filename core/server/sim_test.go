package server

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"motte/core/access"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
	"motte/internal/testutil"
)

var (
	simSeeds = flag.Uint64("sim.seeds", 40, "how many random histories of a whole Core to run")
	simFirst = flag.Uint64("sim.first", 1, "the seed of the first history")
	simSteps = flag.Int("sim.steps", 400, "steps of one history")
	simFor   = flag.Duration("sim.for", 0, "run histories for as long as this, instead of a number of them")
	simTrace = flag.Bool("sim.trace", false, "print the whole history")
)

// TestSimulatedHistories runs a whole Core without sockets, in simulated time and on a simulated
// disk, through random histories. They have many clients, honest and hostile Tasks, a full disk,
// killed processes, power failures at any write and sync, and a host that rolls files back and
// mixes them up. A seed reproduces its history exactly:
//
//	go test ./core/server -run TestSimulatedHistories -sim.first=SEED -sim.seeds=1 -sim.trace
func TestSimulatedHistories(t *testing.T) {
	quiet(t)
	seeds := testutil.Repeats(*simSeeds, 6)
	began := time.Now()
	for seed := *simFirst; ; {
		if *simFor == 0 && seed >= *simFirst+seeds || *simFor > 0 && time.Since(began) > *simFor || t.Failed() {
			break
		}
		t.Run("", func(t *testing.T) { // two histories in parallel: each runs one goroutine at a time
			for range 2 {
				one := seed
				seed++
				t.Run(fmt.Sprint("seed=", one), func(t *testing.T) {
					t.Parallel()
					history(t, one)
				})
			}
		})
	}
	simCounts.Lock()
	defer simCounts.Unlock()
	for _, what := range slices.Sorted(maps.Keys(simCounts.of)) {
		t.Logf("%7d %s", simCounts.of[what], what)
	}
}

// simCounts counts the events of all histories. After a change of the simulator, -v shows events
// that no longer occur.
var simCounts = struct {
	sync.Mutex
	of map[string]int
}{of: map[string]int{}}

// TestSimulatedHistoriesThatFoundABug keeps the seeds of histories that failed once. Each fails
// again if its bug comes back. After a change of the simulator a seed means another history.
// Then find new seeds: undo the fix, and run.
func TestSimulatedHistoriesThatFoundABug(t *testing.T) {
	quiet(t)
	for _, c := range []struct {
		seed uint64
		bug  string
	}{
		{7, "a group that was decided, and not yet handed out, when a write failed"},
		{114, "an object that is moved while it is read"},
		{124, "a segment that the disk refused to remove is forgotten"},
		{13, "a record that is carried, and torn, is taken for whole"},
		{1796087329, "a torn write behind a clean segment outlives a compaction"},
		{1796089071, "a compaction fails with the pass before its own"},
	} {
		t.Run(c.bug, func(t *testing.T) { history(t, c.seed) })
	}
}

// TestASeedReproducesItsHistory: two runs of a seed make the same steps, with and without shelves.
func TestASeedReproducesItsHistory(t *testing.T) {
	quiet(t)
	for seed := range testutil.Repeats(11, uint64(3)) {
		a, b := history(t, seed), history(t, seed)
		if a != b {
			t.Errorf("seed %d: two runs differ: %x, %x", seed, a, b)
		}
	}
}

// quiet keeps the Core's messages for its operator out of the test's output.
func quiet(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = null
	t.Cleanup(func() {
		os.Stderr = old
		null.Close()
	})
}

// history runs one history, and returns the hash of its trace.
func history(t *testing.T, seed uint64) (hash uint64) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(seed)
		defer func() {
			hash = s.hash
			simCounts.Lock()
			for what, n := range s.counts {
				simCounts.of[what] += n
			}
			simCounts.Unlock()
			failed := recover()
			if failed == nil && !*simTrace {
				return
			}
			last := s.trace[max(0, len(s.trace)-60):]
			if *simTrace {
				last = s.trace
			}
			stacks := make([]byte, 1<<20)
			stacks = stacks[:runtime.Stack(stacks, true)]
			s.abort()
			if os.Getenv("SIMSTACK") != "" {
				fmt.Println(string(stacks))
			}
			fmt.Printf("seed %d:\n%s\n", seed, strings.Join(last, "\n"))
			if f, ok := failed.(simFailure); ok {
				t.Errorf("seed %d: %s", seed, f)
			} else if failed != nil {
				t.Errorf("seed %d: panic: %v\n%s", seed, failed, debug.Stack())
			}
		}()
		s.boot()
		s.setUp()
		for range *simSteps {
			s.step()
		}
		s.finish()
	})
	return hash
}

// must sends a request of the administrator, and lets everything run until it is answered.
func (s *sim) must(r wire.Request) {
	admin := s.people[slices.IndexFunc(s.people, func(p access.Principal) bool {
		_, _, is := s.model.catalogue(s.model.durable).rights(p, "")
		return is
	})]
	if len(s.clients) == 0 || s.clients[0].who != admin {
		s.connect(admin)
		s.clients[0], s.clients[len(s.clients)-1] = s.clients[len(s.clients)-1], s.clients[0]
	}
	q := s.ask(s.clients[0], r)
	s.until(func() bool { return !slices.Contains(s.asked, q) })
}

// until lets everything run, without faults, until a condition holds.
func (s *sim) until(holds func() bool) {
	for i := 0; !holds(); i++ {
		if i > 2000 {
			var left []string
			for _, q := range s.asked {
				left = append(left, fmt.Sprint(q.r.Number, " ", q.r.Op, " ", q.client == nil))
			}
			s.fail("something never happens; not answered: %v; refused %v", left, s.refused)
		}
		s.quieten()
		s.pass(200 * time.Millisecond)
	}
}

// waiting counts the open requests.
func (s *sim) waiting() (n int) {
	for _, q := range s.asked {
		if q.client != nil {
			n++
		}
	}
	return n
}

// quieten lets everything run that does not wait for time.
func (s *sim) quieten() {
	for again := true; again; {
		s.pump(1 << 30)
		again = s.storage.calls() > 0
		for s.storage.calls() > 0 {
			s.release(0, true)
		}
		for _, k := range slices.Clone(s.fakes) {
			if k.net == nil {
				s.startFake(k)
				k.hostile, again = false, true
			} else if s.workFake(k, 1<<30) {
				again = true
			}
			s.rest()
		}
	}
	s.check()
}

// setUp makes the collections, indexes and principals of the histories.
func (s *sim) setUp() {
	s.until(func() bool { return s.ready })
	s.must(s.registerFake())
	for _, c := range []string{"a", "b"} {
		s.must(wire.Request{Op: model.OpCreateCollection, Collection: c})
		s.must(s.createIndex(c))
	}
	rights := []model.Rights{model.RightsAll, model.RightsAll, model.RightReadOwn | model.RightWrite | model.RightDelete, model.RightWrite | model.RightRead, model.RightRead}
	for _, p := range s.people[1:] {
		s.must(wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(p), Name: fmt.Appendf(nil, "p%d", p[0])})
		for _, c := range []string{"a", "b"} {
			s.must(wire.Request{Op: model.OpGrant, Collection: c, Identity: identity.ID(p), Rights: rights[s.rng.IntN(len(rights))]})
		}
	}
}

// step makes one event happen, and checks the result.
func (s *sim) step() {
	switch k := s.rng.IntN(1000); {
	case k < 230:
		s.randomRequest()
		if n := s.storage.calls(); n > 0 && s.chance(25) { // in the same iteration of the loop
			s.release(s.rng.IntN(n), !s.full || s.chance(20))
		}
	case k < 620:
		for range 1 + s.rng.IntN(4) {
			if n := s.storage.calls(); n > 0 {
				if i := s.rng.IntN(n); s.storage.kind(i) == "read" && s.chance(60) {
					continue // long enough for the read records to be relocated
				} else if s.release(i, !s.full || s.chance(20)); s.chance(70) {
					s.pump(1 << 30)
				}
			}
		}
	case k < 740:
		s.randomTask()
	case k < 890:
		s.pass(time.Duration(s.rng.IntN(900)) * time.Millisecond)
	case k < 910:
		s.written.Add(1 << 40) // a checkpoint is due
		s.note("a checkpoint is due")
	case k < 920:
		s.log.Rotate()
		s.note("a new segment is due")
	case k < 922:
		s.pass(8 * 24 * time.Hour)
	case k < 928 && !s.full, s.full && k < 940:
		s.full = !s.full
		s.note("the disk is full: %v", s.full)
	case k < 950:
		s.connect(s.people[s.rng.IntN(len(s.people))])
	case k < 960 && len(s.clients) > 0:
		s.disconnect(s.clients[s.rng.IntN(len(s.clients))])
	case k < 980:
		s.crash()
	case k < 990:
		s.copy()
	case s.shelved():
		s.lull()
	}
	if s.chance(70) {
		s.pump(1 << 30)
	} else {
		s.pump(s.rng.IntN(20))
	}
	s.check()
}

// pass lets time pass.
func (s *sim) pass(d time.Duration) {
	s.note("%v pass", d)
	time.Sleep(d)
	s.rest()
	sh := s.server
	s.events.put(func(*engine.Engine) { sh.tick(time.Now()) })
}

// release carries out the i-th waiting call of the storage, or lets it fail.
func (s *sim) release(i int, ok bool) {
	o := s.storage.take(i)
	fails := !ok && o.kind != "read"
	s.note("%s %s %d: fails %v", o.kind, o.name, len(o.p), fails)
	var err error
	if fails {
		s.faults++
		s.counts["failed "+o.kind]++
		if o.kind != "remove" {
			o.part()
		}
		if err = errSimFull; o.failed != nil {
			o.failed(err)
		}
		switch o.kind {
		case "append":
			s.lastFailed = max(s.model.durable, lastRecord(o.p))
		case "begin":
			s.lastFailed = s.model.durable
		}
	} else if o.do(); o.kind == "begin" {
		s.limbo = nil // the failed write was cut off
	}
	// A write that begins with a relocated record proves nothing about earlier ones.
	if f := s.disk.files[o.name]; !fails && !s.disturbed && (o.kind == "begin" || o.kind == "append" && bytes.Equal(o.p[16:32], f.data[48:64])) {
		s.lastWrite.name, s.lastWrite.at = o.name, s.storage.end-len(o.p)
	}
	o.done <- err
	s.rest()
}

// lastRecord returns the highest LSN in a write.
func lastRecord(p []byte) (last uint64) {
	for len(p) > 0 {
		last = max(last, uint64(simU32(p[8:]))<<32|uint64(simU32(p[12:])))
		p = p[simU32(p[4:]):]
	}
	return last
}

// crash ends the process, may change the disk, and starts another process.
func (s *sim) crash() {
	s.counts["crash"]++
	s.stop(s.chance(60))
	if s.tamper(); len(s.copies) > 0 && s.chance(10) {
		s.copies = slices.Delete(s.copies, 0, 1)
	}
	s.boot()
	s.check()
}

// finish lets everything run, with honest Tasks and a working disk. Every open request must be
// answered, and the state must be right.
func (s *sim) finish() {
	s.full = false
	s.note("finish")
	s.pump(1 << 30)
	for _, k := range slices.Clone(s.fakes) {
		if k.hostile {
			s.endFake(k)
		}
	}
	s.pump(1 << 30)
	s.hostile = false
	s.until(func() bool { return s.waiting() == 0 && !s.refused })
	s.quieten()
	s.must(wire.Request{Op: model.OpCompact})
	s.until(func() bool { return s.waiting() == 0 })
	s.checkRoom()
	s.pass(time.Minute)
	s.quieten()
	s.checkErased(s.model.erased, "all is quiet")
	s.checkSpace()
	s.stop(false)
	s.boot()
	s.check()
	s.checkErased(s.model.erased, "all is quiet, after a restart")
	s.checkErasedBlobs(s.model.erased)
	s.stop(true)
}
