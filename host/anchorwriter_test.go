package host

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"motte/core/model"
	"motte/host/anchor"
)

// medium is an anchor in memory.
type medium struct {
	pace time.Duration

	mu      sync.Mutex
	head    anchor.Head
	found   bool
	broken  error       // error that Read returns
	failing error       // error that Write returns
	silent  bool        // Write waits for the end of its context
	writes  []uint64    // LSNs of the written heads
	at      []time.Time // times of the writes
	tries   int         // calls of Write
}

func (m *medium) Read(context.Context) (anchor.Head, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.head, m.found, m.broken
}

func (m *medium) Write(ctx context.Context, h anchor.Head) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries++
	if m.silent {
		<-ctx.Done()
		return ctx.Err()
	}
	if m.failing != nil {
		return m.failing
	}
	m.head, m.found = h, true
	m.writes, m.at = append(m.writes, h.LSN()), append(m.at, time.Now())
	return nil
}

func (m *medium) Pace() time.Duration { return m.pace }
func (m *medium) String() string      { return "medium" }

// fail sets the error that Write returns.
func (m *medium) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = err
}

// at returns a head with an LSN.
func at(lsn uint64) anchor.Head {
	return headOf(model.Head{LSN: lsn, Segment: [16]byte{0xab, byte(lsn)}})
}

// keeping makes an anchor writer for a medium. log collects its log lines.
func keeping(m *medium) (k *anchorWriter, log *bytes.Buffer) {
	log = &bytes.Buffer{}
	return &anchorWriter{anchor: m, log: slog.New(slog.NewTextHandler(log, nil)), metrics: &metrics{},
		updates: make(chan struct{}, 1), done: make(chan struct{})}, log
}

// TestHeadIsWhatTheCoreTells: the host writes the bytes that the Core sent, which the Core can
// read.
func TestHeadIsWhatTheCoreTells(t *testing.T) {
	want := model.Head{LSN: 0x0102030405060708, Segment: [16]byte{9, 10}, Chain: [16]byte{15: 11}}
	h := headOf(want)
	if got, err := model.DecodeHead(h[:]); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestWhatIsRecalled(t *testing.T) {
	ill := errors.New("the medium is ill")
	for _, tt := range []struct {
		name  string
		m     *medium
		empty bool
		want  error
		lsn   uint64
	}{
		{"a store that is known", &medium{head: at(7), found: true}, false, nil, 7},
		{"a new store", &medium{}, true, nil, 0},
		{"a new store, whose first start was cut short", &medium{found: true}, true, nil, 0},
		{"a new store, killed before its first head was written", &medium{found: true}, false, nil, 0},
		{"a store that is not new, and an anchor that holds nothing", &medium{}, false, ErrForgotten, 0},
		{"no store, and an anchor that remembers one", &medium{head: at(7), found: true}, true, ErrOlder, 0},
		{"a medium that can't be read", &medium{head: at(7), found: true, broken: ill}, false, ill, 0},
		{"a medium that can't be written, for a new store", &medium{failing: ill}, true, ill, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, _ := keeping(tt.m)
			if err := k.load(t.Context(), "dir", tt.empty); !errors.Is(err, tt.want) {
				t.Fatalf("%v; want %v", err, tt.want)
			}
			if got := k.head().LSN(); got != tt.lsn {
				t.Errorf("the Core must have record %d; want %d", got, tt.lsn)
			}
			if tt.want == nil && !tt.m.found {
				t.Error("the anchor is still empty, as if it was never used")
			}
		})
	}
}

// TestPaceIsKept: a busy host writes the first head after a minute, and then at the medium's
// pace. When it stops, it writes the last head.
func TestPaceIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &medium{pace: 15 * time.Minute, head: at(5), found: true}
		k, _ := keeping(m)
		if err := k.load(t.Context(), "dir", false); err != nil {
			t.Fatal(err)
		}
		k.start()
		began := time.Now()
		for second := range uint64(3600) {
			k.update(at(10 + second))
			synctest.Wait()
			time.Sleep(time.Second)
		}
		k.stop()
		want := []uint64{70, 970, 1870, 2770, 3609}
		if !slices.Equal(m.writes, want) {
			t.Errorf("written were the heads %d; want %d", m.writes, want)
		}
		for i, at := range m.at[:4] {
			if d := at.Sub(began); d < settle+time.Duration(i)*m.pace {
				t.Errorf("write %d comes %v after the one before, which is too early", i, d)
			}
		}
	})
}

// TestAnIdleStoreIsNotWritten, and its first change is written immediately.
func TestAnIdleStoreIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &medium{pace: 15 * time.Minute, head: at(5), found: true}
		k, _ := keeping(m)
		if err := k.load(t.Context(), "dir", false); err != nil {
			t.Fatal(err)
		}
		k.start()
		for range 24 * 3600 {
			k.update(at(5))
			time.Sleep(time.Second)
		}
		k.update(at(6))
		synctest.Wait()
		if !slices.Equal(m.writes, []uint64{6}) {
			t.Errorf("written: %d", m.writes)
		}
		k.stop()
		if len(m.writes) != 1 {
			t.Errorf("a stop without a new head wrote: %d", m.writes)
		}
	})
}

// TestNoHeadIsReplacedByALower: neither the head that the host read, nor a head that another
// store has written meanwhile.
func TestNoHeadIsReplacedByALower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &medium{pace: time.Second, head: at(50), found: true}
		k, log := keeping(m)
		if err := k.load(t.Context(), "dir", false); err != nil {
			t.Fatal(err)
		}
		k.start()
		time.Sleep(time.Minute)
		for _, lsn := range []uint64{49, 50} {
			k.update(at(lsn))
			synctest.Wait()
		}
		if m.tries > 0 {
			t.Errorf("written: %d", m.writes)
		}
		m.mu.Lock()
		m.head = at(1000)
		m.mu.Unlock()
		k.update(at(51))
		synctest.Wait()
		k.stop()
		if m.tries > 0 {
			t.Errorf("written: %d", m.writes)
		}
		if !strings.Contains(log.String(), "is another store writing there?") {
			t.Errorf("the log does not warn of another store: %s", log)
		}
	})
}

// TestAcceptedLossGoesBack: after an accepted loss, a lower head is written, and only once.
func TestAcceptedLossGoesBack(t *testing.T) {
	m := &medium{head: at(50), found: true}
	k, _ := keeping(m)
	if err := k.load(t.Context(), "dir", false); err != nil {
		t.Fatal(err)
	}
	k.update(at(20))
	k.replace = true
	if err := k.store(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.update(at(19))
	if err := k.store(t.Context()); err != nil || !slices.Equal(m.writes, []uint64{20}) {
		t.Errorf("written: %d, %v", m.writes, err)
	}
}

// TestAFailingMediumIsToldOfOnce in each series of failures. Each failure is counted, and the
// write is tried again. A Core that starts meanwhile is still checked against the newest head.
func TestAFailingMediumIsToldOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &medium{pace: 15 * time.Minute, head: at(5), found: true}
		k, log := keeping(m)
		if err := k.load(t.Context(), "dir", false); err != nil {
			t.Fatal(err)
		}
		k.start()
		lsn := uint64(10)
		for range 2 {
			m.fail(errors.New("the medium is ill"))
			for range 3600 {
				k.update(at(lsn))
				lsn++
				synctest.Wait()
				time.Sleep(time.Second)
			}
			if why := k.trouble(time.Now()); why != anchorRefuses {
				t.Errorf("while the medium fails, readiness says %q", why)
			}
			if got := k.head().LSN(); got != lsn-1 {
				t.Errorf("the Core is checked against record %d, though the host knows record %d", got, lsn-1)
			}
			m.fail(nil)
			for range 60 {
				k.update(at(lsn))
				synctest.Wait()
				time.Sleep(time.Second)
			}
			if why := k.trouble(time.Now()); why != "" {
				t.Errorf("after the failures readiness says %q; want that the anchor works", why)
			}
		}
		k.stop()
		if bad, good := strings.Count(log.String(), "the anchor can't be written"), strings.Count(log.String(), "can be written again"); bad != 2 || good != 2 {
			t.Errorf("the log reports %d series of failures and %d ends; want 2 of each:\n%s", bad, good, log)
		}
		// The writer tries every minute, not at the medium's pace. The second hour begins with the
		// pause after a write.
		if failures := k.metrics.anchorFailures; failures < 90 || failures > 120 || int(failures) != m.tries-len(m.writes) {
			t.Errorf("counted are %d failures of %d attempts, with %d writes", failures, m.tries, len(m.writes))
		}
	})
}

// TestASilentMediumHoldsNothingUp: while a write hangs, new heads are accepted, and a stop ends
// in time.
func TestASilentMediumHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &medium{pace: time.Second, head: at(5), found: true}
		k, log := keeping(m)
		if err := k.load(t.Context(), "dir", false); err != nil {
			t.Fatal(err)
		}
		m.silent = true
		k.start()
		began := time.Now()
		for second := range uint64(100) {
			k.update(at(10 + second))
			time.Sleep(time.Second)
		}
		if why := k.trouble(time.Now()); why != anchorHangs {
			t.Errorf("while the medium does not answer, readiness says %q", why)
		}
		if d := time.Since(began); d != 100*time.Second {
			t.Errorf("accepting 100 heads, one each second, takes %v; want no wait for the medium", d)
		}
		began = time.Now()
		k.stop()
		if d := time.Since(began); d > lastWithin+time.Second {
			t.Errorf("the stop takes %v; want a bounded wait for the medium", d)
		}
		if !strings.Contains(log.String(), "the anchor lacks the last head") {
			t.Errorf("the log does not say that the anchor lacks the last head: %s", log)
		}
	})
}

// TestAnEmptiedAnchorIsFilledAgain, while a host runs that knows its former content.
func TestAnEmptiedAnchorIsFilledAgain(t *testing.T) {
	m := &medium{head: at(5), found: true}
	k, log := keeping(m)
	if err := k.load(t.Context(), "dir", false); err != nil {
		t.Fatal(err)
	}
	m.head, m.found = anchor.Head{}, false
	k.update(at(6))
	if err := k.store(t.Context()); err != nil || m.head != at(6) {
		t.Errorf("the emptied anchor holds %x: %v; want the newest head", m.head, err)
	}
	if !strings.Contains(log.String(), "was emptied since") {
		t.Errorf("the log does not say that the anchor was emptied: %s", log)
	}
}

func TestMetricsOfTheAnchor(t *testing.T) {
	gathered := func(m *metrics) map[string]float64 {
		registry := prometheus.NewRegistry()
		registry.MustRegister(m)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]float64)
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "motte_anchor_") {
				got[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
			}
		}
		return got
	}
	m := &medium{head: at(5), found: true}
	k, _ := keeping(m)
	if got := gathered(k.metrics); len(got) > 0 {
		t.Errorf("without an anchor the metrics have %v; want none about an anchor", got)
	}
	if err := k.load(t.Context(), "dir", false); err != nil {
		t.Fatal(err)
	}
	if got := gathered(k.metrics); got["motte_anchor_lsn"] != 5 {
		t.Errorf("at the start the metrics are %v", got)
	}
	k.update(at(6))
	m.failing = errors.New("the medium is ill")
	if err := k.store(t.Context()); !errors.Is(err, m.failing) {
		t.Error(err)
	}
	if got := gathered(k.metrics); got["motte_anchor_lsn"] != 5 || got["motte_anchor_failures_total"] != 1 {
		t.Errorf("after a failure the metrics are %v", got)
	}
	m.failing = nil
	if err := k.store(t.Context()); err != nil {
		t.Error(err)
	}
	if got := gathered(k.metrics); got["motte_anchor_lsn"] != 6 || got["motte_anchor_failures_total"] != 1 {
		t.Errorf("after a success the metrics are %v", got)
	}
}

func TestWhatLiesInTheDataDirectory(t *testing.T) {
	base := t.TempDir()
	store := filepath.Join(base, "store")
	for _, dir := range []string{filepath.Join(store, "sub"), filepath.Join(base, "storehouse")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"way-in": filepath.Join(store, "sub"), "same": store} {
		if err := os.Symlink(to, filepath.Join(base, link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(base)
	for _, tt := range []struct {
		dir, path string
		want      bool
	}{
		{store, store + "/head", true},
		{store, store + "/sub/head", true},
		{store, base + "/way-in/head", true},
		{base + "/same", store + "/head", true},
		{"store", store + "/head", true},
		{store, base + "/head", false},
		{store, base + "/storehouse/head", false},
		{store, base + "/nowhere/head", false},
	} {
		if got := within(tt.dir, tt.path); got != tt.want {
			t.Errorf("the answer whether %s lies in %s is %v", tt.path, tt.dir, got)
		}
	}
}
