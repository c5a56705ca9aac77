package sdk

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"motte/core/codec"
	"motte/core/model"
	"motte/core/taskwire"
)

// readSize is the usual size of the buffer in bytes. It is the default size of a socket buffer
// of Linux, so one read empties that.
const readSize = 256 << 10

// errProtocol says that the Core broke the Task protocol. The Task then ends.
var errProtocol = errors.New("the Core broke the Task protocol")

// reader splits the stream from the Core into frames without copying them. A frame that next
// returned is valid until the next call of fill.
type reader struct {
	from io.Reader
	buf  []byte
	at   int // start of the bytes that next has not returned
	end  int // end of the bytes that were read
	need int // length of the frame at at, as far as is known
}

// next returns the next frame if all of it was read.
func (r *reader) next() (h taskwire.Header, payload []byte, ok bool, err error) {
	rest := r.buf[r.at:r.end]
	r.need = taskwire.HeaderSize
	if len(rest) < r.need {
		return h, nil, false, nil
	}
	if h, err = taskwire.DecodeHeader(rest[:taskwire.HeaderSize]); err != nil {
		return h, nil, false, fmt.Errorf("%w: header: %w", errProtocol, err)
	}
	if !allowed(h) {
		return h, nil, false, fmt.Errorf("%w: frame of type %d with %d bytes", errProtocol, h.Type, h.Len)
	}
	r.need += h.Len
	if len(rest) < r.need {
		return h, nil, false, nil
	}
	r.at += r.need
	return h, rest[taskwire.HeaderSize:r.need:r.need], true, nil
}

// allowed reports whether a frame of this type may have this length. So it bounds the buffer
// before the frame has arrived.
func allowed(h taskwire.Header) bool {
	switch h.Type {
	case taskwire.Configure:
		return h.Len >= configureHead && h.Len <= configureHead+model.MaxSubQuery
	case taskwire.Insert:
		return h.Len >= insertHead && h.Len <= insertHead+model.MaxObject
	case taskwire.Remove, taskwire.Void:
		return h.Len == removeHead
	case taskwire.Stored:
		return h.Len > storedHead && h.Len <= storedHead+taskwire.MaxBlob
	case taskwire.Save:
		return h.Len == saveSize
	case taskwire.Runs:
		return h.Len > 0 && h.Len <= taskwire.MaxRuns*runSize && h.Len%runSize == 0
	case taskwire.List:
		return h.Len >= listHead && h.Len <= listHead+taskwire.MaxListed*len(Identity{}) && h.Len%len(Identity{}) == 0
	case taskwire.Search:
		return h.Len >= searchHead && h.Len <= searchHead+(model.MaxAfter+taskwire.MaxWithin)*len(Identity{})+model.MaxSubQuery
	}
	return false
}

// fill reads more bytes after next found no whole frame. It returns io.EOF only between two
// frames.
func (r *reader) fill() error {
	rest := r.buf[r.at:r.end]
	if size := max(r.need, readSize); len(r.buf) < size || len(r.buf) > size && len(rest) <= size {
		r.buf = make([]byte, size) // larger for a large frame, and back again
	}
	r.at, r.end = 0, copy(r.buf, rest)
	n, err := r.from.Read(r.buf[r.end:])
	r.end += n
	switch {
	case n > 0:
		return nil
	case err == io.EOF && r.end > 0:
		return fmt.Errorf("%w: %w", errProtocol, io.ErrUnexpectedEOF)
	case err == io.EOF:
		return io.EOF
	case err == nil:
		return io.ErrNoProgress
	}
	return fmt.Errorf("reading from the Core: %w", err)
}

// Bytes before the variable part of each frame's payload.
const (
	configureHead = 1 + 1 + 4 + 8
	removeHead    = 8 + len(Identity{})
	insertHead    = removeHead + 8
	searchHead    = 4 + 8 + 1 + 4
	storedHead    = 8
	saveSize      = 4 + 1
	runSize       = len(Value{}) + 4 + len(taskwire.Sum{})*8
	listHead      = 2 * len(Value{})
)

func decodeConfigure(p []byte) (c Config, err error) {
	r := codec.NewReader(p)
	c.Type = model.DataType(r.U8())
	c.Ordered, c.MaxResults = r.Bool(), int(r.U32())
	c.Shelf = int64(min(r.U64(), math.MaxInt64))
	c.Options = r.Rest()
	return c, r.Done()
}

// decodeChange reads an Insert, a Remove or a Void, whose length is checked.
func decodeChange(h taskwire.Header, p []byte) (c Change) {
	r := codec.NewReader(p)
	c.LSN = r.U64()
	r.Copy(c.Identity[:])
	c.void = h.Type == taskwire.Void
	if c.Remove = c.void || h.Type == taskwire.Remove; !c.Remove {
		c.Owner, c.Input = Owner(r.U64()), r.Rest()
	}
	return c
}

func decodeQuery(p []byte) (q Query, err error) {
	r := codec.NewReader(p)
	q.Limit, q.Owner = int(r.U32()), Owner(r.U64())
	count := int(r.U8())
	r.Require(q.Limit > 0 && count <= model.MaxAfter)
	q.After = takeIdentities(r, count)
	candidates := int(r.U32())
	r.Require(candidates <= taskwire.MaxWithin)
	q.Within = takeIdentities(r, candidates)
	for i := range q.Within {
		r.Require(i == 0 || q.Within[i-1].Compare(q.Within[i]) < 0)
	}
	q.Predicate = r.Rest()
	r.Require(len(q.Predicate) <= model.MaxSubQuery)
	return q, r.Done()
}

// takeIdentities reads n identities, if the frame has as many.
func takeIdentities(r *codec.Reader, n int) (ids []Identity) {
	p := r.Take(n * len(Identity{}))
	if len(p) > 0 {
		ids = make([]Identity, 0, n)
	}
	for id := range slices.Chunk(p, len(Identity{})) {
		ids = append(ids, Identity(id))
	}
	return ids
}

func decodeSave(p []byte) (room int, anew bool, err error) {
	r := codec.NewReader(p)
	room, anew = int(r.U32()), r.Bool()
	return room, anew, r.Done()
}

// decodeRuns reads runs, whose length is checked.
func decodeRuns(p []byte) (runs []taskwire.Run) {
	for r := codec.NewReader(p); r.Len() > 0; {
		var n taskwire.Run
		r.Copy(n.Last[:])
		n.Count, n.Sum = r.U32(), taskwire.Sum{r.U64(), r.U64()}
		runs = append(runs, n)
	}
	return runs
}

// decodeList reads a List, whose length is checked. The identities must ascend.
func decodeList(p []byte) (first, last Value, ids []Identity, err error) {
	r := codec.NewReader(p)
	r.Copy(first[:])
	r.Copy(last[:])
	for r.Len() > 0 {
		id := Identity(r.Take(len(Identity{})))
		r.Require(len(ids) == 0 || ids[len(ids)-1].Compare(id) < 0)
		ids = append(ids, id)
	}
	return first, last, ids, r.Done()
}
