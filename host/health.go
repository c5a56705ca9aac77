package host

import (
	"cmp"
	"sync"
	"time"

	"motte/core/hostwire"
	"motte/core/model"
)

// When a host is not ready, and when it gives up its Core.
const (
	staleAfter   = 5 * time.Second  // the Core sends its counters once a second
	waitsTooLong = 5 * time.Second  // for a write of the log
	anchorsIn    = 30 * time.Second // for a write of the anchor
	examineEvery = 10 * time.Second // how often the host checks that Tasks can start, and that the directory can be written

	// A serving Core that sends nothing for silentFor hangs. The host kills it and starts it again.
	silentFor = 30 * time.Second
	// A starting Core that takes no processor time for stallsFor hangs, too. It neither reads nor
	// checks its store.
	stallsFor = 5 * time.Minute
	// A killed Core has ended after goneWithin. Otherwise only a restart of the host can help.
	goneWithin = 30 * time.Second

	watchEvery = time.Second
	// The most that one tick counts. While the host itself was stopped, or had no processor, it
	// read no message of its Core.
	longestTick = 2 * watchEvery
)

// The reasons why a host is not ready. /readyz tells no more than these: the log has the details.
const (
	notServing    = "no Core is serving"
	isStale       = "the Core's counters are older than 5 seconds"
	diskRefuses   = "the disk refuses writes"
	diskHangs     = "a write has waited for more than 5 seconds: the disk hangs"
	diskIsFull    = "the disk is full: only requests that free space are served"
	cantWrite     = "the data directory can't be written"
	notTried      = "it is not known yet whether a Task can be started"
	noTask        = "no Task can be started: see the log, and 'motte doctor'"
	anchorRefuses = "the anchor can't be written"
	anchorHangs   = "a write of the anchor takes more than 30 seconds"
	coreIsHung    = "the Core hangs, and can't be ended"
	aliveAndWell  = "ok"
)

// condition is one of the conditions of a ready host.
type condition struct {
	name string
	why  string // why it does not hold; "": it holds
}

// phase is the phase of the host's Core.
type phase int

const (
	pausing  phase = iota // no Core runs; the host starts the next one
	starting              // the Core opens its store
	serving
	ending   // the Core has closed its channel, or was killed
	stopping // the host has asked the Core to stop
)

// health is the known state of a host and its Core. A host is
//
//   - ready, while all conditions hold;
//   - live, unless its Core hangs and the host can't end it. First the host kills a hung Core and
//     starts it again. A restart of the host is the last resort.
type health struct {
	mu        sync.Mutex
	phase     phase
	core      *session      // nil while pausing
	silent    time.Duration // time since the Core's last sign of life, while this host ran
	processor uint64        // ticks of processor time that the Core has taken while starting
	announced bool          // the built-in Tasks are registered, and clients can connect
	counted   time.Time     // when the newest counters came
	writes    string        // why the log takes no writes, by the newest counters
	directory string        // why the data directory can't be written
	tasks     string        // why no Task can be started
}

// begin notes the start of a Core.
func (h *health) begin(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.core, h.silent, h.processor = starting, s, 0, 0
	h.announced, h.counted, h.writes = false, time.Time{}, ""
}

// enter notes the Core's next phase. From stopping, only pausing follows.
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

// announce notes that clients can connect, and that the built-in Tasks are registered.
func (h *health) announce() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.announced = true
}

// hear takes each message of the Core as a sign of life, also a message of another version.
func (h *health) hear(m hostwire.Message, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent = 0
	c, counts := m.(hostwire.Counters)
	if !counts {
		return
	}
	h.counted, h.writes = now, ""
	if c.Stats == nil {
		return // the Core is of another version
	}
	began := time.UnixMilli(int64(c.Stats.WriteBegan))
	switch {
	case c.Server.Flags&model.ServerReadOnly != 0:
		h.writes = diskRefuses
	case c.Server.Flags&model.ServerDiskFull != 0:
		h.writes = diskIsFull
	case c.Stats.WriteBegan > 0 && now.Sub(began) >= waitsTooLong:
		h.writes = diskHangs
	}
}

// found takes the results of an examination.
func (h *health) found(tasks, directory string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tasks, h.directory = tasks, directory
}

// conditions returns all conditions but the anchor's.
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

// live reports whether the host needs no restart.
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

// tick notes that the host ran for the duration d. If a Core was silent for too long, tick returns
// that Core once, and for how long it was silent.
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
	if h.core.unread() { // the host does not read: its log's reader may be slow
		h.silent = 0
		return nil, 0
	}
	silent = h.silent
	h.phase, h.silent = ending, 0
	return h.core, silent
}

// conditions returns all conditions of a ready host.
func (h *host) conditions(now time.Time) []condition {
	list := h.health.conditions(now)
	if h.anchorWriter != nil {
		list = append(list, condition{"anchor", h.anchorWriter.trouble(now)})
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
