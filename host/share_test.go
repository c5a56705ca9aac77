package host

import (
	"cmp"
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
	crowded bool // other processes want all processors
	strong  bool // it takes what it wants nevertheless; otherwise it gets nothing while it is lowered
	paused  time.Duration
	longest time.Duration // without an end
	present time.Duration
	state   model.IndexState // zero: it serves
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
	idle := 0
	for passed := time.Duration(0); passed < d; passed += paceEvery {
		m.now = m.now.Add(paceEvery)
		second := passed%lookEvery == 0
		for _, t := range m.tasks {
			if !t.share.paused {
				t.present = 0
			}
			switch {
			case t.share.paused:
				t.paused += paceEvery
				t.present += paceEvery
				t.longest = max(t.longest, t.present)
			case t.runs && (!t.crowded || t.strong || !t.low):
				t.used += paceEvery * time.Duration(min(t.threads, m.processors))
			}
			if second {
				queued := uint64(0)
				if t.asked {
					queued = 1
				}
				state := cmp.Or(t.state, model.IndexServing)
				t.hear(hostwire.Index{State: state, Queued: queued})
			}
			if second || t.watched() {
				t.take(m.now, t.used, idle, t.crowded)
			}
		}
		idle = 0
		for _, t := range m.tasks {
			if t.idle() {
				idle++
			}
		}
	}
}

// TestASpinningTaskGetsAFortieth of the processor time, and what it has saved up. When it stops
// spinning, it gets its class back.
func TestASpinningTaskGetsAFortieth(t *testing.T) {
	for _, processors := range []int{1, 2, 64} {
		x := &busyTask{runs: true, threads: 64}
		m := newMachine(processors, x)
		m.run(10 * time.Second) // it uses up what it has saved
		before := x.used
		const span = 100 * time.Second
		m.run(span)
		share := float64(x.used-before) / float64(span*time.Duration(processors))
		if share < 0.02 || share > 0.03 {
			t.Errorf("on %d processors it takes %.3f of the time; want a fortieth", processors, share)
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

// TestSpinningTasksShareAFortieth.
func TestSpinningTasksShareAFortieth(t *testing.T) {
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
	if share := float64(sum()-before) / float64(2*span); share < 0.02 || share > 0.03 {
		t.Errorf("together they take %.3f of the time; want a fortieth", share)
	}
	for i, x := range tasks {
		if x.share.paused == false && x.paused == 0 {
			t.Errorf("Task %d was never paused", i)
		}
	}
}

// TestATaskWithWork gets nearly all time of a free machine. On a crowded machine it gets an eighth,
// also if it could take more in spite of its class. A Task that takes a quarter is left alone. Its pauses are short.
func TestATaskWithWork(t *testing.T) {
	for _, c := range []struct {
		name        string
		task        busyTask
		processors  int
		least, most float64
	}{
		{"free", busyTask{threads: 2}, 2, 0.85, 0.95},
		{"crowded", busyTask{threads: 2, crowded: true}, 2, 0.12, 0.16},
		{"strong", busyTask{threads: 64, crowded: true, strong: true}, 2, 0.12, 0.16},
		{"modest", busyTask{threads: 1, crowded: true}, 4, 0.25, 0.25},
	} {
		x := &c.task
		x.runs, x.asked = true, true
		m := newMachine(c.processors, x)
		m.run(10 * time.Second)
		before := x.used
		const span = 100 * time.Second
		m.run(span)
		share := float64(x.used-before) / float64(span*time.Duration(c.processors))
		if share < c.least || share > c.most {
			t.Errorf("%s: it gets %.3f of the time; want %.2f to %.2f", c.name, share, c.least, c.most)
		}
		if x.longest > time.Second/4+paceEvery {
			t.Errorf("%s: a pause takes %v; want a quarter of a second at most", c.name, x.longest)
		}
	}
}

// TestAnIndexComesBackWithoutPauses, once for each start of the Core, and until it serves or has used
// what it is given. Its class is lowered.
func TestAnIndexComesBackWithoutPauses(t *testing.T) {
	s := &session{began: time.Unix(0, 0), had: make(map[uint64]bool)}
	x := &busyTask{runs: true, asked: true, threads: 2, crowded: true, strong: true}
	m := newMachine(2, x)
	x.back = s.comesBack(7, 2, m.now)
	if x.state = model.IndexBuilding; s.comesBack(7, 2, m.now) != 0 {
		t.Error("a second process of the index is not paused, either")
	}
	if s.comesBack(8, 2, s.began.Add(backWithin+1)) != 0 {
		t.Error("a process long after the start is not paused, either")
	}
	m.run(backSpan - time.Second)
	if x.paused > 0 || x.class() != sandbox.ClassIdle {
		t.Errorf("it is paused for %v, and has class %v; want no pause, and a lowered class", x.paused, x.class())
	}
	serves := *x
	m.run(time.Minute)
	if x.paused < time.Minute/2 {
		t.Errorf("it spins on, and is paused for %v of a minute", x.paused)
	}
	serves.state = model.IndexServing
	m.tasks[0] = &serves
	m.run(10 * time.Second)
	if serves.paused < time.Second {
		t.Errorf("it serves, and is paused for %v in ten seconds", serves.paused)
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
