package fsck

import (
	"context"
	"errors"
	"fmt"

	"motte/core/engine"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/seglog"
)

// walker reads every record of every segment.
type walker struct {
	*Store
	unseen   objects                          // live objects whose record was not found yet
	copies   map[identity.Value]mapping.Entry // readable copies of live records at other locations
	lost     []seglog.Record                  // records after the checkpoint that a start does not apply
	present  ranges                           // LSNs of records after the checkpoint with a readable head
	progress func(done, total int64)
	total    int64
	buf      []byte
}

func (s *Store) walk(ctx context.Context, progress func(done, total int64)) error {
	w := &walker{Store: s, unseen: make(objects), copies: make(map[identity.Value]mapping.Entry), progress: progress}
	s.walking = w
	defer func() { s.walking = nil }()
	pieces := s.objects.sections()
	for piece := pieces(); piece != nil; piece = pieces() {
		if err := w.unseen.add(piece); err != nil {
			return err
		}
	}
	list := s.log.Segments()
	for _, x := range list {
		w.total += x.Bytes
	}
	s.report.Objects = s.clientObjects()
	s.report.Segments, s.report.LSN = len(list), s.log.Position().LSN
	s.broke = make(map[uint32]bool)
	s.gone, s.moved = make(map[identity.ID]mapping.Entry), make(map[identity.ID]mapping.Entry)
	for _, x := range list {
		err := s.log.Walk(x.Number, func(r seglog.Record, at seglog.Location) error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return w.visit(r, at)
		})
		if err != nil {
			return err
		}
	}
	w.rest()
	return w.tail()
}

// visit examines a record that can be opened, if its owner has a key.
func (w *walker) visit(r seglog.Record, at seglog.Location) error {
	w.report.Records++
	if w.report.Bytes += int64(at.Length); w.progress != nil {
		w.progress(w.report.Bytes, w.total)
	}
	if !w.log.HasKey(r.Owner) {
		w.report.Erased++
		w.behind(r)
		return nil
	}
	what, err := w.body(r, at)
	if err != nil {
		return err
	}
	if what != "" {
		w.bad[segmentName(at.Segment)] = true
		w.found.add(segmentName(at.Segment), int64(at.Offset), int64(at.Length), what)
		w.lose(r)
		return nil
	}
	w.behind(r)
	o, live := w.objects.get(r.Collection, r.ID.Value())
	if live = live && r.Kind == seglog.KindPut && o.ID == r.ID && o.Wrote(r.LSN); live && o.Loc == at {
		w.unseen.delete(o)
	} else if live {
		o.Loc = at
		w.copies[o.ID.Value()] = o
	}
	return nil
}

// damaged examines a record that can't be opened.
func (w *walker) damaged(e *seglog.DamageError) {
	r, length, ok := w.head(e.File, e.Offset)
	if !ok {
		w.found.add(e.File, e.Offset, step, e.What)
		return
	}
	w.found.add(e.File, e.Offset, length, e.What)
	w.lose(r)
}

// behind notes a found record, if it is after the checkpoint.
func (w *walker) behind(r seglog.Record) (is bool) {
	if is = r.LSN > w.baseLSN; is {
		w.present.add(r.LSN)
	}
	return is
}

// lose notes a record of which only the head is readable. Its change counts if a start would have
// to apply it.
func (w *walker) lose(r seglog.Record) {
	if w.behind(r) && !w.applied.has(r.LSN) {
		r.Sealed = nil
		w.lost = append(w.lost, r)
	}
}

// body opens the body of a record, and compares its content with its identity. It returns the
// fault, or "".
func (w *walker) body(r seglog.Record, at seglog.Location) (what string, err error) {
	got, buf, err := w.log.Read(w.buf, at)
	w.buf = buf
	var d *seglog.DamageError
	if errors.As(err, &d) {
		return d.What, nil
	} else if err != nil {
		return "", err
	}
	w.report.Bodies++
	if r.Kind != seglog.KindPut {
		return "", nil
	}
	o, err := engine.DecodeObject(got.Body)
	if err != nil || !w.maker.Check(r.Collection, r.Owner, r.ID, identity.Digest(o.Attributes, o.Data)) {
		return "the content is not that of its identity", nil
	}
	return "", nil
}

// rest examines the live objects whose record was not found whole at its location.
func (w *walker) rest() {
	for o := range w.unseen.all() {
		if other, ok := w.copies[o.ID.Value()]; ok {
			w.moved[o.ID] = other
		} else {
			w.gone[o.ID] = o
		}
	}
}

// tail examines damaged records that a start does not apply. A readable head tells the change, and
// otherwise tail lists the LSNs.
func (w *walker) tail() error {
	for i := range w.lost {
		if err := w.superseded(&w.lost[i]); err != nil {
			return err
		}
	}
	for _, x := range w.present {
		w.lastSeen = max(w.lastSeen, x.To)
	}
	w.report.Unknown = append(w.report.Unknown, append(w.applied, w.present...).missing(w.baseLSN, w.log.Position().LSN)...)
	return nil
}

// superseded notes the change of a damaged record. An older record of the same object is then
// outdated.
func (w *walker) superseded(r *seglog.Record) error {
	if r.Kind != seglog.KindPut && r.Kind != seglog.KindDelete {
		if what := changeNames[r.Kind]; what != "" {
			w.report.Changes = append(w.report.Changes, Change{r.LSN, what})
		}
		return nil
	}
	why := fmt.Sprintf("record %d, which put it, is damaged", r.LSN)
	o, ok := w.objects.get(r.Collection, r.ID.Value())
	if !ok && r.Kind == seglog.KindPut {
		w.note(mapping.Entry{ID: r.ID, Collection: r.Collection}, why)
	}
	if !ok {
		return nil
	}
	at := o.Loc
	if other, ok := w.moved[o.ID]; ok {
		at = other.Loc
	}
	current, buf, err := w.log.Read(w.buf, at)
	w.buf = buf
	if err == nil && current.LSN > r.LSN {
		return nil // the object was put again since
	}
	// Also if the newer record is unreadable: the object is lost, whichever record is newer.
	if r.Kind == seglog.KindDelete {
		why = fmt.Sprintf("record %d, which is damaged, deleted it", r.LSN)
	} else if o.ID != r.ID {
		why = fmt.Sprintf("record %d, which is damaged, replaced it", r.LSN)
	}
	w.note(o, why)
	w.gone[o.ID] = o
	delete(w.moved, o.ID)
	return nil
}
