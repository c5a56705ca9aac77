// Package log is the sealed log: the one truth that everything else follows
// (design, section 6).
//
// A store is a sequence of segments, a segment a header and records:
//
//	header  magic "MSEG" | version 1 | reserved 3 | store 16 | segment 4
//	        previous segment 4 | its end 4 | reserved 4 | first LSN 8
//	        salt 32 | chain value before the first record 32 | MAC 32
//
//	record  magic "MR" | version 1 | flags 1 | length of it all 4 | LSN 8
//	        sealed head: kind 1 | reserved 3 | collection 4 | owner 4
//	                     len(body) 4 | identity 32, and 16 of seal
//	        sealed body: the body, and 16 of seal
//	        zero bytes up to a multiple of 8
//
// The first 16 bytes of a record are the associated data of its head, those and
// the head that of its body: so a body opens only with its LSN, collection and
// identity. The chain value after a record is the SHA-256 of the one before, the
// record's first 16 bytes, its sealed head and the seal of its body.
//
// Guarantees:
//
//  1. What Append returned for is durable, whole groups of it or nothing.
//  2. A record that is altered, cut, swapped, repeated or missing is noticed
//     when the log is opened, and named by segment and offset. One thing can't
//     be seen from the disk alone: that all from some group on was taken away.
//     It looks like a crash before that group was written; who remembers the
//     head of the log can tell.
//  3. Nothing is sealed twice under one key and nonce: see package seal.
//  4. After a failed write nothing is appended until the log is opened anew.
package log

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"motte/core/seal"
)

// Errors that callers can tell apart.
var (
	ErrDamaged = errors.New("the log is damaged")
	ErrFailed  = errors.New("the log takes no more records: a write failed")
)

// DamageError says where a stored log is not what was written. It is an
// ErrDamaged.
type DamageError struct {
	Segment uint32
	Offset  int64 // bytes from the start of the segment
	What    string
}

// Error says where and what, for the operator.
func (e *DamageError) Error() string {
	return fmt.Sprintf("segment %d, offset %d: %s", e.Segment, e.Offset, e.What)
}

// Is makes errors.Is(err, ErrDamaged) hold.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

// Storage keeps the bytes of segments. It is not trusted with anything but
// their durability.
type Storage interface {
	// Segments lists the segments in ascending order, and returns when what
	// they hold is durable: a process that was killed may have left its last
	// write in memory alone, and what is built on it must not outlive it.
	Segments() ([]SegmentInfo, error)
	// Append adds p to the end of a segment and returns when it is durable.
	// The first Append to a segment makes it, with all of p or not at all. It
	// is called by one goroutine at a time, for the newest segment only.
	Append(segment uint32, p []byte) error
	// ReadAt fills p from an offset. It is safe for concurrent use.
	ReadAt(segment uint32, p []byte, offset int64) error
}

// SegmentInfo describes a segment.
type SegmentInfo struct {
	ID   uint32
	Size int64 // bytes; what lies behind the data is zero
}

// Sizes of segments, in bytes.
const (
	segmentTarget = 64 << 20 // a segment that would grow beyond is followed by a new one
	segmentMax    = 96 << 20 // no segment is longer: one group is at most a third of that
)

// Log is an open log. Append has one caller at a time; Read any number.
type Log struct {
	storage Storage
	random  io.Reader
	store   seal.StoreID
	keys    *seal.Keys
	ring    *seal.Ring

	lsn    uint64 // of the last record
	chain  [sha256.Size]byte
	last   *segment // the newest that was read or made; at first one that holds nothing
	fresh  bool     // last was made by this Log
	buf    []byte
	failed bool

	mu       sync.RWMutex
	segments map[uint32]*segment
}

// Open reads the headers of the log in a storage, and checks each against the
// root key; Replay brings the records. An empty storage becomes a new store.
func Open(s Storage, root seal.Root, random io.Reader) (*Log, error) {
	l := &Log{storage: s, random: random, ring: seal.NewRing(), last: &segment{}, segments: make(map[uint32]*segment)}
	list, err := s.Segments()
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	if len(list) == 0 {
		if _, err := io.ReadFull(random, l.store[:]); err != nil {
			return nil, fmt.Errorf("make a store identifier: %w", err)
		}
		l.keys = seal.Derive(root, l.store)
	}
	for i, info := range list {
		if want := uint32(i) + 1; info.ID != want {
			return nil, &DamageError{want, 0, "the segment is missing"}
		}
		if err := l.readHeader(info, root); err != nil {
			return nil, err
		}
	}
	l.ring.Set(CoreOwner, l.keys.Data())
	return l, nil
}

// Keys returns the Core's own keys for this store.
func (l *Log) Keys() *seal.Keys { return l.keys }

// Ring returns the ring of data keys, to which Replay's caller adds.
func (l *Log) Ring() *seal.Ring { return l.ring }

// Head returns the sequence number of the last durable record, and the chain
// value that commits to all up to it. Only Append's caller may ask.
func (l *Log) Head() (lsn uint64, chain [sha256.Size]byte) { return l.lsn, l.chain }

// Size returns the bytes and the number of segments.
func (l *Log) Size() (bytes int64, segments int) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, s := range l.segments {
		bytes += s.end
	}
	return bytes, len(l.segments)
}

// Append makes groups durable in one write, and returns where each of their
// records lies, in order. Their LSNs must follow on. After an error, which may
// leave any part of them on the disk, the Log takes no more.
func (l *Log) Append(groups []Group) (at []Location, err error) {
	if l.failed {
		return nil, ErrFailed
	}
	defer func() { l.failed = err != nil }()
	var need int64
	for _, g := range groups {
		for i := range g {
			need += recordLen(len(g[i].Body))
		}
	}
	if need > segmentMax/3 {
		return nil, errors.New("a write of this size is not possible")
	}
	if !l.fresh || l.last.end+need > segmentTarget {
		if err := l.newSegment(); err != nil {
			return nil, err
		}
	}
	s, lsn, chain, p, flags := l.last, l.lsn, l.chain, l.buf[:0], byte(flagFirst)
	for _, g := range groups {
		for i := range g {
			if g[i].LSN != lsn+1 {
				return nil, fmt.Errorf("record %d follows record %d", g[i].LSN, lsn)
			}
			if i == len(g)-1 {
				flags |= flagCommit
			}
			start := len(p)
			if p, err = s.seal(p, l.ring, &g[i], flags); err != nil {
				return nil, err
			}
			at = append(at, Location{s.id, uint32(s.end) + uint32(start), uint32(len(p) - start)})
			lsn, chain, flags = lsn+1, chained(chain, p[start:], len(g[i].Body)), 0
		}
	}
	if err := l.storage.Append(s.id, p); err != nil {
		return nil, fmt.Errorf("append to segment %d: %w", s.id, err)
	}
	l.lsn, l.chain = lsn, chain
	l.mu.Lock()
	s.end += int64(len(p))
	l.mu.Unlock()
	if l.buf = p; cap(p) > 16<<20 {
		l.buf = nil // one large write must not keep its memory
	}
	return at, nil
}

// newSegment makes the next segment, with a salt of its own, bound to the end
// of the one before.
func (l *Log) newSegment() error {
	s := &segment{id: l.last.id + 1, previous: l.last.id, previousEnd: uint32(l.last.end),
		firstLSN: l.lsn + 1, chain: l.chain, end: headerSize}
	if _, err := io.ReadFull(l.random, s.salt[:]); err != nil {
		return fmt.Errorf("make a salt: %w", err)
	}
	s.heads = l.keys.Heads(s.salt)
	if err := l.storage.Append(s.id, s.header(l.store, l.keys)); err != nil {
		return fmt.Errorf("make segment %d: %w", s.id, err)
	}
	l.last, l.fresh = s, true
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments[s.id] = s
	return nil
}

// Read reads and opens the record at a location into buf, which it may grow and
// returns: the record's body lies in it. Any number of goroutines may read.
func (l *Log) Read(buf []byte, at Location) (Record, []byte, error) {
	l.mu.RLock()
	s := l.segments[at.Segment]
	within := s != nil && int64(at.Offset)+int64(at.Length) <= s.end && at.Length >= minRecord
	l.mu.RUnlock()
	if !within {
		return Record{}, buf, &DamageError{at.Segment, int64(at.Offset), "no record lies here"}
	}
	buf = slices.Grow(buf[:0], int(at.Length))[:at.Length]
	if err := l.storage.ReadAt(at.Segment, buf, int64(at.Offset)); err != nil {
		return Record{}, buf, fmt.Errorf("read segment %d at %d: %w", at.Segment, at.Offset, err)
	}
	r, what := s.open(buf, l.ring)
	if what != "" {
		return Record{}, buf, &DamageError{at.Segment, int64(at.Offset), what}
	}
	return r, buf, nil
}
