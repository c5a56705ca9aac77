package taskwire

import (
	"encoding/binary"
	"math/bits"

	"motte/core/codec"
	"motte/core/identity"
)

// The frames of the shelf. A shelf is what the Core keeps of a Task's memory for the next process
// of the same index: a set of blobs, which the Core seals. After a start, the frames Runs and List
// compare the Task's entries with the objects of the collection.

// The states of a Set.
const (
	SetKept    = 0 // the shelf stays as it was, without the blobs since the last Set
	SetChanged = 1 // the blobs since the last Set are added, and those with these numbers are dropped
)

// AppendVoid appends a Void frame to p.
func AppendVoid(p []byte, seq, lsn uint64, id identity.ID) []byte {
	return appendChange(p, Void, seq, lsn, id)
}

// AppendStoredHead appends a Stored frame without its blob, which has n bytes.
func AppendStoredHead(p []byte, seq, number uint64, n int) []byte {
	return codec.Writer(AppendHeader(p, Header{Stored, 8 + n, seq})).U64(number)
}

// AppendSave appends a Save frame to p. anew says that the shelf is empty, whatever the Task has
// sent before.
func AppendSave(p []byte, seq uint64, room uint32, anew bool) []byte {
	return codec.Writer(AppendHeader(p, Header{Save, 5, seq})).U32(room).Bool(anew)
}

// Run describes the objects of a range of values. The range begins after the last value of the run
// before.
type Run struct {
	Last  identity.Value // the last value of the range
	Count uint32         // objects
	Sum   Sum            // of the tags of their identities
}

// Sum is a sum of tags, as numbers modulo 2^128, most significant half first.
type Sum [2]uint64

// Add adds the tag of an identity.
func (s *Sum) Add(id *identity.ID) {
	low, carry := bits.Add64(s[1], binary.BigEndian.Uint64(id[24:]), 0)
	s[0], _ = bits.Add64(s[0], binary.BigEndian.Uint64(id[16:]), carry)
	s[1] = low
}

// AppendRuns appends a Runs frame to p.
func AppendRuns(p []byte, seq uint64, runs []Run) []byte {
	w := codec.Writer(AppendHeader(p, Header{Runs, len(runs) * runSize, seq}))
	for i := range runs {
		w = w.Bytes(runs[i].Last[:]).U32(runs[i].Count).U64(runs[i].Sum[0]).U64(runs[i].Sum[1])
	}
	return w
}

// AppendList appends a List frame to p, of all identities from the first to the last value.
func AppendList(p []byte, seq uint64, first, last identity.Value, ids []identity.ID) []byte {
	w := codec.Writer(AppendHeader(p, Header{List, 2*identity.ValueSize + len(ids)*identity.Size, seq}))
	return appendIDs(w.Bytes(first[:]).Bytes(last[:]), ids)
}

// Bit reports whether bit i of a Differ or a Lacks is set.
func (a *Answer) Bit(i int) bool { return a.Bits[i/8]>>(7-i%8)&1 == 1 }

// Covers reports whether a Differ or a Lacks has a bit for each of n items, and no other bit set.
func (a *Answer) Covers(n int) bool {
	return len(a.Bits) == (n+7)/8 && (n%8 == 0 || a.Bits[n/8]<<(n%8) == 0)
}
