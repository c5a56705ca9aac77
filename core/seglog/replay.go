package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
)

// content reads the first bytes of a segment, up to end.
func (l *Log) content(number uint32, end int64) ([]byte, error) {
	p := make([]byte, end)
	if err := l.storage.ReadAt(segmentName(number), p, 0); err != nil {
		return nil, fmt.Errorf("read %s: %w", segmentName(number), err)
	}
	return p, nil
}

// Replay reads and checks the log after the checkpoint. It calls apply for each record of each
// whole group, in order; apply may keep the body. In a relocated record, Sealed is empty, but not
// nil. A record of an erased owner has no body, since it can't be opened; this is no damage.
// Replay is called once, after Restore and before Append.
func (l *Log) Replay(apply func(Record, Location) error) error {
	numbers := slices.Sorted(maps.Keys(l.segments))
	from, _ := slices.BinarySearch(numbers, l.pos.Segment) // Restore has reported a missing segment
	numbers = append(numbers[from:], 0)
	for i, number := range numbers[:len(numbers)-1] {
		s, next := l.segments[number], l.segments[numbers[i+1]] // nil: no segment follows
		if number != l.pos.Segment {
			// The log must have all of the segment before, up to the end that this header
			// names.
			follows := s.firstLSN == l.pos.LSN+1 && s.chain == l.pos.Chain
			if !follows || s.previous != l.pos.Segment || s.previousEnd != l.pos.End {
				before, at := segmentName(l.pos.Segment), int64(l.pos.End)
				if err := l.damage(before, at, "records are missing behind this one"); err != nil {
					return err
				}
				l.pos.LSN, l.pos.Chain = s.firstLSN-1, s.chain
			}
			l.pos.Segment, l.pos.End = number, headerSize
			l.begin(s)
		}
		if err := l.replaySegment(s, next, apply); err != nil {
			return err
		}
	}
	return nil
}

// replaySegment applies the whole groups of a segment, from the position on. A record that
// does not follow the records before it is damage, and so are bytes that are no record.
//
// In the newest segment, such bytes may also be the end of the data, or a write that a crash
// cut short. They are damage there if a later record has the flag of the first record of a
// write: a write begins only when all records before it are durable. They are damage, too,
// if a checkpoint names a later end.
func (l *Log) replaySegment(s, next *segment, apply func(Record, Location) error) error {
	end := s.size
	if next != nil && next.previous == s.number { // a torn write may follow the end that its header names
		end = min(end, int64(next.previousEnd))
	}
	data, err := l.content(s.number, end)
	if err != nil {
		return err
	}
	if int64(l.pos.End) < s.end || l.pos.End == headerSize {
		s.barrierBytes = 0 // barriers before the position are not known; the others are counted now
	}
	var g Group // records of a group that is not whole yet
	var locations []Location
	pos := l.pos
	for int64(pos.End) < end {
		at := Location{Segment: s.number, Offset: pos.End}
		r, what, from := l.following(data, s, pos, len(g) > 0)
		if what == "" {
			at.Length = uint32(r.length)
			pos.pass(s, data[at.Offset:][:at.Length], &r)
			g, locations = append(g, r), append(locations, at)
			if r.Sealed == nil && r.flags&flagCommit == 0 {
				continue
			}
		} else {
			proof, _ := l.find(data, s, from, pos.LSN, flagFirst)
			if next == nil && proof == 0 && l.pos.End >= uint32(s.end) {
				break
			}
			if err := l.damage(s.name, int64(at.Offset), what); err != nil {
				return err
			}
			// Readable records are kept, though the group is not whole.
			lsn, offset := l.find(data, s, from, pos.LSN, 0)
			pos.LSN, pos.End = max(lsn, pos.LSN+1)-1, offset
		}
		if err := l.applyGroup(s, g, locations, apply); err != nil {
			return err
		}
		g, locations, l.pos = g[:0], locations[:0], pos
	}
	s.end = int64(l.pos.End)
	return nil
}

// following opens the record at a position, and checks that it follows the record before it.
// inGroup says whether a group is not whole there. On a failure, following returns the
// reason, and the offset from which on a later record may lie.
func (l *Log) following(data []byte, s *segment, pos Position,
	inGroup bool) (r Record, what string, from uint32) {
	r, what = l.open(data[pos.End:], nil)
	if what == badHead {
		return r, what, pos.End + alignment
	}
	relocated := r.salt != s.salt
	if relocated && inGroup || !relocated && r.LSN != pos.LSN+1 {
		return r, "a record is missing before this one", pos.End
	}
	if relocated {
		r.Sealed = []byte{}
	}
	if what == ownerGone { // a later record says that the owner is erased
		what = ""
	}
	return r, what, pos.End + alignment
}

// applyGroup applies the records of a group.
func (l *Log) applyGroup(s *segment, g Group, locations []Location,
	apply func(Record, Location) error) error {
	for i, r := range g {
		at := locations[i]
		if r.Kind == KindBarrier {
			s.barrierBytes += int64(at.Length)
		}
		if apply(r, at) == nil {
			continue
		}
		if err := l.damage(s.name, int64(at.Offset), "the record can't be applied"); err != nil {
			return err
		}
	}
	return nil
}

// find looks for a record, from an offset on. The record must have been written to this
// segment first, after lsn, with these flags. Without flags, find also accepts a relocated
// record. It returns the LSN and the offset of the record, or 0 and the end of the data.
func (l *Log) find(data []byte, s *segment, offset uint32, lsn uint64, flags byte) (uint64, uint32) {
	for ; int(offset)+minRecord <= len(data); offset += alignment {
		r, _, ok := l.openHead(data[offset:])
		relocated := r.salt != s.salt
		if ok && (relocated && flags == 0 || !relocated && r.LSN > lsn && r.flags&flags == flags) {
			return r.LSN, offset
		}
	}
	return 0, uint32(len(data))
}

// Walk checks each record of a segment, and calls visit for it, in order. The record has its stored
// form in Sealed, which visit may keep, and no body. Bytes that are no record are damage: they
// must not pass for a dead record, and relocated they would look like a torn write.
func (l *Log) Walk(segment uint32, visit func(r Record, at Location) error) error {
	s := l.segment(segment)
	if s.number == 0 {
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

// Remove removes a segment that is no longer needed. It is no error if the file does not
// exist.
func (l *Log) Remove(segment uint32) error {
	return removeFrom(l, l.segments, segment, segmentName(segment))
}

// removeFrom removes a file, and its entry in the list of files. If the removal fails, the
// entry stays, so that the file can be removed later.
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
