package seglog

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/seal"
)

// Kind is the kind of a record. The log stores it; the engine applies the record.
type Kind uint8

// The kinds of records.
const (
	KindPut              Kind = 1
	KindDelete           Kind = 2
	KindCreateCollection Kind = 3
	KindDropCollection   Kind = 4
	KindCreateIndex      Kind = 5
	KindDropIndex        Kind = 6
	KindRegisterTask     Kind = 7
	KindAddPrincipal     Kind = 8
	KindRemovePrincipal  Kind = 9
	KindGrant            Kind = 10
	KindRevoke           Kind = 11
	KindAlert            Kind = 12
	KindBarrier          Kind = 13 // no effect; all records before it are durable
	KindCounters         Kind = 14 // in checkpoints only: the counters of the catalogue
	KindDrawn            Kind = 15 // an upper bound of the bits that clients have learnt from an index
	KindQuota            Kind = 16 // of a collection
	KindRotatePrincipal  Kind = 17
	KindShelf            Kind = 18 // what the Core keeps for the next process of a Task
	kindEnd              Kind = 19
)

// Record is a record of the log.
type Record struct {
	LSN        uint64 // log sequence number: one more than that of the record before
	Kind       Kind
	Collection uint32      // 0: the record belongs to no collection
	Owner      uint32      // the owner whose data key seals the body; CoreOwner: the Core
	ID         identity.ID // of the object, or zero
	Body       []byte

	// Sealed is the stored form of a relocated record, or of a record that may be relocated.
	// In a relocated record that Replay reads, it is empty, but not nil. In a new record it
	// is nil.
	Sealed []byte

	salt   seal.Salt
	flags  byte  // as stored
	length int64 // bytes of the stored record
	size   int   // bytes of the body
}

// CoreOwner is the owner of all records that are not objects. No principal has this
// number.
const CoreOwner = seal.CoreOwner

// Location says where the stored form of a record lies.
type Location struct {
	Segment uint32
	Offset  uint32 // bytes from the start of the segment
	Length  uint32 // bytes, head and seals included
}

// Group is a list of records that become durable together or not at all.
type Group []Record

// RecordVersion is the only version of records that is written and read.
const RecordVersion = 3

const (
	recordMagic = "MR"
	frontSize   = 32
	headSize    = 48
	bodyAt      = frontSize + headSize + seal.Overhead
	minRecord   = bodyAt + seal.Overhead
	alignment   = 8
)

const (
	flagFirst  = 1 << 0 // first of a write: all records before it were durable when it was written
	flagCommit = 1 << 1 // last record of its group
)

// RecordSize returns the bytes that a record with a body of n bytes takes in the log.
func RecordSize(n int) int64 { return (int64(n) + minRecord + alignment - 1) &^ (alignment - 1) }

// seal appends a record, sealed for a log segment, to p.
func (l *Log) seal(p []byte, s *segment, r *Record, flags byte) ([]byte, error) {
	bodies := l.keys.Bodies(r.Owner, s.salt)
	if bodies == nil {
		return p, fmt.Errorf("record %d: owner %d has no key", r.LSN, r.Owner)
	}
	size, nonce := int(RecordSize(len(r.Body))), seal.Nonce(r.LSN)
	plain := codec.Writer(make([]byte, 0, frontSize+headSize)).Text(recordMagic, 2)
	plain = plain.U8(RecordVersion, flags).U32(uint32(size)).U64(r.LSN).Bytes(s.salt[:])
	plain = plain.U8(byte(r.Kind), 0, 0, 0).U32(r.Collection).U32(r.Owner)
	plain = plain.U32(uint32(len(r.Body))).Bytes(r.ID[:])
	end := len(p) + size
	p = append(slices.Grow(p, size), plain[:frontSize]...)
	p = l.keys.Heads(s.salt).Seal(p, nonce, plain[frontSize:], plain[:frontSize])
	p = bodies.Seal(p, nonce, r.Body, plain)
	return append(p, make([]byte, end-len(p))...), nil
}

// Reasons why a record can't be opened. With badHead, there is no record. With ownerGone, its
// owner was erased, which is no damage.
const (
	badHead   = "the record's head fails its check"
	badBody   = "the record's body, or the padding behind it, fails its check"
	ownerGone = "the key of the record's owner is gone"
)

// openHead reads the first 32 bytes of the record at the start of p, and opens its head.
// With ok, the Core wrote both. All fields of r are set, except the body.
func (l *Log) openHead(p []byte) (r Record, plain [frontSize + headSize]byte, ok bool) {
	f := codec.NewReader(p)
	if string(f.Take(2)) != recordMagic || f.U8() != RecordVersion || len(p) < bodyAt {
		return r, plain, false
	}
	r.flags, r.length, r.LSN = f.U8(), int64(f.U32()), f.U64()
	f.Copy(r.salt[:])
	copy(plain[:], p[:frontSize])
	heads := l.keys.Heads(r.salt)
	_, err := heads.Open(plain[frontSize:frontSize], seal.Nonce(r.LSN), p[frontSize:bodyAt], p[:frontSize])
	h := codec.NewReader(plain[frontSize:])
	r.Kind = Kind(h.U8())
	h.Take(3)
	r.Collection, r.Owner, r.size = h.U32(), h.U32(), int(h.U32())
	h.Copy(r.ID[:])
	return r, plain, err == nil && r.Kind > 0 && r.Kind < kindEnd && RecordSize(r.size) == r.length
}

// open checks and opens the record at the start of p. It writes the body to dst, which may
// be the place of the body in p. It returns the reason of a failure, or an empty string.
func (l *Log) open(p, dst []byte) (r Record, what string) {
	r, plain, ok := l.openHead(p)
	if !ok || r.length > int64(len(p)) {
		return Record{length: alignment}, badHead
	}
	bodies := l.keys.Bodies(r.Owner, r.salt)
	if bodies == nil {
		return r, ownerGone
	}
	nonce, end := seal.Nonce(r.LSN), bodyAt+r.size+seal.Overhead
	body, err := bodies.Open(dst, nonce, p[bodyAt:end], plain[:])
	if err != nil || len(bytes.TrimLeft(p[end:r.length], "\x00")) > 0 {
		return r, badBody
	}
	r.Body = body
	return r, ""
}

// pass moves p to the end of a record. A relocated record does not change the chain value, since
// the chain has this record already.
func (p *Position) pass(s *segment, stored []byte, r *Record) {
	p.Segment, p.End = s.number, p.End+uint32(len(stored))
	if r.Sealed == nil {
		tag := stored[bodyAt+r.size:][:seal.Overhead]
		p.Chain = sha256.Sum256(slices.Concat(p.Chain[:], stored[:bodyAt], tag))
		p.LSN, p.SegmentID = p.LSN+1, s.id
	}
}
