package host

import (
	"testing"
	"time"

	"motte/core/hostwire"
	"motte/core/model"
	"motte/host/sandbox"
)

// machine lets Tasks run on imaginary processors, as the host allows it.
type machine struct {
	now        time.Time
	processors int
	tasks      []*busyTask
}

// busyTask takes all processor time that it gets.
type busyTask struct {
	share
	used    time.Duration
	runs    bool
	threads int  // processors that it can use
	asked   bool // the Core always has a question for it
	crowded bool // other processes want all processors: a lowered Task gets nothing
	paused  time.Duration
	lowered time.Duration
}

func newMachine(processors int, tasks ...*busyTask) *machine {
	m := &machine{now: time.Unix(0, 0), processors: processors, tasks: tasks}
	for _, t := range tasks {
		t.share = newShare(processors, m.now)
	}
	return m
}

// run lets time pass. Once a second the Core tells of the indexes, and the host looks at all Tasks.
func (m *machine) run(d time.Duration) {
	over := 0
	for passed := time.Duration(0); passed < d; passed += paceEvery {
		m.now = m.now.Add(paceEvery)
		second := passed%lookEvery == 0
		for _, t := range m.tasks {
			switch {
			case t.share.paused:
				t.paused += paceEvery
			case t.runs && !(t.crowded && t.low):
				t.used += paceEvery * time.Duration(min(t.threads, m.processors))
			}
			if t.low {
				t.lowered += paceEvery
			}
			if second {
				queued := uint64(0)
				if t.asked {
					queued = 1
				}
				t.hear(hostwire.Index{State: model.IndexServing, Queued: queued})
			}
			if second || t.over() {
				t.take(m.now, t.used, over)
			}
		}
		over = 0
		for _, t := range m.tasks {
			if t.over() {
				over++
			}
		}
	}
}

// TestASpinningTaskGetsATwentieth of the processor time, and what it has saved up. When it stops
// spinning, it gets its class back.
func TestASpinningTaskGetsATwentieth(t *testing.T) {
	for _, processors := range []int{1, 2, 64} {
		x := &busyTask{runs: true, threads: 64}
		m := newMachine(processors, x)
		m.run(10 * time.Second) // it uses up what it has saved
		before := x.used
		const span = 100 * time.Second
		m.run(span)
		share := float64(x.used-before) / float64(span*time.Duration(processors))
		if share < 0.04 || share > 0.06 {
			t.Errorf("on %d processors it takes %.3f of the time; want a twentieth", processors, share)
		}
		if x.class() != sandbox.ClassIdle {
			t.Errorf("on %d processors its class is %v; want it lowered", processors, x.class())
		}
		x.runs = false
		m.run(12 * time.Second)
		if x.class() != sandbox.ClassTask || x.share.paused {
			t.Errorf("on %d processors it does not spin any more: class %v, paused %v", processors, x.class(), x.share.paused)
		}
	}
}

// TestSpinningTasksShareATwentieth.
func TestSpinningTasksShareATwentieth(t *testing.T) {
	tasks := []*busyTask{{runs: true, threads: 64}, {runs: true, threads: 64}, {runs: true, threads: 1}, {runs: true, threads: 2}}
	m := newMachine(2, tasks...)
	m.run(20 * time.Second)
	sum := func() (used time.Duration) {
		for _, x := range tasks {
			used += x.used
		}
		return used
	}
	before := sum()
	const span = 200 * time.Second
	m.run(span)
	if share := float64(sum()-before) / float64(2*span); share < 0.04 || share > 0.06 {
		t.Errorf("together they take %.3f of the time; want a twentieth", share)
	}
	for i, x := range tasks {
		if x.share.paused == false && x.paused == 0 {
			t.Errorf("Task %d was never paused", i)
		}
	}
}

// TestATaskWithWorkIsNeverPaused: on a free machine it gets all time that it can use. On a crowded
// machine it gets a quarter of it, with the priority of Tasks.
func TestATaskWithWorkIsNeverPaused(t *testing.T) {
	free := &busyTask{runs: true, threads: 2, asked: true}
	crowded := &busyTask{runs: true, threads: 2, asked: true, crowded: true}
	modest := &busyTask{runs: true, threads: 1, asked: true}
	const span = 100 * time.Second
	newMachine(2, free).run(span)
	newMachine(2, crowded).run(span)
	newMachine(4, modest).run(span)
	for name, x := range map[string]*busyTask{"free": free, "crowded": crowded, "modest": modest} {
		if x.paused > 0 {
			t.Errorf("%s: it is paused for %v", name, x.paused)
		}
	}
	if free.used != 2*span {
		t.Errorf("a Task on a free machine gets %v; want all of it", free.used)
	}
	if share := float64(crowded.used) / float64(2*span); share < 0.24 || share > 0.27 {
		t.Errorf("a Task on a crowded machine gets %.3f of the time; want a quarter", share)
	}
	if modest.lowered > 0 {
		t.Errorf("a Task that takes a quarter of the machine is lowered for %v", modest.lowered)
	}
}

// TestAQuestionEndsThePause of a Task that has spun before.
func TestAQuestionEndsThePause(t *testing.T) {
	x := &busyTask{runs: true, threads: 64}
	m := newMachine(2, x)
	for m.run(paceEvery); !x.share.paused; {
		m.run(lookEvery)
	}
	for name, msg := range map[string]hostwire.Index{
		"a frame waits":                  {State: model.IndexServing, Queued: 1},
		"frames were answered meanwhile": {State: model.IndexServing, Done: 5},
		"it is built":                    {State: model.IndexBuilding},
	} {
		s := x.share
		if s.hear(msg); s.paused {
			t.Errorf("%s, but the Task is paused", name)
		}
	}
	s := x.share
	if s.hear(hostwire.Index{State: model.IndexServing}); !s.paused {
		t.Error("the Core asks nothing, but the Task is not paused")
	}
}
