package host

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"time"

	"motte/core/hostwire"
	"motte/core/model"
	"motte/host/sandbox"
)

// A Task shares the processors with the Core, and has up to 64 threads. So the host measures the
// processor time of each Task, and knows from the Core whether it has something to do (decision 43).
//
//  1. A Task that the Core asks may take a quarter of the machine's processor time with the priority
//     of Tasks. If it takes more, its class is lowered, and it is paused for short times. The pauses also
//     tell how often another process wants a processor. The Task gets the rest, and an eighth at least.
//  2. All Tasks that the Core does not ask may take a fortieth together. A Task that takes more is
//     paused until its share allows the excess.
//  3. A Task that keeps within its share gets its class back.
//  4. The first process of an index since the start of the Core is not paused while it has work, until
//     it serves, or has used backSpan. So an index comes back fast, and its Task can't claim this again.
const (
	ownShare = 40 // one part in forty of the processor time

	// Shares of a Task with work, of allParts: until its class is lowered, and then on a machine that is
	// busy or free. freeParts are not all, since only pauses tell whether other processes want time.
	askedParts = 4
	busyParts  = 2
	freeParts  = 15
	allParts   = 16

	// askedSpan and ownSpan are how much processor time a Task may save up, as time of all
	// processors. A Task learns of a question up to lookEvery before the host does.
	askedSpan = time.Second * askedParts / allParts
	ownSpan   = 2 * time.Second
	// askedDebt and ownDebt bound the excess that counts. So a Task with work is paused for a quarter
	// of a second at most, which its deadline must allow, and a Task without work for ten seconds.
	askedDebt = time.Second / 4 * busyParts / allParts
	ownDebt   = 10 * time.Second / ownShare

	// backSpan is the processor time of rule 4, as time of all processors. It is enough for tens of
	// millions of entries. The process must start backWithin after the Core.
	backSpan   = 10 * time.Second
	backWithin = time.Minute

	lookEvery = time.Second
	// paceEvery is how often the host looks at a Task that takes much. Such a Task runs at least so long
	// between two pauses.
	paceEvery = 20 * time.Millisecond
)

// wantedWeight is the weight of the pauses before, when another pause shows whether other processes
// want time.
const wantedWeight = 16

// share is the processor time of a Task, and what the host does about it.
type share struct {
	processors time.Duration // of the machine
	seen       time.Time     // when used was measured
	used       time.Duration // processor time since the Task's start

	asked bool   // the Core waits for the Task, or did a second ago
	done  uint64 // frames that the index's Tasks have finished
	heard bool   // done is known

	all, own time.Duration // processor time that it may still take: of any kind, and without a question
	back     time.Duration // processor time that is left of rule 4
	low      bool          // its class is to be lowered
	paused   bool          // it is to be paused
	wanted   float64       // share of its pauses in which another process wanted a processor; from 0 to 1
}

// newShare returns the share of a Task that starts now. A Task is asked for its configuration first.
func newShare(processors int, now time.Time) share {
	n := time.Duration(processors)
	return share{processors: n, seen: now, asked: true, all: n * askedSpan, own: n * ownSpan, wanted: 1}
}

// hear takes the Core's message about the Task's index.
func (s *share) hear(m hostwire.Index) {
	s.asked = !s.heard || m.Queued > 0 || m.Done != s.done || m.State != model.IndexServing
	s.done, s.heard = m.Done, true
	if m.State == model.IndexServing {
		s.back = 0
	}
	s.paused = s.paused && (!s.asked || s.low && s.all < 0)
}

// parts is the share of a Task that the Core asks, in parts of allParts.
func (s *share) parts() time.Duration {
	if !s.low {
		return askedParts
	}
	return min(max(busyParts, time.Duration(allParts*(1-s.wanted))), freeParts)
}

// take notes that the Task has used that much processor time since its start, and decides on its
// class and its pause. idle is the number of Tasks that are over their share of rule 2. wanted says that
// a process other than this Task wants a processor now; it counts only if the Task is paused.
func (s *share) take(now time.Time, used time.Duration, idle int, wanted bool) {
	if s.paused {
		s.wanted -= s.wanted / wantedWeight
		if wanted {
			s.wanted += 1.0 / wantedWeight
		}
	}
	passed := max(now.Sub(s.seen), 0) * s.processors
	took := max(used-s.used, 0)
	s.seen, s.used = now, used
	s.back = max(0, s.back-took)
	s.all = min(max(s.all+passed*s.parts()/allParts-took, -s.processors*askedDebt), s.processors*askedSpan)
	own := s.own + passed/ownShare/time.Duration(max(1, idle))
	if !s.asked {
		own -= took
	}
	s.own = min(max(own, -s.processors*ownDebt), s.processors*ownSpan)
	switch {
	case s.all <= 0 || s.own <= 0:
		s.low = true
	case s.all >= s.processors*askedSpan/2 && s.own >= s.processors*lookEvery/ownShare:
		s.low = false
	}
	s.paused = s.asked && s.low && s.all < 0 && s.back == 0 || !s.asked && s.own < 0
}

// comesBack returns the processor time of rule 4 for a process of an index that starts now.
func (s *session) comesBack(index uint64, processors int, now time.Time) time.Duration {
	if s.had[index] || now.Sub(s.began) > backWithin {
		return 0
	}
	s.had[index] = true
	return time.Duration(processors) * backSpan
}

// watched reports whether the host must look at the Task every paceEvery: it is over a share, or has
// used a part of what it had saved up.
func (s *share) watched() bool { return s.low || s.all < s.processors*askedSpan }

// idle reports whether the Task is over its share of rule 2.
func (s *share) idle() bool { return s.low && !s.asked }

// String returns what the host does about the Task.
func (s *share) String() string {
	switch {
	case s.idle():
		return Paused
	case s.low:
		return Lowered
	}
	return WithinShare
}

func (s *share) class() sandbox.Class {
	if s.low {
		return sandbox.ClassIdle
	}
	return sandbox.ClassTask
}

// hear takes the Core's message about an index. A paused Task continues at once if the Core asks it.
func (s *session) hear(m hostwire.Index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[m.Instance]; t != nil {
		t.share.hear(m)
		s.follow(t)
	}
}

// shareProcessors looks at the Tasks until ended is closed.
func (s *session) shareProcessors(ended <-chan struct{}) {
	all, some := time.NewTicker(lookEvery), time.NewTicker(paceEvery)
	defer all.Stop()
	defer some.Stop()
	some.Stop()
	for {
		watched := 0
		select {
		case now := <-all.C:
			watched = s.lookAtTasks(now, false)
		case now := <-some.C:
			watched = s.lookAtTasks(now, true)
		case <-ended:
			return
		}
		if watched > 0 {
			some.Reset(paceEvery)
		} else {
			some.Stop()
		}
	}
}

// lookAtTasks measures the Tasks, or only the watched ones. It returns the number of the latter.
func (s *session) lookAtTasks(now time.Time, some bool) (watched int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle, wanted := 0, processorsWanted()
	for _, t := range s.tasks {
		if some && !t.share.watched() {
			continue
		}
		used, err := t.ProcessorTime()
		if err != nil {
			continue // it has ended
		}
		t.share.take(now, used, s.idle, wanted)
		s.follow(t)
		if t.share.watched() {
			watched++
		}
		if t.share.idle() {
			idle++
		}
	}
	s.idle = idle
	return watched
}

// processorsWanted reports whether a thread other than this one runs or waits for a processor. It
// counts no paused Task.
func processorsWanted() bool {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return true
	}
	// Three averages, and "running/all": proc_loadavg(5).
	fields := strings.Fields(string(text))
	if len(fields) < 4 {
		return true
	}
	running, _, _ := strings.Cut(fields[3], "/")
	n, err := strconv.Atoi(running)
	return err != nil || n > 1
}

// follow does with a Task as its share says.
func (s *session) follow(t *task) {
	var errs [3]error
	if t.share.paused && !t.paused {
		errs[0] = t.Pause()
	}
	// Threads of a paused Task start no others.
	if class := t.share.class(); s.h.mayClass && (class != t.class || t.share.low) {
		if errs[1] = t.SetClass(class); errs[1] == nil {
			t.class = class
		}
	}
	if !t.share.paused && t.paused {
		errs[2] = t.Continue()
	}
	t.paused = t.share.paused
	err := errors.Join(errs[:]...)
	switch log := s.h.log.With("index", t.index, "pid", t.PID()); {
	case errors.Is(err, sandbox.ErrEnded):
	case err != nil && !t.failed:
		t.failed = true
		log.Error("a Task's share of processor time can't be enforced", "error", err)
	case t.paused && !t.share.asked && !t.told:
		t.told = true
		log.Warn("a Task takes processor time although the Core asks it nothing: it gets a fortieth of the machine's")
	}
}
