package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"motte/core/codec"
	"motte/core/model"
	"motte/core/seal"
)

// A checkpoint is the state that all records up to a position led to, in pieces,
// so that a start need not read those records. It is
//
//	header  magic "MCKP" | version 2 | reserved 3 | store 16 | number 4
//	        reserved 4 | salt 16
//	piece   length 4 | the piece, and 16 of seal
//	…
//
// Pieces are sealed under a key from the salt. The nonce counts them; their
// associated data is the header and a byte that is 1 for the last piece: a piece
// that is altered, moved or missing is noticed, and so is the end. The last piece
// is the log's own:
//
//	LSN 8 | chain value 32 | segment ID 16 | segment 4 | end 4 | generation of the keys 8
//	segments 4 | of each: segment 4 | end 4 | bytes of barriers 4 | segment ID 16
//	branches 4 | of each: first LSN 8 | tag 16
//
// Two checkpoints are kept: if the newest one is damaged, the one before leads to
// the same state.
const (
	checkpointMagic   = "MCKP"
	checkpointVersion = 2
	checkpointHeader  = 48
	checkpointSuffix  = ".ckp"
	// A damaged checkpoint is at most a few numbers ahead of the one that a start takes.
	// Whoever can make a file chooses its number: one far ahead must not use up all numbers.
	maxAhead = 1024
)

func checkpointName(n uint32) string { return fmt.Sprintf("%08d%s", n, checkpointSuffix) }

// checkpointHead is a checkpoint's header up to the salt.
func (l *Log) checkpointHead(number uint32) codec.Writer {
	return codec.Writer(checkpointMagic).U8(checkpointVersion, 0, 0, 0).Bytes(l.store[:]).U32(number).U32(0)
}

// Checkpoints lists the numbers of what Restore may take, best first: those of the
// checkpoints, and 0 for the empty state.
func (l *Log) Checkpoints() []uint32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	numbers := append(slices.Sorted(maps.Keys(l.checkpoints)), 0)
	newestFirst := func(a, b uint32) int { return cmp.Compare(b, a) }
	slices.SortFunc(numbers, newestFirst)
	return numbers
}

// Checkpoint writes a checkpoint of the state at a position: pieces, until one is empty.
// They may show some effects of records behind it, as long as replaying those leads to
// the same state. Then only this checkpoint and the one before it are kept.
func (l *Log) Checkpoint(at Position, piece func() ([]byte, error)) error {
	number := l.nextCheckpoint()
	var salt seal.Salt
	_, _ = l.random(salt[:])
	header := l.checkpointHead(number).Bytes(salt[:])
	aead, size := l.keys.Checkpoint(salt), int64(len(header))
	err := l.storage.Create(checkpointName(number), func(w io.Writer) error {
		_, err := w.Write(header)
		var p, buf []byte
		for i, last := 0, byte(0); err == nil && last == 0; i++ {
			if p, err = piece(); err != nil {
				return err
			} else if len(p) == 0 {
				p, last = l.footer(at), 1 // which knows the end of all that the others may show
			}
			buf = codec.Writer(buf[:0]).U32(uint32(len(p) + seal.Overhead))
			buf = aead.Seal(buf, seal.Nonce(uint64(i)), p, append(header, last))
			size += int64(len(buf))
			_, err = w.Write(buf)
		}
		return err
	})
	if err == nil || errors.Is(err, os.ErrExist) {
		l.lastCheckpoint = number
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", checkpointName(number), err)
	}
	l.mu.Lock()
	l.checkpoints[number] = size
	before := l.base
	l.base, l.floor, l.from = number, l.from, at.Segment
	l.mu.Unlock()
	for _, old := range l.Checkpoints() {
		if old != number && old != before && old != 0 {
			_ = removeFrom(l, l.checkpoints, old, checkpointName(old)) // or the next one does
		}
	}
	return nil
}

// nextCheckpoint returns the number of the next checkpoint: a number that no file has
// or had, be it lost or made by another program. It is higher than those that may come
// back after a crash.
func (l *Log) nextCheckpoint() uint32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	number := max(l.base, l.lastCheckpoint)
	for n := range l.checkpoints {
		if n < l.base+maxAhead {
			number = max(number, n)
		}
	}
	for number++; l.checkpoints[number] > 0; number++ {
	}
	return number
}

// CheckpointBytes returns the size of the newest checkpoint.
func (l *Log) CheckpointBytes() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.checkpoints[l.base]
}

// footer encodes the log's own piece.
func (l *Log) footer(at Position) []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	w := codec.Writer(nil).U64(at.LSN).Bytes(at.Chain[:]).Bytes(at.SegmentID[:]).U32(at.Segment).U32(at.End)
	w = w.U64(l.generation)
	w = w.U32(uint32(len(l.segments)))
	for _, number := range slices.Sorted(maps.Keys(l.segments)) {
		s := l.segments[number]
		w = w.U32(number).U32(uint32(s.end)).U32(uint32(s.barrierBytes)).Bytes(s.id[:])
	}
	// Up to the segment of the position: Replay adds those behind it itself.
	history, newest := l.history, l.segments[at.Segment]
	for len(history) > 0 && (newest == nil || history[len(history)-1].Segment != newest.id) {
		history = history[:len(history)-1]
	}
	w = w.U32(uint32(len(history)))
	for _, h := range history {
		w = w.U64(h.LSN).Bytes(h.Segment[:])
	}
	return w
}

// Restore starts from a checkpoint, of those that Checkpoints lists: its pieces,
// each valid until restore returns, are handed to restore in their order. After
// an error another one can be tried, with a new receiver; but not after an ErrLost:
// an older one would take what is gone for never written.
func (l *Log) Restore(number uint32, restore func(i int, piece []byte) error) error {
	l.pos, l.history, l.base, l.from = Position{}, nil, 0, 0
	if number == 0 {
		return nil
	}
	err := l.readCheckpoint(number, func(i int, piece []byte, last bool) error {
		if last {
			return l.restoreFooter(i, piece)
		}
		return restore(i, piece)
	})
	if err != nil {
		return err
	}
	l.base, l.from = number, l.pos.Segment
	return nil
}

// CheckCheckpoint reads a checkpoint, and opens each of its pieces; after each of them it
// calls rest.
func (l *Log) CheckCheckpoint(number uint32, rest func() error) error {
	return l.readCheckpoint(number, func(int, []byte, bool) error { return rest() })
}

// readCheckpoint hands the pieces of a checkpoint to visit, in their order; the last one
// is the log's own.
func (l *Log) readCheckpoint(number uint32, visit func(i int, section []byte, last bool) error) error {
	l.mu.RLock()
	name, size := checkpointName(number), l.checkpoints[number]
	l.mu.RUnlock()
	var errRead error
	read := func(offset, n int64) []byte { // or less, at the end
		p := make([]byte, max(0, min(n, size-offset)))
		errRead = cmp.Or(errRead, l.storage.ReadAt(name, p, offset))
		return p
	}
	header := read(0, checkpointHeader)
	want := l.checkpointHead(number)
	if len(header) < checkpointHeader || string(header[:len(want)]) != string(want) {
		damage := &DamageError{name, 0, "the header is not one of this store and version"}
		return cmp.Or[error](errRead, damage)
	}
	aead := l.keys.Checkpoint(seal.Salt(header[len(want):]))
	for at, nonce, last := int64(checkpointHeader), uint64(0), byte(0); last == 0; nonce++ {
		n := int64(codec.NewReader(read(at, 4)).U32())
		p, end := read(at+4, n), at+4+n
		if end == size {
			last = 1
		}
		p, err := aead.Open(p[:0], seal.Nonce(nonce), p, append(header, last))
		if err == nil {
			err = visit(int(nonce), p, last == 1)
		}
		if errors.Is(err, ErrDamaged) { // and not the checkpoint
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		if err != nil {
			return cmp.Or[error](errRead, &DamageError{name, at, "the section fails its check"})
		}
		at = end
	}
	return nil
}

// restoreFooter reads the log's own piece.
func (l *Log) restoreFooter(_ int, p []byte) error {
	r := codec.NewReader(p)
	l.pos.LSN = r.U64()
	r.Copy(l.pos.Chain[:])
	r.Copy(l.pos.SegmentID[:])
	l.pos.Segment, l.pos.End = r.U32(), r.U32()
	l.knowKeys(r.U64())
	for n := r.U32(); n > 0 && r.Len() > 0; n-- {
		number, end, barriers := r.U32(), int64(r.U32()), int64(r.U32())
		var id SegmentID
		r.Copy(id[:])
		// One before the position that is missing was removed since: nothing may need it.
		if s := l.segments[number]; s != nil && s.id == id && end <= s.size {
			s.end, s.barrierBytes = end, barriers
		} else if s != nil || number >= l.pos.Segment {
			err := l.damage(segmentName(number), end,
				"it was cut off, is missing, or belongs to a fork of the store")
			if err != nil {
				return err
			}
		}
	}
	for n := r.U32(); n > 0 && r.Len() > 0; n-- {
		h := model.Head{LSN: r.U64()}
		r.Copy(h.Segment[:])
		l.history = append(l.history, h)
	}
	return r.Done()
}
