package crashfs

import (
	"testing"

	"motte/internal/testutil"
)

// How many steps of the disk things take, about.
const (
	loadSteps       = 150 // enough for some dozens of requests
	firstStartSteps = 40
	startSteps      = 6
	choreSteps      = 40 // compaction; an erasure takes fewer
)

// TestAcknowledgedWritesSurvivePowerCuts loads a server and cuts the power, in
// the middle of writes, and of what a start does. The store opens each time by
// itself, and holds what was acknowledged, whole.
func TestAcknowledgedWritesSurvivePowerCuts(t *testing.T) {
	for kind, on := range media {
		t.Run(kind, func(t *testing.T) {
			rng := random(t)
			s, b := newServer(t, on(t)), newBooks()
			defer b.balance(t)
			s.create(s.mustReady())
			n := *cuts
			if kind == "ext4" {
				n = max(1, n/2) // slower, and mostly the kernel's work
			}
			for range n {
				wait := b.load(t.Context(), s)
				s.cutAt(s.medium.volume().CutAfter(rng.IntN(loadSteps)), rng)
				wait()
				for rng.IntN(3) == 0 {
					s.start()
					s.cutAt(s.after(startSteps, rng), rng)
				}
				if !b.account(t.Context(), s.mustReady()) {
					return
				}
			}
			s.stop()
			b.account(t.Context(), s.mustReady())
		})
	}
}

// TestWhatKilledServersLeaveIsMadeDurable: a server that was killed leaves
// writes that are not durable. The next one finds them, and may show them only
// if a power cut can't take them away any more.
func TestWhatKilledServersLeaveIsMadeDurable(t *testing.T) {
	rng := random(t)
	s, b := newServer(t, onFileSystem(t)), newBooks()
	defer b.balance(t)
	s.create(s.mustReady())
	for range max(1, *cuts/2) {
		wait := b.load(t.Context(), s)
		s.killAt(s.medium.volume().CutAfter(rng.IntN(loadSteps)))
		wait()
		if !b.account(t.Context(), s.mustReady()) {
			return
		}
		s.cut(rng)
		if !b.account(t.Context(), s.mustReady()) {
			return
		}
	}
}

// TestChoresSurvivePowerCuts cuts the power, or only kills everything, while the
// Core compacts, or destroys the key of a principal that is erased.
func TestChoresSurvivePowerCuts(t *testing.T) {
	rng := random(t)
	s, b := newServer(t, onFileSystem(t)), newBooks()
	defer b.balance(t)
	c := s.mustReady()
	s.create(c)
	for i := range max(1, *cuts/2) {
		testutil.Must(t, b.addTenant(t.Context(), s, c))
		b.loadUntil(s, 20)
		off, answered := s.after(choreSteps, rng), make(chan struct{})
		go func() {
			defer close(answered)
			if i%2 == 0 {
				_ = b.compact(t.Context(), c) // the books show whether it did harm
			} else {
				_ = b.eraseTenant(t.Context(), c) // they know whether it was answered
			}
		}()
		select {
		case <-off:
		case <-answered:
		}
		s.medium.volume().Cut()
		if rng.IntN(2) == 0 {
			s.killOnly()
			<-answered
			b.account(t.Context(), s.mustReady())
			b.loadUntil(s, 5)
		}
		s.cut(rng)
		<-answered
		if c = s.mustReady(); !b.account(t.Context(), c) {
			return
		}
	}
}

// TestFirstStartSurvivesPowerCuts: whatever a first start had done when the power
// was cut, or when it was killed, the next one makes a store that its
// administrator can use, and that keeps what is acknowledged.
func TestFirstStartSurvivesPowerCuts(t *testing.T) {
	rng := random(t)
	for range max(1, *cuts/2) {
		s, b := newServer(t, onFileSystem(t)), newBooks()
		s.start()
		if off := s.after(firstStartSteps, rng); rng.IntN(2) == 0 {
			s.cutAt(off, rng)
		} else {
			s.killAt(off)
		}
		s.create(s.mustReady())
		b.loadUntil(s, 10)
		s.cut(rng)
		whole := b.account(t.Context(), s.mustReady())
		s.kill()
		if b.balance(t); !whole {
			return
		}
	}
}

// TestLyingDiskIsFoundOut: on a disk that makes nothing durable the same cuts do
// lose what was acknowledged, and the books show it. So it is known that they
// could.
func TestLyingDiskIsFoundOut(t *testing.T) {
	rng := random(t)
	s, b := newServer(t, onFileSystem(t)), newBooks()
	s.create(s.mustReady())
	for range 20 { // each cut may happen to lose nothing
		s.medium.volume().Lie()
		wait := b.load(t.Context(), s)
		s.cutAt(s.medium.volume().CutAfter(rng.IntN(loadSteps)), rng)
		wait()
		s.start()
		c, err := s.ready()
		if err != nil {
			t.Logf("found out: %v", err)
			return
		}
		defer c.Close()
		if !b.account(t.Context(), c) {
			t.Logf("found out: %s", b.problems[0])
			return
		}
	}
	t.Error("nothing was lost on a disk that makes nothing durable, or nothing noticed")
}
