// Package model holds the types that every boundary of the Core shares: the protocols of
// clients, Tasks and the host, and the records in the log.
//
// A type is here if at least two of those packages use it. The package also decodes the
// types that are encoded alike at each boundary.
//
// Invariants:
//
//  1. An enumeration is fixed and its numbers are stable: a number is never used again for
//     another meaning. The last value of an enumeration has a name, so that a decoder can
//     refuse higher ones.
//  2. A limit is checked where data enter the Core, before memory is allocated for them.
//  3. A value has exactly one encoding, and a decoder refuses every other one.
//
// The package does no input or output and imports package codec alone.
package model

import (
	"strings"

	"motte/core/codec"
)

// Limits of the parts of requests and rows.
const (
	MaxObject     = 16 << 20 // bytes: a whole object is in memory while it is sealed or opened
	MaxName       = 512      // bytes
	MaxSubQuery   = 1 << 20  // bytes: also the limit of a configuration and of all attributes of a PUT
	MaxIdentifier = 32       // bytes: the name of a collection, index or Task
	MaxLabel      = 64       // bytes: the label of a principal

	MaxAfter        = 8       // identities after which a query continues
	MaxResultsLimit = 1 << 20 // identities that a row lets a Task answer: 32 MiB
	MaxDeadline     = 600_000 // milliseconds that a row gives a Task
	MaxShelf        = 8 << 30 // bytes of the blobs of one index, each with an entry in memory
)

// ValidIdentifier reports whether s may name a collection, an index or a
// Task: 1 to MaxIdentifier of a–z, 0–9, '_' and '-', the first a letter.
func ValidIdentifier(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	begins := strings.TrimLeft(s, letters) != s
	return len(s) <= MaxIdentifier && begins && strings.Trim(s, letters+"0123456789_-") == ""
}

// ValidLabel reports whether s may label a principal: 1 to MaxLabel printable
// ASCII characters without space.
func ValidLabel(s string) bool {
	unprintable := func(c rune) bool { return c <= ' ' || c > '~' }
	return s != "" && len(s) <= MaxLabel && !strings.ContainsFunc(s, unprintable)
}

// DataType is the type of the inputs and predicates of an index. The Core compares the type
// of a query with that of the index, and has no other use for it.
type DataType uint8

// The data types. TypeAny in a request matches every index.
const (
	TypeAny DataType = iota
	TypeBytes
	TypeText
	TypeInt64
	TypeFloat64
	TypeString
	TypeTime // RFC 3339

	LastType = TypeTime // no data type has a higher number
)

// Head is a position in the sealed log. It commits to all records up to that position. A
// segment ID is derived from a random salt, so two forks of a store have no segment in
// common after the record at which they part.
type Head struct {
	LSN     uint64   // sequence number of the last durable record
	Segment [16]byte // ID of the segment that holds this record: the first half of its header's MAC
	Chain   [16]byte // first half of the chain value after this record
}

// DecodeHead reads a head: see AppendHead.
func DecodeHead(p []byte) (h Head, err error) {
	r := codec.NewReader(p)
	h.LSN = r.U64()
	r.Copy(h.Segment[:])
	r.Copy(h.Chain[:])
	return h, r.Done()
}

// AppendHead appends the encoding of a head to p: LSN 8 | segment ID 16 | chain value 16.
func AppendHead(p []byte, h *Head) []byte {
	return codec.Writer(p).U64(h.LSN).Bytes(h.Segment[:]).Bytes(h.Chain[:])
}
