package log

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"motte/core/identity"
	"motte/core/seal"
)

// Moved says that the record of an object has another place.
type Moved struct {
	Value    identity.Value
	From, To Location
}

// Move copies the records that are alive, as they are, from segments to a new
// one, which is durable when it returns. Alive is asked piece by piece: it keeps,
// in their order, those of the records given that should be copied. The copies
// count when a record that says so is in the log; then the old segments can be
// removed. A segment that is damaged is not to be removed: what can't be read
// can't be moved.
func (l *Log) Move(from []uint32, alive func([]Moved) ([]Moved, error)) (moved []Moved, err error) {
	s := &segment{id: l.newID(), kind: kindMoved}
	if s.id >= maxSegments {
		return nil, fmt.Errorf("the store has had as many segments as it can have")
	}
	for _, id := range from {
		l.mu.RLock()
		if old := l.segments[id]; old != nil && old.kind == kindLog {
			s.origins = append(s.origins, id)
		} else if old != nil {
			s.origins = append(s.origins, old.origins...)
		}
		l.mu.RUnlock()
	}
	slices.Sort(s.origins)
	if s.origins = slices.Compact(s.origins); len(s.origins) > maxOrigins {
		return nil, fmt.Errorf("a segment of records from %d others is not possible", len(s.origins))
	}
	salts := make([]seal.Salt, len(s.origins))
	for i, id := range s.origins {
		salts[i] = l.origin(id).salt
	}
	header := s.header(l.store, l.keys, salts...)
	s.end = int64(len(header))
	err = l.storage.Create(segmentName(s.id), func(out io.Writer) error {
		w := bufio.NewWriterSize(out, readAhead)
		if _, err := w.Write(header); err != nil {
			return err
		}
		for _, id := range from {
			c := copier{to: s, out: w, alive: alive}
			err := l.Walk(id, c.take)
			if err == nil {
				err = c.flush()
			}
			if moved = append(moved, c.moved...); err != nil {
				return err
			}
		}
		return w.Flush()
	})
	if err != nil {
		return nil, fmt.Errorf("move records to %s: %w", segmentName(s.id), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments[s.id] = s
	return moved, nil
}

// copier copies records of one segment, about readAhead bytes at a time.
type copier struct {
	to    *segment
	out   io.Writer
	alive func([]Moved) ([]Moved, error)
	batch []Moved
	bytes []byte // of the records in batch
	moved []Moved
}

func (c *copier) take(r Record, stored []byte, at Location) error {
	if r.Kind != KindPut {
		return nil
	}
	c.batch, c.bytes = append(c.batch, Moved{Value: r.ID.Value(), From: at}), append(c.bytes, stored...)
	if len(c.bytes) < readAhead {
		return nil
	}
	return c.flush()
}

// flush writes what is alive of the batch, and begins another.
func (c *copier) flush() error {
	lengths := make(map[uint32]int, len(c.batch)) // where each begins in bytes
	n := 0
	for _, m := range c.batch {
		lengths[m.From.Offset] = n
		n += int(m.From.Length)
	}
	keep, err := c.alive(c.batch)
	if err != nil {
		return err
	}
	for _, m := range keep {
		p := c.bytes[lengths[m.From.Offset]:][:m.From.Length]
		m.To = Location{c.to.id, uint32(c.to.end), m.From.Length}
		if c.to.end += int64(len(p)); c.to.end > segmentMax {
			return fmt.Errorf("more is alive than a segment can hold")
		}
		if _, err := c.out.Write(p); err != nil {
			return err
		}
		c.moved = append(c.moved, m)
	}
	c.batch, c.bytes = c.batch[:0], c.bytes[:0]
	return nil
}

// Remove removes a segment that nothing needs.
func (l *Log) Remove(segment uint32) error {
	l.mu.Lock()
	delete(l.segments, segment)
	l.mu.Unlock()
	return l.storage.Remove(segmentName(segment))
}
