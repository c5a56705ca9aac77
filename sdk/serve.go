package sdk

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"motte/core/taskwire"
)

// writeSize bounds the bytes of answers that are kept while more frames wait. From this size
// on, they are written at once.
const writeSize = 64 << 10

// ServeChannel runs the index on a channel to the Core. It returns nil when the channel is
// closed. [Serve] calls it; a test may call it with a channel of its own.
func ServeChannel(channel io.ReadWriter, x Index) error {
	s := server{index: x, in: reader{from: channel}, to: channel}
	defer s.end()
	for {
		h, payload, ok, err := s.in.next()
		switch {
		case err != nil:
			return err
		case ok:
			if err := s.handle(h, payload); err != nil {
				return err
			}
			continue
		}
		// All frames that have arrived are handled. Apply their changes, write the
		// answers, and wait for more.
		s.apply()
		if err := s.flush(); err != nil {
			return err
		}
		if err := s.in.fill(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// end waits for the goroutine that restores entries.
func (s *server) end() {
	if s.keep != nil {
		s.keep.ready()
		s.keep.wait()
	}
}

// server is the Task's end of the protocol.
type server struct {
	index Index
	in    reader
	to    io.Writer
	out   []byte     // frames to be written
	chunk []Identity // identities of the present answer that are in no frame yet

	seq     uint64   // of the last frame handled
	changes []Change // adjacent ones, not applied yet; inputs alias the reader's buffer
	first   uint64   // number of changes[0]
	applied uint64   // every change up to this number is done
	told    uint64   // the value of applied that the Core was told last
	refused bool     // the index refused its configuration; the Core will close the channel
	keep    *keeping // nil if the index has no shelf
}

func (s *server) handle(h taskwire.Header, payload []byte) error {
	if h.Seq != s.seq+1 || (h.Type == taskwire.Configure) != (h.Seq == 1) {
		return fmt.Errorf("%w: frame of type %d with number %d after %d", errProtocol, h.Type, h.Seq, s.seq)
	}
	s.seq = h.Seq
	if s.refused {
		return nil // the Core sent this frame before it read the refusal
	}
	if s.keep != nil && h.Type != taskwire.Stored {
		s.keep.ready()
	}
	switch h.Type {
	case taskwire.Configure:
		return s.configure(payload)
	case taskwire.Insert, taskwire.Remove, taskwire.Void:
		if len(s.changes) == 0 {
			s.first = h.Seq
		}
		s.changes = append(s.changes, decodeChange(h, payload))
		return nil
	case taskwire.Search:
		return s.search(payload)
	default: // the reader refuses unknown types
		return s.shelf(h.Type, payload)
	}
}

func (s *server) configure(payload []byte) error {
	c, err := decodeConfigure(payload)
	if err != nil {
		return fmt.Errorf("%w: configuration: %w", errProtocol, err)
	}
	c.Options = append([]byte(nil), c.Options...)
	if err := s.index.Configure(c); err != nil {
		s.refused = true
		s.fail(s.seq, taskwire.FailConfiguration)
		return nil
	}
	s.keep = newKeeping(s.index, c.Shelf)
	s.applied = s.seq
	return nil
}

// apply makes all changes that were handled. It writes refusals before flush writes the
// number that confirms them.
func (s *server) apply() {
	if len(s.changes) == 0 {
		return
	}
	s.keep.wait()
	s.index.Apply(s.changes)
	for i := range s.changes {
		if s.changes[i].refused {
			s.fail(s.first+uint64(i), taskwire.FailInput)
		}
	}
	if s.keep != nil {
		s.keep.note(s.changes)
	}
	s.applied = s.first + uint64(len(s.changes)) - 1
	clear(s.changes)
	s.changes = s.changes[:0]
}

// search answers a query, after all changes before it.
func (s *server) search(payload []byte) error {
	s.apply()
	q, err := decodeQuery(payload)
	if err != nil {
		return fmt.Errorf("%w: query: %w", errProtocol, err)
	}
	s.keep.wait()
	if s.keep != nil {
		s.keep.compared()
	}
	found, err := s.index.Search(q)
	if err != nil {
		s.fail(s.seq, failure(err, q))
		return nil
	}
	if found != nil && len(q.Within) > 0 {
		found = among(q.Within, found)
	}
	return s.answer(found, q.Limit)
}

// failure returns the failure that tells the Core of an error of Search.
func failure(err error, q Query) taskwire.Failure {
	switch {
	case errors.Is(err, ErrTooExpensive):
		return taskwire.FailExpensive
	case errors.Is(err, ErrGone) && len(q.After) > 0:
		return taskwire.FailGone
	}
	return taskwire.FailQuery
}

// answer writes the first identities of a sequence, up to the limit. It takes one identity more,
// to learn whether more match.
func (s *server) answer(found iter.Seq[Identity], limit int) error {
	if found == nil {
		return s.found(taskwire.StateLast)
	}
	state, named := taskwire.StateLast, 0
	for id := range found {
		if named == limit {
			state = taskwire.StateMore
			break
		}
		if len(s.chunk) == taskwire.MaxChunk {
			if err := s.found(taskwire.StateContinues); err != nil {
				return err
			}
		}
		s.chunk = append(s.chunk, id)
		named++
	}
	return s.found(state)
}

// found writes a frame with the identities of chunk.
func (s *server) found(state taskwire.State) error {
	h := taskwire.Header{Type: taskwire.Found, Len: 1 + len(s.chunk)*len(Identity{}), Seq: s.seq}
	s.out = append(taskwire.AppendHeader(s.out, h), byte(state))
	for i := range s.chunk {
		s.out = append(s.out, s.chunk[i][:]...)
	}
	s.chunk = s.chunk[:0]
	if len(s.out) >= writeSize {
		return s.flush()
	}
	return nil
}

func (s *server) fail(seq uint64, f taskwire.Failure) {
	s.out = append(taskwire.AppendHeader(s.out, taskwire.Header{Type: taskwire.Failed, Len: 1, Seq: seq}), byte(f))
}

// flush writes all answers, and one number that confirms all changes that are done.
func (s *server) flush() error {
	if s.applied > s.told {
		s.out = taskwire.AppendHeader(s.out, taskwire.Header{Type: taskwire.Applied, Seq: s.applied})
		s.told = s.applied
	}
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.to.Write(s.out)
	s.out = s.out[:0]
	if err != nil {
		return fmt.Errorf("writing to the Core: %w", err)
	}
	return nil
}
