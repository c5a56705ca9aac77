package fsck

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"motte/core/mapping"
	"motte/core/seglog"
)

// finish assigns the lost objects to each damage, and examines the files beside the store.
func (s *Store) finish() (*Report, error) {
	r := &s.report
	if s.base == 0 && len(r.Unknown) > 0 && r.Unknown[0].From == 1 {
		r.Hopeless = "no checkpoint can be read, and the log does not go back to its beginning: the catalogue is lost"
	}
	at := s.log.Position()
	r.CheckpointLSN = s.baseLSN
	for name := range s.bad { // a newer segment with an unreadable header
		s.endLost = s.endLost || name > segmentName(at.Segment) && strings.HasSuffix(name, ".seg")
	}
	touched, err := s.touchesEnd(at)
	if err != nil {
		return nil, err
	}
	if s.endLost || touched {
		r.Unknown = append(r.Unknown, Range{From: max(at.LSN, s.lastSeen) + 1})
	}
	bySegment := make(map[string][]mapping.Entry)
	for _, o := range s.gone {
		file := segmentName(o.Loc.Segment)
		bySegment[file] = append(bySegment[file], o)
		if !s.bad[file] && !s.log.Has(o.Loc.Segment) {
			s.bad[file] = true
			s.found.add(file, 0, 0, "the segment is missing")
		}
	}
	noted := make(map[string]bool)
	for _, x := range r.Gone {
		noted[x.ID] = true
	}
	for i := range s.found.list {
		d := &s.found.list[i]
		var lost []mapping.Entry
		for _, o := range bySegment[d.File] {
			if s.covers(d, o) {
				lost = append(lost, o)
			}
		}
		for _, o := range lost {
			if id := idText(o.ID); !noted[id] {
				noted[id] = true
				s.note(o, fmt.Sprintf("%s, offset %d: %s", d.File, o.Loc.Offset, d.What))
			}
		}
		s.say(d, lost)
	}
	for _, o := range s.gone {
		if id := idText(o.ID); !noted[id] {
			s.note(o, fmt.Sprintf("%s, offset %d: its record is missing", segmentName(o.Loc.Segment), o.Loc.Offset))
		}
	}
	slices.SortFunc(r.Gone, func(a, b Object) int { return cmp.Or(cmp.Compare(a.Collection, b.Collection), cmp.Compare(a.ID, b.ID)) })
	r.Damage = append(r.Damage, s.found.list...)
	slices.SortFunc(r.Damage, func(a, b Damage) int { return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Offset, b.Offset)) })
	err = s.beside()
	return &s.report, err
}

// touchesEnd reports whether the newest segment was cut off, or is damaged up to the end that a
// start reads. If so, the bytes after that end may be more than a torn write.
func (s *Store) touchesEnd(at seglog.Position) (bool, error) {
	name := segmentName(at.Segment)
	if s.cutOff[name] > 0 {
		return true, nil
	}
	for _, d := range s.found.list {
		if d.File != name || d.Offset+max(d.Bytes, step) < int64(at.End) {
			continue
		}
		if _, _, ok := s.head(name, d.Offset); !ok {
			return true, nil
		}
		return s.somethingBehind(name, int64(at.End))
	}
	return false, nil
}

// covers reports whether the damage overlaps the record of a lost object.
func (s *Store) covers(d *Damage, o mapping.Entry) bool {
	from, to := int64(o.Loc.Offset), int64(o.Loc.Offset)+int64(o.Loc.Length)
	return !s.log.Has(o.Loc.Segment) || from < d.Offset+max(d.Bytes, 1) && d.Offset < to
}

// note lists an object that is lost. A blob of a shelf is no loss: the index is fed again.
func (s *Store) note(o mapping.Entry, why string) {
	if s.shelves[o.Collection] != "" {
		s.broke[o.Collection] = true
		return
	}
	s.report.Gone = append(s.report.Gone, Object{idText(o.ID), s.collection(o.Collection), why})
}

// say names the objects that are lost with a damage.
func (s *Store) say(d *Damage, lost []mapping.Entry) {
	r := &s.report
	switch {
	case d.Lost != "":
	case len(lost) > 0 && !slices.ContainsFunc(lost, func(o mapping.Entry) bool { return s.shelves[o.Collection] == "" }):
		d.Lost = "no object: " + s.fedAgain()
	case len(lost) == 1:
		d.Lost = fmt.Sprintf("object %s of collection %s", idText(lost[0].ID), s.collection(lost[0].Collection))
	case len(lost) > 1:
		d.Lost = fmt.Sprintf("%d objects", len(lost))
	case s.behind(d.File) && len(r.Unknown)+len(r.Changes)+len(r.Gone) > 0:
		d.Lost = "the effects of newer records: see below"
	case s.behind(d.File) && len(s.broke) > 0:
		d.Lost = "no object: " + s.fedAgain()
	case strings.HasSuffix(d.File, ".seg"):
		d.Lost = nothing
	default:
		d.Lost = "nothing"
	}
}

// fedAgain names the indexes whose shelves lack a blob.
func (s *Store) fedAgain() string {
	var names []string
	for _, id := range slices.Sorted(maps.Keys(s.broke)) {
		names = append(names, s.shelves[id])
	}
	if len(names) == 1 {
		return "index " + names[0] + " is fed again"
	}
	return "indexes " + strings.Join(names, ", ") + " are fed again"
}

// clientObjects counts the objects, without the blobs of shelves.
func (s *Store) clientObjects() int {
	n := s.objects.size()
	for id := range s.shelves {
		if m := s.objects[id]; m != nil {
			n -= m.Len()
		}
	}
	return n
}

// behind reports whether a segment may have records after a checkpoint.
func (s *Store) behind(file string) bool {
	for _, x := range s.log.Segments() {
		if segmentName(x.Number) == file {
			return !x.Free
		}
	}
	return true
}

// beside notes irregularities that are not damage.
func (s *Store) beside() error {
	r := &s.report
	if n := len(s.moved); n > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("%d objects can be read, but in another place than the store knows: salvage keeps them", n))
	}
	at := s.log.Position()
	name := segmentName(at.Segment)
	something, err := s.somethingBehind(name, int64(at.End))
	if err != nil {
		return err
	}
	if something {
		r.Notes = append(r.Notes, fmt.Sprintf("%s, offset %d: unrecognised bytes follow the last record. A write that a crash cut short looks so; damage to the last record does, too", name, at.End))
	}
	s.compareKeys()
	entries, err := os.ReadDir(s.path)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), leftover) {
			r.Notes = append(r.Notes, e.Name()+" was left half made by a crash; the next start removes it")
		}
	}
	return err
}

// compareKeys notes if one of the two copies of the data keys is missing or wrong. The other copy
// can be opened: otherwise the store could not be.
func (s *Store) compareKeys() {
	var copies [len(seglog.KeysNames)][]byte
	for i, name := range seglog.KeysNames {
		p, err := os.ReadFile(filepath.Join(s.path, name))
		if err != nil {
			s.report.Notes = append(s.report.Notes, fmt.Sprintf("one of the two copies of the data keys can't be read, and the next start writes it again: %v", err))
			return
		}
		copies[i] = p
	}
	if !bytes.Equal(copies[0], copies[1]) {
		s.report.Notes = append(s.report.Notes, fmt.Sprintf("%s and %s are not the same: an erasure was cut short, or one of them is damaged or older. The next start makes them the same", seglog.KeysNames[0], seglog.KeysNames[1]))
	}
}

// somethingBehind reports whether bytes other than zero follow an offset.
func (s *Store) somethingBehind(name string, offset int64) (bool, error) {
	p := make([]byte, 1<<20)
	for size := s.disk.sizes[name]; offset < size; {
		n := min(int64(len(p)), size-offset)
		if err := s.disk.ReadAt(name, p[:n], offset); err != nil {
			return false, err
		}
		if slices.ContainsFunc(p[:n], func(b byte) bool { return b != 0 }) {
			return true, nil
		}
		offset += n
	}
	return false, nil
}
