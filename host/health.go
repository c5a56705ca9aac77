package host

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"motte/core/control"
	"motte/host/notify"
)

// When a host is not ready, and when its Core is given up.
const (
	staleAfter   = 5 * time.Second  // the Core sends its counters once a second
	waitsTooLong = 5 * time.Second  // a write of the log
	anchorsIn    = 30 * time.Second // a write of the anchor
	examineEvery = 10 * time.Second // whether Tasks can be started, and whether the directory can be written

	// A Core that serves, and sends nothing for so long, hangs. It is killed and started again.
	silentFor = 30 * time.Second
	// So is one that starts, and takes no processor time for so long: it neither reads nor checks
	// its store.
	stallsFor = 5 * time.Minute
	// A Core that was killed is gone by then, or the host can't help itself.
	goneWithin = 30 * time.Second

	watchEvery = time.Second
	// A tick counts no more than this: while the host itself was stopped, or had no processor, its
	// Core's messages were not read.
	longestTick = 2 * watchEvery
)

// The reasons why a host is not ready. They are all that /readyz tells: the log has the rest.
const (
	notServing    = "no Core is serving"
	isStale       = "the Core's counters are older than 5 seconds"
	writeWaits    = "a write has waited for more than 5 seconds: the disk refuses it, or hangs"
	diskIsFull    = "the disk is full: only what gives space back is done"
	cantWrite     = "the data directory can't be written"
	notTried      = "it is not known yet whether a Task can be started"
	noTask        = "no Task can be started: see the log, and 'motte doctor'"
	anchorRefuses = "the anchor can't be written"
	anchorHangs   = "a write of the anchor takes more than 30 seconds"
	coreIsHung    = "the Core hangs, and can't be ended"
	aliveAndWell  = "ok"
)

// condition is one of those that hold while a host is ready.
type condition struct {
	name string
	why  string // it does not hold; "": it does
}

// phase is what a host's Core does.
type phase int

const (
	pausing  phase = iota // there is none; the host starts the next one
	starting              // it opens its store
	serving
	ending   // it has closed its channel, or was killed
	stopping // as it was asked to
)

// health is what is known of how a host and its Core are. A host is
//
//   - ready, while all conditions hold;
//   - live, unless its Core hangs and can't be ended. A Core that hangs is killed and
//     started again first: a restart of the host is the last that is left.
type health struct {
	mu        sync.Mutex
	phase     phase
	core      *session      // unless pausing
	silent    time.Duration // since a sign of life, as far as this host ran meanwhile
	processor uint64        // ticks that the Core has taken, while it is starting
	announced bool          // built-in Tasks are registered, and clients told
	counted   time.Time     // when the newest counters came
	writes    string        // why the log takes no writes, by the newest counters
	directory string        // why it can't be written
	tasks     string        // why none can be started
}

// begin says that a Core was started.
func (h *health) begin(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.core, h.silent, h.processor = starting, s, 0, 0
	h.announced, h.counted, h.writes = false, time.Time{}, ""
}

// enter says that the Core does something else now. What is stopping only ends.
func (h *health) enter(p phase) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.phase != stopping || p == pausing {
		h.phase, h.silent = p, 0
	}
	if p == pausing {
		h.core = nil
	}
}

// announce says that clients can connect, and find all there is.
func (h *health) announce() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.announced = true
}

// hear takes any message of the Core for a sign of life, whatever its version says with it.
func (h *health) hear(m control.Message, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent = 0
	if m.Type != control.Counters {
		return
	}
	h.counted, h.writes = now, ""
	if len(m.Values) < len(control.Stats{}) {
		return // it is of another version
	}
	began := time.UnixMilli(int64(m.Values[control.WriteBegan]))
	switch {
	case m.Values[control.WriteBegan] > 0 && now.Sub(began) >= waitsTooLong:
		h.writes = writeWaits
	case m.Values[control.DiskFull] > 0:
		h.writes = diskIsFull
	}
}

// found takes what an examination found.
func (h *health) found(tasks, directory string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tasks, h.directory = tasks, directory
}

// conditions are all but that of the anchor.
func (h *health) conditions(now time.Time) []condition {
	h.mu.Lock()
	defer h.mu.Unlock()
	core, counters := "", ""
	if h.phase != serving || !h.announced {
		core = notServing
	}
	if h.counted.IsZero() || now.Sub(h.counted) > staleAfter {
		counters = isStale
	}
	return []condition{{"core", core}, {"counters", counters}, {"log", cmp.Or(h.directory, h.writes)}, {"tasks", h.tasks}}
}

// live reports whether a restart of the host would not help.
func (h *health) live() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.phase == pausing || h.phase == stopping || h.silent < patience(h.phase)+goneWithin
}

// patience is how long a Core may be silent.
func patience(p phase) time.Duration {
	switch p {
	case starting:
		return stallsFor
	case serving:
		return silentFor
	}
	return 0
}

// tick says that the host ran for a while. It returns the Core that has been silent for too
// long, once, and for how long.
func (h *health) tick(d time.Duration) (hung *session, silent time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent += min(d, longestTick)
	if h.phase == starting {
		if n, err := h.core.processorTime(); err != nil || n != h.processor {
			h.processor, h.silent = n, 0
		}
	}
	if h.phase != starting && h.phase != serving || h.silent < patience(h.phase) {
		return nil, 0
	}
	silent = h.silent
	h.phase, h.silent = ending, 0
	return h.core, silent
}

// conditions are all that have to hold while the host is ready.
func (h *host) conditions(now time.Time) []condition {
	list := h.health.conditions(now)
	if h.keeper != nil {
		list = append(list, condition{"anchor", h.keeper.trouble(now)})
	}
	return list
}

// broken lists the conditions that do not hold, a line each.
func broken(list []condition) (lines []string) {
	for _, c := range list {
		if c.why != "" {
			lines = append(lines, c.name+": "+c.why)
		}
	}
	return lines
}

// serveReady answers /readyz: a line for each condition.
func (h *host) serveReady(w http.ResponseWriter, _ *http.Request) {
	list := h.conditions(time.Now())
	var text strings.Builder
	for _, c := range list {
		fmt.Fprintf(&text, "%s: %s\n", c.name, cmp.Or(c.why, aliveAndWell))
	}
	answer(w, len(broken(list)) == 0, text.String())
}

// serveLive answers /livez.
func (h *host) serveLive(w http.ResponseWriter, _ *http.Request) {
	text, live := aliveAndWell, h.health.live()
	if !live {
		text = coreIsHung
	}
	answer(w, live, text+"\n")
}

// answer answers a request for a page on which somebody's next step depends.
func answer(w http.ResponseWriter, good bool, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(text)) // whoever asked may have gone
}

var ready = desc("ready", "Whether a condition of readiness holds.", "condition")

// readiness shows the conditions to Prometheus.
type readiness struct{ h *host }

// Describe implements prometheus.Collector.
func (r readiness) Describe(ch chan<- *prometheus.Desc) { ch <- ready }

// Collect implements prometheus.Collector.
func (r readiness) Collect(ch chan<- prometheus.Metric) {
	for _, c := range r.h.conditions(time.Now()) {
		holds := 0.0
		if c.why == "" {
			holds = 1
		}
		ch <- prometheus.MustNewConstMetric(ready, prometheus.GaugeValue, holds, c.name)
	}
}

// watch gives up a Core that hangs, and keeps the service manager informed, until the context
// ends. A tick says what time it is.
func (h *host) watch(ctx context.Context, ticks <-chan time.Time) {
	t := teller{h: h}
	for last := time.Now(); ; {
		select {
		case now := <-ticks:
			hung, silent := h.health.tick(now.Sub(last))
			if last = now; hung != nil {
				hung.giveUp(silent)
			}
			t.tell(now)
		case <-ctx.Done():
			t.send(notify.Stopping, notify.Status("Stopping"))
			return
		}
	}
}

// pulse is how often the host is watched: as often as the service manager wants to hear of it, at
// least.
func (h *host) pulse() time.Duration {
	if w := h.Manager.Watchdog; w > 0 {
		return max(min(watchEvery, w/3), time.Millisecond)
	}
	return watchEvery
}

// teller keeps the service manager informed.
type teller struct {
	h      *host
	ready  bool   // the manager was told
	status string // that it was told last
	failed bool   // which was logged
}

// tell says whether the host is live, that it is ready when it is that for the first time, and
// what it does. The manager takes a host for ready that serves, also if Tasks, the disk or the
// anchor fail: it would end what does not become ready, and end the service of reads by that.
func (t *teller) tell(now time.Time) {
	var states []string
	if t.h.Manager.Watchdog > 0 && t.h.health.live() {
		states = append(states, notify.Alive)
	}
	status := "Serving"
	list := t.h.conditions(now)
	if why := broken(list); len(why) > 0 {
		status = "Not ready: " + strings.Join(why, "; ")
	}
	if !t.ready && list[0].why == "" && list[1].why == "" {
		t.ready = true
		states = append(states, notify.Ready)
	}
	if status != t.status {
		t.status = status
		states = append(states, notify.Status(status))
	}
	t.send(states...)
}

func (t *teller) send(states ...string) {
	if len(states) == 0 {
		return
	}
	err := t.h.Manager.Tell(states...)
	if err != nil && !t.failed {
		t.h.log.Error("the service manager is not told how this host is", "error", err)
	}
	t.failed = err != nil
}

// examine finds out now and then what nobody tells, until the context ends: whether the data
// directory can be written; and whether Tasks can be started, at first, and after each start
// that its walls prevented, until they can.
func (h *host) examine(ctx context.Context) {
	var tasks string
	for look := true; ; {
		if look {
			tasks = h.tryTasks(tasks)
		}
		directory := ""
		if unix.Access(h.Dir, unix.W_OK) != nil {
			directory = cantWrite
		}
		h.health.found(tasks, directory)
		select {
		case <-h.unconfined:
			look = true
		case <-time.After(examineEvery):
			look = tasks != ""
		case <-ctx.Done():
			return
		}
	}
}

// tryTasks finds out whether Tasks can be started; before is what was found the last time.
func (h *host) tryTasks(before string) string {
	if err := h.checkWalls(); err != nil {
		if before == "" {
			h.log.Error("no Task can be started, and it is tried again", "error", err)
		}
		return noTask
	}
	if before != "" {
		h.log.Info("Tasks can be started again")
	}
	return ""
}

// notConfined says that the walls of a Task could not be put up.
func (h *host) notConfined() {
	select {
	case h.unconfined <- struct{}{}:
	default: // it will look anyway
	}
}

// processorTime returns what the Core has taken of the processor, in ticks of the kernel's clock.
func (s *session) processorTime() (uint64, error) {
	fields, err := statOf(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	const user, system = 11, 12 // utime and stime, of those behind the name
	u, errUser := strconv.ParseUint(fields[user], 10, 64)
	k, errSystem := strconv.ParseUint(fields[system], 10, 64)
	return u + k, cmp.Or(errUser, errSystem)
}

// statOf returns what /proc tells of a process behind its name: proc_pid_stat(5).
func statOf(pid int) (fields []string, err error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil, err
	}
	const least = 13 // fields that are needed
	fields = strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < least {
		return nil, fmt.Errorf("/proc tells too little of process %d", pid)
	}
	return fields, nil
}

// giveUp ends a Core that hangs.
func (s *session) giveUp(silent time.Duration) {
	state := "unknown"
	if fields, err := statOf(s.cmd.Process.Pid); err == nil {
		state = fields[0] // T: stopped, D: it waits for the disk, R: it runs, S: it waits
	}
	s.hung.Store(true)
	s.h.log.Error("the Core hangs: it is killed and started again", "pid", s.cmd.Process.Pid, "silent", silent, "state", state)
	_ = s.cmd.Process.Kill()
}
