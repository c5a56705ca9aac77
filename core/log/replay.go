package log

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
)

// readAhead is how much of a file is read at once, at least.
const readAhead = 1 << 20 // bytes

// window reads a file from front to back through a buffer. An error sticks: nothing
// that is read then means anything.
type window struct {
	storage Storage
	name    string
	size    int64 // bytes of the file that matter
	at      int64 // where buf begins
	buf     []byte
	err     error
}

// bytes returns n bytes at an offset, or what there is of them. They are valid
// until the next call.
func (w *window) bytes(offset, n int64) []byte {
	n = max(0, min(n, w.size-offset))
	if offset < w.at || offset+n > w.at+int64(len(w.buf)) {
		ahead := int(max(n, min(readAhead, w.size-offset)))
		w.at, w.buf = offset, slices.Grow(w.buf[:0], ahead)[:ahead]
		if err := w.storage.ReadAt(w.name, w.buf, offset); err != nil {
			w.err = fmt.Errorf("read %s at %d: %w", w.name, offset, err)
		}
	}
	if w.err != nil {
		return nil
	}
	return w.buf[offset-w.at:][:n]
}

// record reads the record at an offset of a segment, its body the caller's to keep,
// and as it is stored, valid until the next call. It says what is wrong, or nothing:
// that the key of its owner is gone, who was erased, is no damage. What is no record
// has no kind, and the length of a step to where the next one may lie.
func (l *Log) record(w *window, offset int64) (r Record, stored []byte, what string) {
	r, _, ok := l.openHead(w.bytes(offset, minRecord))
	if !ok {
		return Record{length: alignment}, nil, "the record's head fails its check"
	}
	stored = w.bytes(offset, r.length)
	if r, what = l.open(bytes.Clone(stored)); what == ownerGone {
		what = ""
	}
	return r, stored, what
}

// Replay reads the log behind the checkpoint, checks all of it, and hands each
// record of each whole group to apply, in order; r.Body is apply's to keep. Sealed is
// empty, but not nil, in one that is carried. What an owner put who was erased has
// no body: it can't be opened, and that is no damage. Replay is called once, after
// Restore and before Append.
func (l *Log) Replay(apply func(Record, Location) error) error {
	ids := slices.Sorted(maps.Keys(l.segments))
	from, _ := slices.BinarySearch(ids, l.pos.Segment) // Restore has said so if that is missing
	ids = append(ids[from:], 0)
	for i, id := range ids[:len(ids)-1] {
		s, next := l.segments[id], l.segments[ids[i+1]] // nil: none
		if id != l.pos.Segment {
			// All of the segment before must have been there, up to the end that
			// this header names.
			if s.firstLSN != l.pos.LSN+1 || s.chain != l.pos.Chain || s.previous != l.pos.Segment || s.previousEnd != l.pos.End {
				if err := l.damage(segmentName(l.pos.Segment), int64(l.pos.End), "records are missing behind this one"); err != nil {
					return err
				}
				l.pos.LSN, l.pos.Chain = s.firstLSN-1, s.chain
			}
			l.pos.Segment, l.pos.End = id, headerSize
			l.begin(s)
		}
		if err := l.replaySegment(s, next, apply); err != nil {
			return err
		}
	}
	return nil
}

// replaySegment applies the whole groups of a segment, from the position on.
// What is no record that follows on is damage, save in the newest segment, where
// it may be the end of the data, or a write that a crash cut short: unless it is
// proved that it was durable once, by what lies behind it or by a checkpoint that
// knows a later end. Of what is damaged, and accepted, all that can be read is kept,
// though its group is not whole.
func (l *Log) replaySegment(s, next *segment, apply func(Record, Location) error) error {
	w := &window{storage: l.storage, name: segmentName(s.id), size: s.size}
	if next != nil && next.previous == s.id { // behind the end that it names lies a torn tail
		w.size = min(w.size, int64(next.previousEnd))
	}
	var g Group // that is not whole yet
	var places []Location
	pos, lost := l.pos, false // behind g; behind damage, where any later record may follow
	for offset := int64(pos.End); offset < w.size; offset = int64(pos.End) {
		r, stored, what := l.record(w, offset)
		if w.err != nil {
			return w.err
		}
		carried, own := r.Kind > 0 && r.salt != s.salt, r.salt == s.salt
		follows := carried && len(g) == 0 || own && (r.LSN == pos.LSN+1 || lost && r.LSN > pos.LSN)
		step := min(alignment, w.size-offset)
		if r.Kind > 0 && !follows && !lost {
			what, step = "a record is missing before this one", 0
		}
		if what != "" && (follows || !lost) { // else it belongs to the damage before
			if next == nil && int64(l.pos.End) >= s.end && !l.proved(w, s, offset+step, pos.LSN) {
				break
			}
			if err := l.damage(w.name, offset, what); err != nil {
				return err
			}
		}
		if own && follows {
			pos.LSN = r.LSN - 1
		}
		if what == "" && follows {
			if carried {
				r.Sealed = []byte{}
			}
			g, places = append(g, r), append(places, Location{s.id, pos.End, uint32(r.length)})
			pos.pass(s, stored, &r)
			if lost = false; own && r.flags&flagCommit == 0 {
				continue
			}
		} else {
			pos.End, lost = pos.End+uint32(step), true
		}
		for i, r := range g {
			if apply(r, places[i]) != nil {
				if err := l.damage(w.name, int64(places[i].Offset), "the record can't be applied"); err != nil {
					return err
				}
			}
		}
		g, places, l.pos = g[:0], places[:0], pos
	}
	s.end = int64(l.pos.End)
	return w.err
}

// proved reports whether a record lies at an offset or behind it that was written in
// this segment after lsn, and that the Core marked as the first of a write: a write
// begins only when all before it is durable.
func (l *Log) proved(w *window, s *segment, offset int64, lsn uint64) bool {
	for ; offset < w.size; offset += alignment {
		r, _, ok := l.openHead(w.bytes(offset, minRecord))
		if ok && r.salt == s.salt && r.LSN > lsn && r.flags&flagFirst != 0 {
			return true
		}
	}
	return false
}

// Walk hands each record of a segment, checked, and as it is stored but without its
// body, to visit, in order; r.Sealed is visit's to keep. Anything else is an
// ErrDamaged: it must not be taken for dead, nor carried to where it could be taken
// for a torn write.
func (l *Log) Walk(segment uint32, visit func(r Record, at Location) error) error {
	l.mu.RLock()
	s := l.segments[segment]
	l.mu.RUnlock()
	if s == nil {
		return ErrMoved
	}
	w := &window{storage: l.storage, name: segmentName(segment), size: s.end}
	for offset := int64(headerSize); offset < w.size; {
		r, stored, what := l.record(w, offset)
		err := w.err
		if err == nil && what != "" {
			err = l.damage(w.name, offset, what)
		} else if err == nil {
			r.Body, r.Sealed = nil, bytes.Clone(stored)
			err = visit(r, Location{segment, uint32(offset), uint32(r.length)})
		}
		if err != nil {
			return err
		}
		offset += r.length
	}
	return nil
}

// Remove removes a segment that nothing needs.
func (l *Log) Remove(segment uint32) error {
	l.mu.Lock()
	s := l.segments[segment]
	delete(l.segments, segment)
	l.mu.Unlock()
	err := l.storage.Remove(segmentName(segment))
	if err != nil { // it is still there, to be removed another time
		l.mu.Lock()
		l.segments[segment] = s
		l.mu.Unlock()
	}
	return err
}
