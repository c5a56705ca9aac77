package host

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"motte/core/hostwire"
	"motte/core/model"
	"motte/host/notify"
	"motte/host/sandbox"
	"motte/internal/testutil"
)

// TestACoreThatHangsIsKilledAndStartedAgain: its process exists, but sends no message.
func TestACoreThatHangsIsKilledAndStartedAgain(t *testing.T) {
	bin := players(t)
	for part, c := range map[string]struct {
		phase  phase
		within time.Duration
	}{
		"hangs while it serves": {serving, silentFor},
		"hangs while it starts": {starting, stallsFor},
	} {
		h, text := playing(t, bin, part)
		ended := make(chan error, 1)
		go func() { ended <- h.supervise(t.Context()) }()
		hangs := func() bool {
			h.health.mu.Lock()
			defer h.health.mu.Unlock()
			if h.health.core == nil || h.health.phase != c.phase || c.phase == serving && h.health.counted.IsZero() {
				return false
			}
			fields, err := statOf(h.health.core.cmd.Process.Pid)
			return err == nil && fields[0] == "T"
		}
		for !hangs() {
			select {
			case err := <-ended:
				t.Fatalf("%s: the host ended before it killed the Core: %v", part, err)
			case <-time.After(time.Millisecond):
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var watching sync.WaitGroup
		ticks := make(chan time.Time)
		watching.Go(func() { h.watch(ctx, ticks) })
		passed := time.Duration(0)
		now := time.Now()
		tick := func() {
			now = now.Add(watchEvery)
			ticks <- now
			passed += watchEvery
		}
		for passed < c.within-watchEvery {
			tick()
		}
		if !hangs() {
			t.Errorf("%s: the host kills the Core before %v have passed", part, c.within)
		}
		for hangs() && passed < c.within+time.Minute {
			tick()
		}
		var err error
		select {
		case err = <-ended:
		case <-time.After(testutil.Patience):
			_ = h.health.core.cmd.Process.Kill()
			err = <-ended
			t.Errorf("%s: the Core still runs after %v", part, passed)
		}
		cancel()
		watching.Wait()
		if n := startsOf(t, h); !errors.Is(err, ErrRefused) || n != 2 {
			t.Errorf("%s: %d starts, %v", part, n, err)
		}
		for _, want := range []string{"the Core hangs: it is killed and started again", "state=T", errHung.Error()} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: the log lacks %q:\n%s", part, want, text)
			}
		}
	}
}

// serves returns the health of a host whose Core serves.
func serves() *health {
	return &health{phase: serving, core: &session{control: &net.UnixConn{}}, announced: true, counted: time.Now()}
}

// TestAHostThatStoodStillKillsNoCore: a host that was stopped has not read its Core's messages.
func TestAHostThatStoodStillKillsNoCore(t *testing.T) {
	h := serves()
	for range 10 {
		if hung, _ := h.tick(time.Hour); hung != nil {
			t.Fatal("a host that was stopped itself treats its Core as hanging")
		}
		h.hear(counters(0, time.Time{}), time.Now())
	}
	if !h.live() {
		t.Error("the host is not live")
	}
}

// TestAHostThatDoesNotListenKillsNoCore: an unread message is a sign of life.
func TestAHostThatDoesNotListenKillsNoCore(t *testing.T) {
	ends := testutil.Control(t)
	ours, theirs := ends[0], ends[1]
	defer ours.Close()
	defer theirs.Close()
	h := serves()
	h.core = &session{control: ours}
	if _, err := theirs.Write([]byte("a message")); err != nil {
		t.Fatal(err)
	}
	minute := func() (hung *session) {
		for range time.Minute / watchEvery {
			if s, _ := h.tick(watchEvery); s != nil {
				hung = s
			}
		}
		return hung
	}
	if minute() != nil || !h.live() {
		t.Error("the host treats a Core as hanging, though an unread message of it is there")
	}
	if _, err := ours.Read(make([]byte, 16)); err != nil {
		t.Fatal(err)
	}
	if minute() == nil {
		t.Error("the Core is silent and all messages are read, but the host does not treat it as hanging")
	}
}

// TestAHostIsLiveUntilItCantHelpItself: the host itself restarts a Core that hangs, or that
// starts too slowly. It is not live if it can't end its Core.
func TestAHostIsLiveUntilItCantHelpItself(t *testing.T) {
	pass := func(h *health, d time.Duration) (killed int) {
		for ; d > 0; d -= watchEvery {
			if hung, _ := h.tick(watchEvery); hung != nil {
				killed++
			}
		}
		return killed
	}
	h := serves()
	if n := pass(h, silentFor-watchEvery); n != 0 || !h.live() {
		t.Errorf("killed %d times, live: %v", n, h.live())
	}
	if n := pass(h, watchEvery); n != 1 || !h.live() {
		t.Errorf("a Core that hangs is killed %d times, live: %v", n, h.live())
	}
	if n := pass(h, goneWithin-watchEvery); n != 0 || !h.live() {
		t.Errorf("while the Core ends, it is killed %d times more, live: %v; want no second kill", n, h.live())
	}
	if pass(h, watchEvery); h.live() {
		t.Error("the host is live, though it can't end its Core")
	}
	h.enter(pausing)
	if pass(h, time.Hour); !h.live() {
		t.Error("the Core has ended and the host can start another, but it is not live")
	}
	h = serves()
	h.enter(stopping)
	h.enter(ending)
	if n := pass(h, time.Hour); n != 0 || !h.live() || h.phase != stopping {
		t.Errorf("a host that is stopping: killed %d times, live: %v; want no kill, since its service manager can end it", n, h.live())
	}
}

// counters returns a message of counters with these flags. The log has a write in progress since
// the given time, unless it is zero.
func counters(flags model.ServerFlags, since time.Time) hostwire.Message {
	stats := new(hostwire.Stats)
	if !since.IsZero() {
		stats.WriteBegan = uint64(since.UnixMilli())
	}
	return hostwire.Counters{Stats: stats, Server: &model.ServerStatus{Flags: flags}}
}

// TestReadinessNamesWhatIsMissing: each unmet condition has a name, and a reason from a fixed
// list.
func TestReadinessNamesWhatIsMissing(t *testing.T) {
	now := time.Now()
	none := time.Time{}
	for _, c := range []struct {
		what   string
		change func(h *host)
		want   []string
	}{
		{"all is well", func(*host) {}, nil},
		{"a write is under way", func(h *host) { h.health.hear(counters(0, now.Add(-4*time.Second)), now) }, nil},
		{"a Core of another version counts", func(h *host) {
			h.health.counted = time.Time{}
			h.health.hear(hostwire.Counters{}, now)
		}, nil},
		{"the counters are as old as they may be", func(h *host) { h.health.counted = now.Add(-staleAfter) }, nil},
		{"the counters are old", func(h *host) { h.health.counted = now.Add(-staleAfter - 1) }, []string{"counters: " + isStale}},
		{"the Core has just started", func(h *host) { h.health.begin(&session{}) }, []string{"core: " + notServing, "counters: " + isStale}},
		{"clients are not told yet", func(h *host) { h.health.announced = false }, []string{"core: " + notServing}},
		{"the Core ended", func(h *host) { h.health.enter(pausing) }, []string{"core: " + notServing}},
		{"the host stops", func(h *host) { h.health.enter(stopping) }, []string{"core: " + notServing}},
		{"the disk hangs", func(h *host) { h.health.hear(counters(0, now.Add(-5*time.Second)), now) }, []string{"log: " + diskHangs}},
		{"the disk is full", func(h *host) { h.health.hear(counters(model.ServerDiskFull, none), now) }, []string{"log: " + diskIsFull}},
		{"the disk refuses writes", func(h *host) { h.health.hear(counters(model.ServerReadOnly, now), now) }, []string{"log: " + diskRefuses}},
		{"the root key lies in the store", func(h *host) { h.health.hear(counters(model.ServerKeyInStore, none), now) }, nil},
		{"it was full", func(h *host) {
			h.health.hear(counters(model.ServerDiskFull, none), now)
			h.health.hear(counters(0, time.Time{}), now)
		}, nil},
		{"the directory can't be written", func(h *host) { h.health.found("", cantWrite) }, []string{"log: " + cantWrite}},
		{"no Task can start", func(h *host) { h.health.found(noTask, "") }, []string{"tasks: " + noTask}},
		{"the anchor fails", func(h *host) { h.anchorWriter.failing = true }, []string{"anchor: " + anchorRefuses}},
		{"the anchor hangs", func(h *host) { h.anchorWriter.writing = now.Add(-anchorsIn - 1) }, []string{"anchor: " + anchorHangs}},
		{"the anchor is slow", func(h *host) { h.anchorWriter.writing = now.Add(-anchorsIn) }, nil},
	} {
		h := &host{anchorWriter: &anchorWriter{}}
		h.health.announced, h.health.phase = true, serving
		h.health.hear(counters(0, time.Time{}), now)
		c.change(h)
		if got := broken(h.conditions(now)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// TestThePagesOfHealth: the status is 200 if all conditions are met, and 503 otherwise. The page
// has a line for each condition, and the metrics have a number for each.
func TestThePagesOfHealth(t *testing.T) {
	h := &host{anchorWriter: &anchorWriter{}}
	h.health.announced, h.health.phase = true, serving
	h.health.hear(counters(0, time.Time{}), time.Now())
	get := func(page http.HandlerFunc) (int, string) {
		w := httptest.NewRecorder()
		page(w, httptest.NewRequest(http.MethodGet, "/", nil))
		return w.Code, w.Body.String()
	}
	if code, text := get(h.serveReady); code != http.StatusOK || text != "core: ok\ncounters: ok\nlog: ok\ntasks: ok\nanchor: ok\n" {
		t.Errorf("/readyz of a host that is ready returns %d %q", code, text)
	}
	h.anchorWriter.failing = true
	h.health.found(noTask, "")
	if code, text := get(h.serveReady); code != http.StatusServiceUnavailable ||
		text != "core: ok\ncounters: ok\nlog: ok\ntasks: "+noTask+"\nanchor: "+anchorRefuses+"\n" {
		t.Errorf("/readyz of a host that is not ready returns %d %q", code, text)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(readiness{h})
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, m := range families[0].GetMetric() {
		got[m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
	}
	if families[0].GetName() != "motte_ready" || got["core"] != 1 || got["tasks"] != 0 || got["anchor"] != 0 || len(got) != 5 {
		t.Errorf("%v", families)
	}
	if code, text := get(h.serveLive); code != http.StatusOK || text != "ok\n" {
		t.Errorf("/livez of a live host returns %d %q", code, text)
	}
	h.health.phase, h.health.silent = ending, goneWithin
	if code, text := get(h.serveLive); code != http.StatusServiceUnavailable || text != coreIsHung+"\n" {
		t.Errorf("/livez of a host that is not live returns %d %q", code, text)
	}
}

// TestOnlyConfinementMakesAHostNotReady: a single executable that can't start leaves the host
// ready. When Tasks can be confined again, the host detects it.
func TestOnlyConfinementMakesAHostNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, text := playing(t, "", "")
		h.health.tasks = notTried
		h.unconfined = make(chan struct{}, 1)
		var checks atomic.Int64
		var fail atomic.Bool
		h.checkConfinement = func() error {
			checks.Add(1)
			if fail.Load() {
				return sandbox.ErrConfinement
			}
			return nil
		}
		tasks := func(when, want string, tried int64) {
			t.Helper()
			synctest.Wait()
			if list := h.health.conditions(time.Now()); list[3].name != "tasks" || list[3].why != want || checks.Load() != tried {
				t.Errorf("%s: %q after %d checks, want %q after %d", when, list[3].why, checks.Load(), want, tried)
			}
		}
		if list := h.health.conditions(time.Now()); list[3].why != notTried {
			t.Errorf("before the first check the condition tasks is %q", list[3].why)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() { h.examine(ctx) })
		tasks("at first", "", 1)
		time.Sleep(time.Hour)
		tasks("no failure was reported", "", 1)
		h.notConfined()
		tasks("the confinement failed once", "", 2)
		fail.Store(true)
		h.notConfined()
		tasks("the confinement fails", noTask, 3)
		time.Sleep(10 * examineEvery)
		tasks("the confinement still fails", noTask, 13)
		fail.Store(false)
		time.Sleep(examineEvery)
		tasks("the confinement works again", "", 14)
		cancel()
		all.Wait()
		if n := strings.Count(text.String(), "no Task can be started"); n != 1 {
			t.Errorf("the log reports the failed confinement %d times; want once:\n%s", n, text)
		}
	})
}

// TestTheServiceManagerIsToldTheTruth: ready once clients can connect, and not before; alive
// while the host is live; and the unmet conditions.
func TestTheServiceManagerIsToldTheTruth(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", "")
	h, _ := playing(t, "", "")
	if h.Manager, err = notify.FromEnvironment(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ticks := make(chan time.Time)
	var watching sync.WaitGroup
	watching.Go(func() { h.watch(ctx, ticks) })
	told := func() []string {
		p := make([]byte, 4096)
		if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(p)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(string(p[:n]), "\n")
	}
	tick := func(when string, want ...string) {
		t.Helper()
		ticks <- time.Now()
		if got := told(); !slices.Equal(got, want) {
			t.Errorf("%s: told %q, want %q", when, got, want)
		}
	}
	gone := "core: " + notServing
	stale := "counters: " + isStale
	tick("no Core has started", notify.Alive, notify.Status("Not ready: "+gone+"; "+stale))
	h.health.begin(&session{h: h})
	h.health.enter(serving)
	tick("the Core is ready", notify.Alive)
	h.health.hear(counters(0, time.Time{}), time.Now())
	h.health.found("", "")
	tick("its counters arrive", notify.Alive, notify.Status("Not ready: "+gone))
	h.health.announce()
	h.health.found(noTask, "")
	tick("clients can connect", notify.Alive, notify.Ready, notify.Status("Not ready: tasks: "+noTask))
	h.health.found("", "")
	tick("Tasks start", notify.Alive, notify.Status("Serving"))
	tick("no change", notify.Alive)
	h.health.enter(pausing)
	tick("the Core ended", notify.Alive, notify.Status("Not ready: "+gone))
	h.health.begin(&session{h: h})
	h.health.enter(serving)
	h.health.hear(counters(0, time.Time{}), time.Now())
	h.health.announce()
	tick("the next Core serves", notify.Alive, notify.Status("Serving"))
	h.health.mu.Lock()
	h.health.phase, h.health.silent = ending, goneWithin
	h.health.mu.Unlock()
	tick("a Core that can't be ended", notify.Status("Not ready: "+gone))
	cancel()
	watching.Wait()
	if got := told(); !slices.Equal(got, []string{notify.Stopping, notify.Status("Stopping")}) {
		t.Errorf("at the end the manager is told %q", got)
	}
}

// TestThePulseIsFastEnoughForTheWatchdog, for any interval.
func TestThePulseIsFastEnoughForTheWatchdog(t *testing.T) {
	for interval, want := range map[time.Duration]time.Duration{
		0: watchEvery, time.Hour: watchEvery, 3 * watchEvery: watchEvery, time.Second: time.Second / 3, time.Microsecond: time.Millisecond,
	} {
		h := &host{}
		h.Manager.Watchdog = interval
		if got := h.pulse(); got != want {
			t.Errorf("with a watchdog of %v the pulse is %v, want %v", interval, got, want)
		}
	}
}

// TestAlertsAreLoggedWithTheirPlaceAlone: an alert without a place is logged without a segment.
func TestAlertsAreLoggedWithTheirPlaceAlone(t *testing.T) {
	for _, c := range []struct {
		m    hostwire.Event
		want []any
	}{
		{hostwire.Event{Reason: model.ReasonTooSlow}, []any{"reason", "too-slow"}},
		{hostwire.Event{Reason: model.ReasonFileLost, Segment: 7}, []any{"reason", "file-lost", "segment", uint32(7)}},
		{hostwire.Event{Reason: model.ReasonDamagedRecord, Segment: 7, Offset: 128}, []any{"reason", "damaged-record", "segment", uint32(7), "offset", uint32(128)}},
	} {
		if got := alertOf(c.m); !slices.Equal(got, c.want) {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}
