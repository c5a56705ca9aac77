package sdk

import (
	"encoding/binary"

	"motte/core/codec"
)

// A blob of the shelf begins with its kind. A blob of another kind is from another version of
// this package, and is dropped. The number after a field is its size in bytes, … is the rest, and
// v is a varint. A blob of kind 1 has entries, a blob of kind 2 a part of a snapshot:
//
//	entries:   kind 1 | circle 8 | value 16 | end 16 | written 8 | records
//	removal:   0 v | value 16
//	void:      1 v | identity 32
//	entry:     2+n v | identity 32 | owner v | n bytes of data
//	snapshot:  kind 1 | number 8 | part 4 | last 1 | bytes …
//
// The owner of an entry is 0 before the 8 bytes of an owner that is new in this blob. Otherwise it
// is the place of the owner among those of this blob, from 1.
const (
	kindEntries  = 1
	kindSnapshot = 2

	entriesHead  = 1 + sweepHead
	sweepHead    = 8 + 2*len(Value{}) + 8
	snapshotHead = 1 + 8 + 4 + 1

	maxRecordHead = 2*binary.MaxVarintLen32 + len(Identity{}) + 8 // bytes of a record, without its data
)

// Numbers at the beginning of records. An entry of n bytes begins with recordEntry+n.
const (
	recordRemoval = 0
	recordVoid    = 1
	recordEntry   = 2
)

// place is a place of a sweep: see entries.
type place struct {
	circle uint64
	value  Value
}

// sweep is the state of a sweep.
type sweep struct {
	at      place  // it goes on here
	end     Value  // the last circle ended here: higher values are not kept
	written uint64 // bytes in this circle
}

// before reports whether the sweep comes to p before it comes to q.
func (p place) before(q place) bool {
	if p.circle != q.circle {
		return p.circle < q.circle
	}
	return lessValue(&p.value, &q.value)
}

// entriesWriter makes a blob of records.
type entriesWriter struct {
	p      []byte
	owners map[Owner]uint64
}

// reset begins a new blob.
func (w *entriesWriter) reset() {
	if w.owners == nil {
		w.owners = make(map[Owner]uint64)
	}
	clear(w.owners)
	w.p = append(w.p[:0], make([]byte, entriesHead)...)
}

func (w *entriesWriter) empty() bool { return len(w.p) == entriesHead }

// removal, void and entry append a record.
func (w *entriesWriter) removal(v *Value) {
	w.p = append(append(w.p, recordRemoval), v[:]...)
}

func (w *entriesWriter) void(id Identity) {
	w.p = append(append(w.p, recordVoid), id[:]...)
}

func (w *entriesWriter) entry(e *Entry) {
	w.p = binary.AppendUvarint(w.p, recordEntry+uint64(len(e.Data)))
	w.p = append(w.p, e.Identity[:]...)
	number, known := w.owners[e.Owner]
	w.p = binary.AppendUvarint(w.p, number)
	if !known {
		w.owners[e.Owner] = uint64(len(w.owners) + 1)
		w.p = binary.BigEndian.AppendUint64(w.p, uint64(e.Owner))
	}
	w.p = append(w.p, e.Data...)
}

// fits reports whether a record with n bytes of data fits a blob of limit bytes.
func (w *entriesWriter) fits(n, limit int) bool { return len(w.p)+maxRecordHead+n <= limit }

// finish returns the blob.
func (w *entriesWriter) finish(s *sweep) []byte {
	h := codec.Writer(w.p[:0]).U8(kindEntries).U64(s.at.circle)
	h.Bytes(s.at.value[:]).Bytes(s.end[:]).U64(s.written)
	return w.p
}

// record is a record of a blob.
type record struct {
	kind  uint64 // recordRemoval, recordVoid or recordEntry
	Entry        // of a removal only the value, of a void the identity
}

// entriesReader reads a blob of records. It stops at the first record that is malformed.
type entriesReader struct {
	sweep  sweep
	rest   []byte
	owners []Owner
}

// maxCircle bounds the number of a circle, so that no sum of two overflows.
const maxCircle = 1 << 62

// open begins to read a blob. It reports whether the blob has a valid head.
func (r *entriesReader) open(blob []byte) bool {
	if len(blob) < entriesHead || blob[0] != kindEntries {
		return false
	}
	in := codec.NewReader(blob[1:])
	r.sweep.at.circle = in.U64()
	in.Copy(r.sweep.at.value[:])
	in.Copy(r.sweep.end[:])
	r.sweep.written = in.U64()
	r.rest, r.owners = in.Rest(), r.owners[:0]
	return r.sweep.at.circle < maxCircle
}

// next reads a record. Its data alias the blob.
func (r *entriesReader) next(c *record) bool {
	n, width := binary.Uvarint(r.rest)
	if width <= 0 {
		return false
	}
	p := r.rest[width:]
	size := len(Identity{})
	if n == recordRemoval {
		size = len(Value{})
	}
	if len(p) < size {
		return false
	}
	*c = record{kind: min(n, recordEntry)}
	copy(c.Identity[:], p[:size])
	p = p[size:]
	if n >= recordEntry {
		var ok bool
		if p, ok = r.owner(p, &c.Owner); !ok || uint64(len(p)) < n-recordEntry {
			return false
		}
		c.Data, p = p[:n-recordEntry:n-recordEntry], p[n-recordEntry:]
	}
	r.rest = p
	return true
}

// owner reads the owner of an entry, and returns the bytes behind it.
func (r *entriesReader) owner(p []byte, o *Owner) (rest []byte, ok bool) {
	n, width := binary.Uvarint(p)
	switch {
	case width <= 0 || n > uint64(len(r.owners)):
		return nil, false
	case n > 0:
		*o = r.owners[n-1]
		return p[width:], true
	case len(p) < width+8:
		return nil, false
	}
	*o = Owner(binary.BigEndian.Uint64(p[width:]))
	r.owners = append(r.owners, *o)
	return p[width+8:], true
}
