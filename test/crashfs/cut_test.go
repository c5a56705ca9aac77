package crashfs

import (
	"testing"

	"motte/internal/testutil"
)

// Approximate numbers of disk steps.
const (
	loadSteps       = 150 // enough for some dozens of requests
	firstStartSteps = 40
	startSteps      = 6
	choreSteps      = 40 // of a compaction; an erasure takes fewer
)

// TestAcknowledgedWritesSurvivePowerCuts loads a server and cuts the power during writes, and
// during starts. The store must open each time without repair, and must have every acknowledged
// write, whole.
func TestAcknowledgedWritesSurvivePowerCuts(t *testing.T) {
	for kind, on := range media {
		t.Run(kind, func(t *testing.T) {
			rng := random(t)
			s, b := newServer(t, on(t)), newBooks()
			defer b.balance(t)
			s.create(s.mustReady())
			n := *cuts
			if kind == "ext4" {
				n = max(1, n/2) // slower, and mainly a test of the kernel's code
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

// TestWhatKilledServersLeaveIsMadeDurable: a killed server leaves writes that are not durable.
// The next server finds them. It must make them durable before it shows them, so that a power
// cut can't remove them.
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

// TestChoresSurvivePowerCuts cuts the power, or only kills all processes, while the Core
// compacts, or destroys the key of an erased principal.
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
				_ = b.compact(t.Context(), c) // an error is allowed; the books find any harm
			} else {
				_ = b.eraseTenant(t.Context(), c) // the books record whether it was answered
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

// TestFirstStartSurvivesPowerCuts: a first start is interrupted by a power cut or a kill at any
// step. The next start must make a store that its administrator can use, and that keeps
// acknowledged writes.
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

// TestLyingDiskIsFoundOut checks the test itself. On a disk whose syncs do nothing, the same
// cuts lose acknowledged writes, and the books must notice the loss.
func TestLyingDiskIsFoundOut(t *testing.T) {
	rng := random(t)
	s, b := newServer(t, onFileSystem(t)), newBooks()
	s.create(s.mustReady())
	for range 20 { // a single cut may happen to lose no write
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
	t.Error("20 cuts on a disk whose syncs do nothing lost no acknowledged write, or the books did not notice; so the tests check nothing")
}
