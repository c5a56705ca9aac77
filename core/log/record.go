package log

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"motte/core/frame"
	"motte/core/identity"
	"motte/core/seal"
)

// Kind says what a record does when it is applied. Log only keeps it; the
// engine gives it its meaning.
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
	kindEnd              Kind = 13
)

// Record is one entry of the log.
type Record struct {
	LSN        uint64 // log sequence number: one more than that of the record before
	Kind       Kind
	Collection uint32      // 0: none
	Owner      uint32      // whose data key seals the body; CoreOwner: the Core's own
	ID         identity.ID // of the object, or zero
	Body       []byte
}

// CoreOwner is the owner of all records that are not objects.
const CoreOwner = 0

// Location is where a record lies.
type Location struct {
	Segment uint32
	Offset  uint32 // bytes from the start of the segment
	Length  uint32 // bytes, head and seals included
}

// Group is a list of records that become durable together or not at all.
type Group []Record

const (
	recordMagic   = "MR"
	recordVersion = 1
	frontSize     = 16
	headSize      = 48
	bodyAt        = frontSize + headSize + seal.Overhead
	minRecord     = bodyAt + seal.Overhead
	alignment     = 8
)

const (
	flagFirst  = 1 << 0 // first of a write: all before it was durable when it was written
	flagCommit = 1 << 1 // last of its group
)

func flagIf(ok bool, f byte) byte {
	if ok {
		return f
	}
	return 0
}

// recordLen is the length of a record with a body of n bytes.
func recordLen(n int) int64 { return (int64(n) + minRecord + alignment - 1) &^ (alignment - 1) }

// seal appends a sealed record to p.
func (s *segment) seal(p []byte, ring *seal.Ring, r *Record, flags byte) ([]byte, error) {
	bodies := ring.Bodies(r.Owner, s.salt)
	if bodies == nil {
		return p, fmt.Errorf("record %d: owner %d has no key", r.LSN, r.Owner)
	}
	var plain [frontSize + headSize]byte
	front, head := plain[:frontSize], plain[frontSize:]
	copy(front, recordMagic)
	front[2], front[3] = recordVersion, flags
	binary.BigEndian.PutUint32(front[4:], uint32(recordLen(len(r.Body))))
	binary.BigEndian.PutUint64(front[8:], r.LSN)
	head[0] = byte(r.Kind)
	binary.BigEndian.PutUint32(head[4:], r.Collection)
	binary.BigEndian.PutUint32(head[8:], r.Owner)
	binary.BigEndian.PutUint32(head[12:], uint32(len(r.Body)))
	copy(head[16:], r.ID[:])
	nonce := seal.Nonce(r.LSN)
	start := len(p)
	p = slices.Grow(p, int(recordLen(len(r.Body))))
	p = append(p, front...)
	p = s.heads.Seal(p, nonce[:], head, front)
	p = bodies.Seal(p, nonce[:], r.Body, plain[:])
	for (len(p)-start)%alignment != 0 {
		p = append(p, 0)
	}
	return p, nil
}

// front is what a record says of itself before it is opened.
type front struct {
	flags  byte
	length int64
	lsn    uint64
}

// readFront reads the first 16 bytes of a record. Nothing in them is proven
// until the head opens.
func readFront(p []byte) (f front, ok bool) {
	r := frame.NewReader(p)
	ok = string(r.Take(2)) == recordMagic && r.U8() == recordVersion
	f = front{flags: r.U8(), length: int64(r.U32()), lsn: r.U64()}
	return f, ok && r.Err() == nil && f.length >= minRecord && f.length%alignment == 0
}

// openHead opens the head of the record at the front of p: proof that the Core
// wrote the record's front and head, in this segment.
func (s *segment) openHead(p []byte, f front) (plain [frontSize + headSize]byte, ok bool) {
	if len(p) < bodyAt {
		return plain, false
	}
	copy(plain[:], p[:frontSize])
	nonce := seal.Nonce(f.lsn)
	_, err := s.heads.Open(plain[frontSize:frontSize], nonce[:], p[frontSize:bodyAt], p[:frontSize])
	return plain, err == nil
}

// open checks and opens the record at the front of p, in place: r.Body aliases
// p. It says what is wrong, or nothing.
func (s *segment) open(p []byte, ring *seal.Ring) (r Record, f front, what string) {
	f, ok := readFront(p)
	if !ok || f.length > int64(len(p)) {
		return r, f, "no record lies here"
	}
	plain, ok := s.openHead(p, f)
	if !ok {
		return r, f, "the record's head fails its check"
	}
	h := frame.NewReader(plain[frontSize:])
	r = Record{LSN: f.lsn, Kind: Kind(h.U8())}
	h.Take(3)
	r.Collection, r.Owner = h.U32(), h.U32()
	size := int(h.U32())
	h.Copy(r.ID[:])
	if r.Kind == 0 || r.Kind >= kindEnd || recordLen(size) != f.length {
		return r, f, "the record's head has no sense"
	}
	bodies := ring.Bodies(r.Owner, s.salt)
	if bodies == nil {
		return r, f, "the key of the record's owner is gone"
	}
	nonce, end := seal.Nonce(f.lsn), bodyAt+size+seal.Overhead
	body, err := bodies.Open(p[bodyAt:bodyAt], nonce[:], p[bodyAt:end], plain[:])
	if err != nil {
		return r, f, "the record's body fails its check"
	}
	for _, b := range p[end:f.length] {
		if b != 0 {
			return r, f, "the record's padding is not zero"
		}
	}
	r.Body = body
	return r, f, ""
}

// chained returns the chain value after a sealed record with a body of n bytes.
func chained(before [sha256.Size]byte, sealed []byte, n int) [sha256.Size]byte {
	var p [sha256.Size + bodyAt + seal.Overhead]byte
	copy(p[:], before[:])
	copy(p[sha256.Size:], sealed[:bodyAt])
	copy(p[sha256.Size+bodyAt:], sealed[bodyAt+n:bodyAt+n+seal.Overhead])
	return sha256.Sum256(p[:])
}
