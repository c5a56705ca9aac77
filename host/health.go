package host

import (
	"cmp"
	"sync"
	"time"

	"motte/core/hostwire"
	"motte/core/model"
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
	diskRefuses   = "the disk refuses writes"
	diskHangs     = "a write has waited for more than 5 seconds: the disk hangs"
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
	if h.core.unread() { // the host does not listen: it may wait for whoever takes its log
		h.silent = 0
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
