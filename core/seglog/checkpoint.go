package seglog

import (
	"bytes"
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

// A checkpoint is the state after all records up to a position, so that a start need not read
// these records. It consists of sections:
//
//	header   magic "MCKP" | version 2 | reserved 3 | store 16 | number 4
//	         reserved 4 | salt 16
//	section  length 4 | the section, and 16 of seal
//	…
//
// Sections are sealed under a key derived from the salt. The nonce is the number of the section.
// The associated data is the header and a byte that is 1 for the last section. So an altered,
// moved or missing section is detected, and also a missing end. The last section is the footer:
//
//	LSN 8 | chain value 32 | segment ID 16 | segment 4 | end 4 | generation of the keys 8
//	number of segments 4 | for each: segment 4 | end 4 | bytes of barriers 4 | segment ID 16
//	length of the history 4 | for each segment in it: first LSN 8 | segment ID 16
//
// Two checkpoints are kept. If the newest is damaged, the one before leads to the same state.
const (
	checkpointMagic   = "MCKP"
	checkpointVersion = 2
	checkpointHeader  = 48
	checkpointSuffix  = ".ckp"
	// A damaged checkpoint is at most a few numbers ahead of the checkpoint that a start takes.
	// A checkpoint file with a much higher number is not the Core's. It is ignored, so that it
	// does not use up all numbers.
	maxAhead = 1024
)

func checkpointName(n uint32) string { return fmt.Sprintf("%08d%s", n, checkpointSuffix) }

// checkpointHead returns the header of a checkpoint up to the salt.
func (l *Log) checkpointHead(number uint32) codec.Writer {
	return codec.Writer(checkpointMagic).U8(checkpointVersion, 0, 0, 0).Bytes(l.store[:]).U32(number).U32(0)
}

// Checkpoints lists the numbers that Restore accepts: those of the checkpoints, the newest first,
// and then 0 for the empty state.
func (l *Log) Checkpoints() []uint32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	numbers := append(slices.Sorted(maps.Keys(l.checkpoints)), 0)
	newestFirst := func(a, b uint32) int { return cmp.Compare(b, a) }
	slices.SortFunc(numbers, newestFirst)
	return numbers
}

// Checkpoint writes a checkpoint of the state at a position. It calls next for each section, until
// a section is empty. Sections may include effects of later records, if a replay of these records
// leads to the same state. When the checkpoint is durable, Checkpoint removes all checkpoints but
// this one and the one before it.
func (l *Log) Checkpoint(at Position, next func() ([]byte, error)) error {
	number := l.nextCheckpoint()
	var salt seal.Salt
	_, _ = l.random(salt[:])
	header := l.checkpointHead(number).Bytes(salt[:])
	aead, size := l.keys.Checkpoint(salt), int64(len(header))
	err := l.storage.Create(checkpointName(number), func(w io.Writer) error {
		_, err := w.Write(header)
		var p, buf []byte
		for i, last := 0, byte(0); err == nil && last == 0; i++ {
			if p, err = next(); err != nil {
				return err
			} else if len(p) == 0 {
				// After all sections: the footer has the ends of all segments that they refer to.
				p, last = l.footer(at), 1
			}
			buf = codec.Writer(buf[:0]).U32(uint32(len(p) + seal.Overhead))
			buf = aead.Seal(buf, seal.Nonce(uint64(i)), p, append(header, last))
			size += int64(len(buf))
			_, err = w.Write(buf)
		}
		return err
	})
	if err == nil || errors.Is(err, os.ErrExist) {
		l.highestCheckpoint = number
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", checkpointName(number), err)
	}
	l.mu.Lock()
	l.checkpoints[number] = size
	before := l.newestCheckpoint
	l.newestCheckpoint, l.firstNeeded, l.replayFrom = number, l.replayFrom, at.Segment
	l.mu.Unlock()
	for _, old := range l.Checkpoints() {
		if old != number && old != before && old != 0 {
			_ = removeFrom(l, l.checkpoints, old, checkpointName(old)) // or the next checkpoint does
		}
	}
	return nil
}

// nextCheckpoint returns the number of the next checkpoint. No file has or had this number, and it
// is higher than the numbers of removed checkpoints, which a crash may bring back.
func (l *Log) nextCheckpoint() uint32 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	number := max(l.newestCheckpoint, l.highestCheckpoint)
	for n := range l.checkpoints {
		if n < l.newestCheckpoint+maxAhead {
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
	return l.checkpoints[l.newestCheckpoint]
}

// footer encodes the footer of a checkpoint.
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
	// The history up to the segment of the position: Replay adds the later segments.
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

// Restore starts from a checkpoint that Checkpoints lists. It calls restore for each section i, in
// order, without the footer. A section is valid until restore returns. After an error, the caller
// may try another checkpoint, with a new state. It must not do so after ErrLost: with an older
// checkpoint, the lost records would look as if they had never been written.
func (l *Log) Restore(number uint32, restore func(i int, section []byte) error) error {
	l.pos, l.history, l.newestCheckpoint, l.replayFrom = Position{}, nil, 0, 0
	if number == 0 {
		return nil
	}
	err := l.readCheckpoint(number, func(i int, section []byte, last bool) error {
		if last {
			return l.restoreFooter(section)
		}
		return restore(i, section)
	})
	if err != nil {
		return err
	}
	l.newestCheckpoint, l.replayFrom = number, l.pos.Segment
	return nil
}

// CheckCheckpoint reads a checkpoint, and opens each of its sections. It calls rest after each
// section, and ends with the error of rest.
func (l *Log) CheckCheckpoint(number uint32, rest func() error) error {
	return l.readCheckpoint(number, func(int, []byte, bool) error { return rest() })
}

// readCheckpoint calls visit for each section of a checkpoint, in order. The last section is the
// footer. It returns ErrLost if visit returns ErrDamaged, and a DamageError if a section does not
// open.
func (l *Log) readCheckpoint(number uint32, visit func(i int, section []byte, last bool) error) error {
	l.mu.RLock()
	name, size := checkpointName(number), l.checkpoints[number]
	l.mu.RUnlock()
	var buf []byte
	var errRead error
	read := func(offset, n int64) []byte { // fewer than n bytes at the end of the file
		n = max(0, min(n, size-offset))
		buf = slices.Grow(buf[:0], int(n))[:n]
		errRead = cmp.Or(errRead, l.storage.ReadAt(name, buf, offset))
		return buf
	}
	header := bytes.Clone(read(0, checkpointHeader))
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
		if errors.Is(err, ErrDamaged) { // the checkpoint is intact, but the log lacks records
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		if err != nil {
			return cmp.Or[error](errRead, &DamageError{name, at, "the section fails its check"})
		}
		at = end
	}
	return nil
}

// restoreFooter takes the position and the history from a footer. It checks that the log has the
// segments that the footer names.
func (l *Log) restoreFooter(p []byte) error {
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
		// A missing segment before the position was removed after the checkpoint. The caller
		// checks that no live record is in it.
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
