package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Read reads the record at a location from the storage into buf, and opens it. Read may grow
// buf, and returns it; the body of the record lies in it. Any number of goroutines may read.
// If the record is no longer at the location, Read returns ErrMoved.
func (l *Log) Read(buf []byte, at Location) (Record, []byte, error) {
	name, buf, err := l.readSealed(buf, at)
	if err != nil {
		return Record{}, buf, err
	}
	r, err := l.openAt(name, at, buf)
	return r, buf, err
}

// ReadCached is Read for records that clients ask for. It takes the sealed record from the
// cache, or reads it and adds it to the cache. A record from the cache is opened as any
// other, in a copy. If it does not open, the record is read from the storage.
func (l *Log) ReadCached(buf []byte, at Location) (Record, []byte, error) {
	if l.cache.get(&buf, at) {
		r, err := l.openAt("", at, buf)
		if err == nil || errors.Is(err, ErrMoved) {
			return r, buf, err
		}
		l.cache.drop(at) // the error is dropped, too: it may be of the memory alone
	}
	epoch := l.cache.epoch.Load()
	name, buf, err := l.readSealed(buf, at)
	if err != nil {
		return Record{}, buf, err
	}
	l.cache.put(at, buf, epoch) // before it is opened in place, and is no longer sealed
	r, err := l.openAt(name, at, buf)
	if err != nil {
		l.cache.drop(at)
	}
	return r, buf, err
}

// readSealed reads a record without opening it. It returns the name of the file.
func (l *Log) readSealed(buf []byte, at Location) (name string, _ []byte, _ error) {
	s, err := l.holds(at)
	if err != nil {
		return s.name, buf, err
	}
	buf = slices.Grow(buf[:0], int(at.Length))[:at.Length]
	if err := l.storage.ReadAt(s.name, buf, int64(at.Offset)); err != nil {
		return s.name, buf, l.unreadable(s, at, err)
	}
	return s.name, buf, nil
}

// holds returns the segment of a location. It fails if the location is not inside the
// segment.
func (l *Log) holds(at Location) (segment, error) {
	s := l.segment(at.Segment)
	switch {
	case s.number == 0:
		return s, ErrMoved
	case int64(at.Offset)+int64(at.Length) > s.end, at.Length < minRecord:
		return s, &DamageError{s.name, int64(at.Offset), "no record lies here"}
	}
	return s, nil
}

// unreadable returns the error for a read that the storage refused.
func (l *Log) unreadable(s segment, at Location, err error) error {
	if !l.Has(at.Segment) {
		err = ErrMoved
	} else if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &DamageError{s.name, int64(at.Offset), "the file ends before the record does"}
	}
	return fmt.Errorf("read %s at %d: %w", s.name, at.Offset, err)
}

// openAt opens, in place, a record that was read from a location.
func (l *Log) openAt(name string, at Location, p []byte) (Record, error) {
	r, what := l.open(p, p[bodyAt:bodyAt])
	switch what {
	case "":
		return r, nil
	case ownerGone:
		return Record{}, ErrMoved
	}
	return Record{}, &DamageError{name, int64(at.Offset), what}
}

// Limits of a read of several records.
const (
	maxGap  = 4 << 10   // bytes between two records: reading them takes less time than another call
	maxSpan = 256 << 10 // bytes of one read: a longer read would delay an object that a client waits for
)

// Prefetch reads the records at these locations into the cache, so that ReadCached finds
// them there. It sorts the list, and reads neighbouring records together. ReadCached reads
// the records that Prefetch does not read.
func (l *Log) Prefetch(list []Location) {
	list = slices.DeleteFunc(list, func(at Location) bool {
		return at.Length > maxCachedRecord || l.cache.has(at)
	})
	slices.SortFunc(list, func(a, b Location) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Offset, b.Offset))
	})
	var p []byte
	for len(list) > 1 {
		n := neighbours(list)
		if n > 1 {
			p = l.readTogether(p, list[:n])
		}
		list = list[n:]
	}
}

// neighbours returns how many of the first locations one read takes. The list is sorted.
func neighbours(list []Location) (n int) {
	first := list[0]
	end := first.Offset + first.Length
	for n = 1; n < len(list); n++ {
		next := list[n]
		if next.Segment != first.Segment || next.Offset > end+maxGap {
			break
		}
		end = max(end, next.Offset+next.Length)
		if end-first.Offset > maxSpan {
			break
		}
	}
	return n
}

// readTogether reads records of one segment, in order, into the cache, by one read into p,
// which it may grow and returns.
func (l *Log) readTogether(p []byte, list []Location) []byte {
	whole := list[0]
	for _, at := range list {
		whole.Length = max(whole.Length, at.Offset+at.Length-whole.Offset)
	}
	s, err := l.holds(whole)
	if err != nil {
		return p
	}
	epoch := l.cache.epoch.Load()
	p = slices.Grow(p[:0], int(whole.Length))[:whole.Length]
	if l.storage.ReadAt(s.name, p, int64(whole.Offset)) != nil {
		return p
	}
	for _, at := range list {
		l.cache.put(at, p[at.Offset-whole.Offset:][:at.Length], epoch)
	}
	return p
}
