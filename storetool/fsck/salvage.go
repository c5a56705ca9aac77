package fsck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
)

// Salvaged is the result of Salvage.
type Salvaged struct {
	Objects  int      `json:"objects"`   // in the store now
	Gone     int      `json:"gone"`      // live objects that are lost
	Found    int      `json:"found"`     // objects that were found again, at another location
	SetAside []string `json:"set_aside"` // files, by their new names
}

// setAside begins the name of a damaged file that was replaced.
const setAside = "damaged-"

const relocateBatch = 1 << 20 // bytes of records that are relocated in one write, about

// Salvage makes a store that a Core opens, of all that Check could read. It drops each object whose
// newest record is unreadable, even if an older record can be read. A shelf that lacks a blob is
// emptied, and all shelves are if a change of the catalogue may be lost: a Task must not get a part of
// what it saved.
//
//  1. It writes a checkpoint of that state at the end of the readable log. From then on a start
//     either
//     reads no damaged record, or refuses the store as before.
//  2. It relocates the live records of damaged segments to a new segment.
//  3. It writes two further checkpoints, so that no start needs a damaged file. Salvage keeps those
//     files under other names.
//
// If it ends early, the caller can repeat it.
func (s *Store) Salvage(now time.Time) (*Salvaged, error) {
	if !s.changes {
		return nil, errReadOnly
	}
	if s.report.Hopeless != "" {
		return nil, fmt.Errorf("%w: %s", ErrHopeless, s.report.Hopeless)
	}
	out := &Salvaged{Gone: len(s.report.Gone), Found: len(s.moved), SetAside: []string{}}
	for _, o := range s.gone {
		s.objects.delete(o)
	}
	for _, o := range s.moved {
		s.objects.put(o)
	}
	for id := range s.shelves {
		if s.broke[id] || len(s.report.Changes)+len(s.report.Unknown) > 0 {
			delete(s.objects, id)
		}
	}
	if err := s.checkpoint(now, 1); err != nil {
		return nil, err
	}
	if err := s.start(s.log.Checkpoints()[0]); err != nil {
		return nil, err
	}
	for name := range s.bad {
		to, err := s.keep(name)
		if err != nil {
			return nil, err
		}
		if to != "" {
			out.SetAside = append(out.SetAside, to)
		}
	}
	slices.Sort(out.SetAside)
	if err := s.replaceDamaged(now); err != nil {
		return nil, err
	}
	out.Objects = s.clientObjects()
	return out, seglog.SyncPath(s.path)
}

// replaceDamaged relocates the live records of damaged segments, and removes the segments.
func (s *Store) replaceDamaged(now time.Time) error {
	damaged := make(map[uint32]string)
	for name := range s.bad {
		if digits, ok := strings.CutSuffix(name, ".seg"); ok {
			id, _ := strconv.ParseUint(digits, 10, 32)
			damaged[uint32(id)] = name
		}
	}
	list := s.log.Segments()
	if err := s.settle(now, s.report.Loses()); err != nil {
		return err
	}
	for _, x := range list {
		if damaged[x.Number] != "" {
			if err := s.relocate(x.Number); err != nil {
				return err
			}
		}
	}
	if err := s.checkpoint(now, 2); err != nil {
		return err
	}
	for id, name := range damaged {
		if s.log.Has(id) && !slices.ContainsFunc(list, func(x seglog.SegmentInfo) bool { return x.Number == id }) {
			continue // a new segment has its number
		}
		if err := os.Remove(filepath.Join(s.path, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Load only starts as a Core would, and does not read every record.
func (s *Store) Load(ctx context.Context) error {
	s.report = Report{}
	return s.load(ctx)
}

// Damage returns an error if Load or Check found damage.
func (s *Store) Damage() error {
	if len(s.found.list) == 0 {
		return nil
	}
	d := s.found.list[0]
	return &seglog.DamageError{File: d.File, Offset: d.Offset, What: d.What}
}

// LSN is the LSN of the last record.
func (s *Store) LSN() uint64 { return s.log.Position().LSN }

// Erased reports whether the state has owners without a key. Then it comes from a backup that is
// older than an erasure. The Core takes those owners and all of their objects for erased. The
// caller calls Load or Check before.
func (s *Store) Erased() bool { return s.erased }

// settle begins a new segment of the log, with an alert if anything was lost.
func (s *Store) settle(now time.Time, lossy bool) error {
	r := seglog.Record{LSN: s.log.Position().LSN + 1, Kind: seglog.KindBarrier}
	if lossy {
		r.Kind, r.Body = seglog.KindAlert, model.AppendAlert(nil, &model.Alert{Time: now.Unix(), Reason: model.ReasonLossAccepted})
	}
	s.log.Rotate()
	at, _, err := s.log.Append([]seglog.Group{{r}})
	if err != nil {
		return err
	}
	return s.engine.Replay(r, at[0])
}

// relocate relocates the live records of a segment to the newest segment.
func (s *Store) relocate(segment uint32) error {
	var group seglog.Group
	var entries []mapping.Entry
	size := 0
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		at, _, err := s.log.Append([]seglog.Group{group})
		if err != nil {
			return err
		}
		for i, o := range entries {
			o.Loc = at[i]
			s.objects.put(o)
		}
		group, entries, size = nil, nil, 0
		return nil
	}
	err := s.log.Walk(segment, func(r seglog.Record, at seglog.Location) error {
		o, ok := s.objects.get(r.Collection, r.ID.Value())
		if !ok || o.Loc != at {
			return nil
		}
		r.Sealed = slices.Clone(r.Sealed)
		group, entries = append(group, r), append(entries, o)
		if size += len(r.Sealed); size < relocateBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// checkpoint writes checkpoints of the state at the end of the log.
func (s *Store) checkpoint(now time.Time, times int) error {
	at := s.log.Position()
	s.engine.Start(now, at)
	_, catalogue, _ := s.engine.Checkpoint()
	for range times {
		piece, pieces := catalogue, s.objects.sections()
		err := s.log.Checkpoint(at, func() (next []byte, err error) {
			if next, piece = piece, nil; next == nil {
				next = pieces()
			}
			return next, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keep renames a damaged segment, if it is there, in the same directory.
func (s *Store) keep(name string) (to string, err error) {
	from := filepath.Join(s.path, name)
	if _, err := os.Stat(from); errors.Is(err, os.ErrNotExist) || !strings.HasSuffix(name, ".seg") {
		return "", nil
	}
	to = setAside + name
	for n := 2; ; n++ {
		if err = os.Link(from, filepath.Join(s.path, to)); !errors.Is(err, os.ErrExist) {
			return to, err
		}
		to = fmt.Sprintf("%s%d-%s", setAside, n, name)
	}
}
