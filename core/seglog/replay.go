package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
)

// content reads a segment up to an end.
func (l *Log) content(id uint32, end int64) ([]byte, error) {
	p := make([]byte, end)
	if err := l.storage.ReadAt(segmentName(id), p, 0); err != nil {
		return nil, fmt.Errorf("read %s: %w", segmentName(id), err)
	}
	return p, nil
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
			follows := s.firstLSN == l.pos.LSN+1 && s.chain == l.pos.Chain
			if !follows || s.previous != l.pos.Segment || s.previousEnd != l.pos.End {
				before, at := segmentName(l.pos.Segment), int64(l.pos.End)
				if err := l.damage(before, at, "records are missing behind this one"); err != nil {
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
// it may be the end of the data, or a write that a crash cut short: a later
// record that the Core marked as the first of a write proves that it was durable
// once, since a write begins only when all before it is; and so does a checkpoint
// that knows a later end.
func (l *Log) replaySegment(s, next *segment, apply func(Record, Location) error) error {
	end := s.size
	if next != nil && next.previous == s.id { // behind the end that it names lies a torn tail
		end = min(end, int64(next.previousEnd))
	}
	data, err := l.content(s.id, end)
	if err != nil {
		return err
	}
	if int64(l.pos.End) < s.end || l.pos.End == headerSize {
		s.barrierBytes = 0 // those before the position are not known, and those behind it come now
	}
	var g Group // that is not whole yet
	var places []Location
	pos := l.pos
	for int64(pos.End) < end {
		at := Location{Segment: s.id, Offset: pos.End}
		r, what, from := l.following(data, s, pos, len(g) > 0)
		if what == "" {
			at.Length = uint32(r.length)
			pos.pass(s, data[at.Offset:][:at.Length], &r)
			g, places = append(g, r), append(places, at)
			if r.Sealed == nil && r.flags&flagCommit == 0 {
				continue
			}
		} else {
			proof, _ := l.find(data, s, from, pos.LSN, flagFirst)
			if next == nil && proof == 0 && l.pos.End >= uint32(s.end) {
				break
			}
			if err := l.damage(segmentName(s.id), int64(at.Offset), what); err != nil {
				return err
			}
			// What can be read is kept, though the group is not whole.
			lsn, place := l.find(data, s, from, pos.LSN, 0)
			pos.LSN, pos.End = max(lsn, pos.LSN+1)-1, place
		}
		if err := l.applyGroup(s, g, places, apply); err != nil {
			return err
		}
		g, places, l.pos = g[:0], places[:0], pos
	}
	s.end = int64(l.pos.End)
	return nil
}

// following opens the record at a position, inside a group or not, if it follows on what
// is before it. Otherwise it says what is wrong, and where a later record may lie.
func (l *Log) following(data []byte, s *segment, pos Position,
	inGroup bool) (r Record, what string, from uint32) {
	r, what = l.open(data[pos.End:], nil)
	if what == badHead {
		return r, what, pos.End + alignment
	}
	carried := r.salt != s.salt
	if carried && inGroup || !carried && r.LSN != pos.LSN+1 {
		return r, "a record is missing before this one", pos.End
	}
	if carried {
		r.Sealed = []byte{}
	}
	if what == ownerGone { // as a record behind this one says
		what = ""
	}
	return r, what, pos.End + alignment
}

// applyGroup applies the records of a group.
func (l *Log) applyGroup(s *segment, g Group, places []Location, apply func(Record, Location) error) error {
	for i, r := range g {
		at := places[i]
		if r.Kind == KindBarrier {
			s.barrierBytes += int64(at.Length)
		}
		if apply(r, at) == nil {
			continue
		}
		if err := l.damage(segmentName(s.id), int64(at.Offset), "the record can't be applied"); err != nil {
			return err
		}
	}
	return nil
}

// find looks, from an offset on, for a record that was written in this segment
// after lsn, with these flags, or without flags also for a carried one: its LSN and
// place, or 0 and the end.
func (l *Log) find(data []byte, s *segment, offset uint32, lsn uint64, flags byte) (uint64, uint32) {
	for ; int(offset)+minRecord <= len(data); offset += alignment {
		r, _, ok := l.openHead(data[offset:])
		carried := r.salt != s.salt
		if ok && (carried && flags == 0 || !carried && r.LSN > lsn && r.flags&flags == flags) {
			return r.LSN, offset
		}
	}
	return 0, uint32(len(data))
}

// Walk hands each record of a segment, checked, and as it is stored but without its
// body, to visit, in order; r.Sealed is visit's to keep. Anything else is an
// ErrDamaged: it must not be taken for dead, nor carried to where it could be taken
// for a torn write.
func (l *Log) Walk(segment uint32, visit func(r Record, at Location) error) error {
	s := l.segment(segment)
	if s.id == 0 {
		return ErrMoved
	}
	data, err := l.content(segment, s.end)
	for offset := int64(headerSize); offset < s.end && err == nil; {
		r, what := l.open(data[offset:], nil)
		if what == "" || what == ownerGone {
			r.Body, r.Sealed = nil, bytes.Clone(data[offset:][:r.length])
			err = visit(r, Location{segment, uint32(offset), uint32(r.length)})
		} else {
			err = l.damage(segmentName(segment), offset, what)
		}
		offset += r.length
	}
	return err
}

// Remove removes a segment that nothing needs; somebody else may have done so.
func (l *Log) Remove(segment uint32) error {
	return removeFrom(l, l.segments, segment, segmentName(segment))
}

// removeFrom removes a file, and takes it off the list of those that are there. If that
// fails, it is still there, to be removed another time.
func removeFrom[V any](l *Log, files map[uint32]V, number uint32, name string) error {
	l.mu.Lock()
	file := files[number]
	delete(files, number)
	l.mu.Unlock()
	err := l.storage.Remove(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		l.mu.Lock()
		files[number] = file
		l.mu.Unlock()
	}
	return err
}
