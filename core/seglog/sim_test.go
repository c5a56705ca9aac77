package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"motte/internal/testutil"
)

// TestSimulation runs random histories: writes, relocations, removals, checkpoints, restarts,
// failures of each of them, and crashes. A crash leaves any part of the last write, and brings
// removed files back. After each step every object is read. At each restart all acknowledged
// records must be there.
func TestSimulation(t *testing.T) {
	for seed := range testutil.Repeats(40, uint64(10)) {
		s := simulation{r: rand.New(rand.NewPCG(seed, 1)), d: newDisk()}
		if err := s.run(120); err != nil {
			t.Fatalf("history %d:\n%s\n%v", seed, bytes.Join(s.done, []byte("\n")), err)
		}
	}
}

type simulation struct {
	r      *rand.Rand
	d      *disk
	w      *world
	starts uint64
	acked  uint64
	done   [][]byte // steps so far, for the message
}

func (s *simulation) run(steps int) error {
	if err := s.restart(); err != nil {
		return err
	}
	if err := s.w.write(1); err != nil {
		return err
	}
	for range steps {
		if err := s.step(); err != nil {
			return err
		}
		if err := s.w.verify(); err != nil {
			return err
		}
		s.acked = s.w.l.Position().LSN
	}
	return nil
}

// note records the present step.
func (s *simulation) note(format string, args ...any) {
	s.done = append(s.done, fmt.Appendf(nil, format, args...))
}

func (s *simulation) restart() (err error) {
	s.starts++
	if s.w, err = open(s.d, s.starts+s.r.Uint64()); err == nil && len(s.w.refused) > 0 {
		err = errors.Join(s.w.refused...)
	}
	if err == nil && s.w.l.Position().LSN < s.acked {
		err = fmt.Errorf("record %d was acknowledged, %d is the last", s.acked, s.w.l.Position().LSN)
	}
	return err
}

func (s *simulation) step() error {
	w := s.w
	switch n := s.r.IntN(20); {
	case n < 7:
		s.note("write")
		return w.write(1 + s.r.IntN(4))
	case n < 9:
		s.note("checkpoint")
		return s.checkpoint()
	case n < 11:
		return s.compact()
	case n < 12:
		s.note("rotate")
		w.l.Rotate()
	case n < 13:
		s.note("restart")
		return s.restart()
	case n < 15:
		return s.fail()
	case n < 17:
		return s.crash()
	case n < 18:
		s.note("resume")
		return w.l.Resume()
	case n < 19:
		s.note("damage the newest checkpoint, and restart")
		if names := s.d.names(checkpointSuffix); len(names) == 2 {
			p := s.d.files[names[1]]
			p[s.r.IntN(len(p))] ^= 1 << s.r.IntN(8)
			s.starts++
			var err error
			s.w, err = open(s.d, s.starts)
			return errors.Join(err, s.w.checkpoint())
		}
	default:
		s.note("start from the checkpoint before")
		if list := w.l.Checkpoints(); len(list) == 3 {
			other, err := openFrom(s.d.clone(), 1, list[1])
			if err == nil && (other.l.Position() != w.l.Position() && other.l.Position().LSN != w.l.Position().LSN || !maps.Equal(other.objects, w.objects)) {
				err = errors.New("the older checkpoint leads to another state")
			}
			return err
		}
	}
	return nil
}

// checkpoint writes a checkpoint while other steps run.
func (s *simulation) checkpoint() error {
	w := s.w
	at := w.l.Position()
	return w.l.Checkpoint(at, inPieces(func(i int) ([]byte, error) {
		var err error
		if s.r.IntN(3) == 0 {
			err = w.write(1)
		}
		p, errPiece := w.piece(i)
		return p, errors.Join(err, errPiece)
	}))
}

// compact relocates the live records of a segment that no checkpoint needs, and usually removes
// it.
func (s *simulation) compact() error {
	free := slices.DeleteFunc(s.w.l.Segments(), func(x SegmentInfo) bool { return !x.Free })
	if len(free) == 0 {
		return nil
	}
	id := free[s.r.IntN(len(free))].Number
	s.note("carry segment %d", id)
	err := s.w.carry(id)
	if err == nil && s.r.IntN(4) > 0 {
		s.note("remove segment %d", id)
		err = s.w.l.Remove(id)
	}
	return err
}

// left returns a function that leaves a random part of a write.
func (s *simulation) left() func(int64, []byte) []byte {
	if s.r.IntN(2) == 0 {
		return first(s.r.IntN(1500))
	}
	return sectors(s.r.Uint64() & s.r.Uint64())
}

// fail lets writes fail until the log resumes or restarts.
func (s *simulation) fail() error {
	s.d.fail, s.d.left = syscall.ENOSPC, s.left()
	what := s.r.IntN(4)
	s.note("the disk is full, %d", what)
	switch what {
	case 0:
		_ = s.checkpoint()
	case 1:
		_ = s.compact()
	}
	if s.w.write(1+s.r.IntN(5)) == nil {
		return errors.New("a write to a full disk succeeds; want an error")
	}
	if err := s.w.verify(); err != nil {
		return err
	}
	s.d.fail = nil
	if s.r.IntN(3) == 0 {
		s.note("restart")
		return s.restart()
	}
	return s.w.l.Resume()
}

// crash tears a write, brings some removed files back, adds zeros to the newest segment, and
// restarts.
func (s *simulation) crash() error {
	s.d.fail, s.d.left = errors.New("crash"), s.left()
	s.note("crash")
	if s.r.IntN(2) == 0 {
		_ = s.w.write(1 + s.r.IntN(5))
	} else {
		_ = s.compact()
	}
	s.d.fail = nil
	for name, p := range s.d.removed {
		if s.r.IntN(3) == 0 {
			s.note("%s is back", name)
			s.d.files[name] = p
		}
	}
	clear(s.d.removed)
	if p := s.d.files[s.d.current]; s.r.IntN(2) == 0 && p != nil {
		s.d.files[s.d.current] = append(p, make([]byte, 600)...)
	}
	return s.restart()
}
