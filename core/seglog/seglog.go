// Package seglog is the sealed log, from which all state of the Core follows (design, section
// 6). Its Storage holds
//
//   - segments, to which records are appended: NNNNNNNN.seg
//   - checkpoints of the state that the records led to: NNNNNNNN.ckp
//   - the secret of the data keys: see package seal
//
// A segment is a header and records:
//
//	header  magic "MSEG" | version 3 | reserved 3 | store 16 | segment 4
//	        previous segment 4 | its end 4 | reserved 4 | first LSN 8
//	        salt 16 | chain value before the first record 32 | MAC 32
//
//	record  magic "MR" | version 3 | flags 1 | length of the record 4 | LSN 8
//	        salt 16
//	        sealed head: kind 1 | reserved 3 | collection 4 | owner 4
//	                     len(body) 4 | identity 32, and 16 of seal
//	        sealed body: the body, and 16 of seal
//	        zero bytes up to a multiple of 8
//
// The first 32 bytes of a record are the associated data of its head. These bytes and the
// head are the associated data of its body. So a body opens only with its LSN, collection and
// identity.
//
// The salt of a record is that of the segment in which it was first written. A record with
// the salt of another segment is relocated: compaction appended it again, byte for byte, so
// that the old segment can be removed.
//
// The chain value after a record is the SHA-256 of the chain value before it, the record's
// first 32 bytes, its sealed head and the seal of its body. A relocated record does not change
// the chain value.
//
// Guarantees:
//
//  1. When Append returns, the groups that it took are durable. After a crash each group is
//     there completely or not at all.
//  2. A segment header names the end of the segment before, the first LSN and the chain value
//     there. So a record that is altered, cut, swapped, repeated or missing is detected, and
//     reported by segment and offset: when the log is opened, if the record follows the
//     checkpoint, otherwise when it is read.
//  3. Removal of all groups from some group on can't be detected from the disk alone: it looks
//     like a crash before that group was written. A client or an anchor that remembers a head
//     of the log detects it (Contains).
//  4. No nonce is used twice under one key: see package seal.
//  5. After a failed write no record is appended until Resume has made a new segment. Its
//     header excludes the remains of the failed write.
package seglog

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"motte/core/model"
	"motte/core/seal"
)

// Errors that callers can tell apart.
var (
	ErrDamaged = errors.New("the log is damaged")
	ErrFailed  = errors.New("the log takes no more records: a write failed")
	ErrLost    = errors.New("records that a checkpoint includes are missing from the log")
	ErrMoved   = errors.New("the record is not there any more: " +
		"it was relocated or removed, or its owner was erased")
)

// DamageError is damage of the stored log at a position. errors.Is reports that it is
// ErrDamaged.
type DamageError struct {
	File   string
	Offset int64 // bytes from the start of the file
	What   string
}

// Error names the position and the damage, for the operator.
func (e *DamageError) Error() string {
	return fmt.Sprintf("%s, offset %d: %s", e.File, e.Offset, e.What)
}

// Is implements the interface of errors.Is.
func (e *DamageError) Is(target error) bool { return target == ErrDamaged }

// Storage stores files. The Core trusts it with their durability alone. Append has one caller at
// a time; all other methods are safe for concurrent use.
type Storage interface {
	// Files lists the files in the order of their names.
	Files() ([]File, error)
	// Append appends p to the file that Append made last, and returns when p is durable. With
	// another name it makes a new file, with all of p or not at all. It is an error if a file
	// has this name already.
	Append(name string, p []byte) error
	// Create makes a file, which is complete and durable when Create returns nil. It is an
	// error if a file has this name already: no file is replaced.
	Create(name string, write func(io.Writer) error) error
	// Replace makes or replaces a file, which is complete and durable when it returns nil.
	Replace(name string, write func(io.Writer) error) error
	// Remove removes a file. A crash may bring it back.
	Remove(name string) error
	// Cut truncates a file to a size. Append no longer writes to this file.
	Cut(name string, size int64) error
	// Watch lists the files as Files does, and returns the disk space that they take. It omits
	// a file that replaced a file which was made or listed before. It returns ErrAdrift if
	// the directory is another one now, or another Core writes in it.
	Watch() (list []File, disk int64, err error)
	// Reserve reserves bytes of disk space. With 0 it releases them.
	Reserve(size int64) error
	// Rescue restores a file that another program has removed, if possible.
	Rescue(name string) error
	// Sync makes the content and the name of a file durable. A process that was killed may have
	// left both in memory alone, and records that depend on them must not outlive them.
	Sync(name string) error
	// ReadAt fills p with the bytes at an offset.
	ReadAt(name string, p []byte, offset int64) error
}

// File describes a file of a Storage.
type File struct {
	Name string
	Size int64 // bytes
}

// Sizes of segments, in bytes.
const (
	segmentTarget = 32 << 20 // a segment that would grow beyond is followed by a new segment
	segmentMax    = 96 << 20 // no segment is longer; a write is at most half of it
	writeTarget   = 8 << 20  // a write of this size takes no further group
	writeRecords  = 4096     // nor does a write of this many records, which the engine applies in one event
	maxSegments   = 1 << 24  // as many as the mapping can name
)

// Position is a position between two records.
type Position struct {
	LSN          uint64 // LSN of the record before
	Chain        [sha256.Size]byte
	SegmentID    SegmentID // ID of the segment that holds the record before
	Segment, End uint32    // where the next record would lie, if it lies in the same segment
}

// Head returns the part of a position that clients see.
func (p Position) Head() model.Head {
	return model.Head{LSN: p.LSN, Segment: p.SegmentID, Chain: [16]byte(p.Chain[:16])}
}

// Log is an open log. Append, Resume and Position have one caller at a time, and Checkpoint,
// Remove and Erase have another. Any number of goroutines may call Read and Walk.
type Log struct {
	storage Storage
	root    seal.Root
	random  Random
	store   seal.StoreID
	keys    *seal.Keys
	damaged func(*DamageError) error // nil: all damage is an error

	pos    Position
	last   *segment // the segment that Append adds to; nil: the next Append makes a segment
	buf    []byte
	failed bool
	rotate atomic.Bool // the next Append makes a new segment
	adrift atomic.Bool // the directory is another one: no records are appended

	writing    chan struct{}     // full while a goroutine changes the files of the keys
	generation uint64            // generation of the keys
	stored     [sha256.Size]byte // hash of the files of the keys as written last; zero: not written yet
	keysOlder  bool
	unread     []string // files of the keys that could not be read, and were not reported

	highestCheckpoint uint32 // the highest number that Checkpoint used, or found in use

	foreign map[uint32]bool // numbers in use by segments of another log: a new segment can't have them
	missing map[string]bool // lost files that Watch has reported

	mu               sync.RWMutex
	segments         map[uint32]*segment
	history          []model.Head     // first LSN and segment ID of each segment, without chain values
	firstNeeded      uint32           // no checkpoint needs segments before this one for a replay
	newestCheckpoint uint32           // number of the newest checkpoint; 0: no checkpoint, the empty state
	replayFrom       uint32           // first segment that Replay would read after this checkpoint
	checkpoints      map[uint32]int64 // bytes of each checkpoint file, by number

	cache cache
}

// maxHistory bounds the segments in the history, which take 40 bytes each. Heads older than
// the oldest of them can't be told from heads of another history.
const maxHistory = 1 << 16

// Random fills p with unpredictable bytes. It never fails: see crypto/rand.Read.
type Random = func(p []byte) (int, error)

// Empty reports whether a storage holds no log yet.
func Empty(s Storage) (bool, error) {
	files, err := s.Files()
	return !slices.ContainsFunc(files, func(f File) bool {
		_, is := number(f.Name, segmentSuffix)
		return is
	}), err
}

// Open reads the keys in a storage with the root key. It reads the headers of all segments,
// and checks each header against the keys. An empty storage becomes a new store. Restore and
// Replay follow. If damaged returns nil for a damage, Open and Replay pass over it. If
// damaged is nil, each damage is an error.
func Open(s Storage, root seal.Root, random Random, damaged func(*DamageError) error) (*Log, error) {
	l := &Log{storage: s, root: root, random: random, damaged: damaged,
		writing: make(chan struct{}, 1), foreign: make(map[uint32]bool), missing: make(map[string]bool),
		checkpoints: make(map[uint32]int64), segments: make(map[uint32]*segment)}
	files, err := s.Files()
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	var segments, copies []File
	keys := make(map[string]int64) // the sizes of the copies of the keys
	for _, f := range files {
		if _, ok := number(f.Name, segmentSuffix); ok {
			segments = append(segments, f)
		} else if n, ok := number(f.Name, checkpointSuffix); ok {
			l.checkpoints[n] = f.Size
		} else if slices.Contains(KeysNames[:], f.Name) {
			copies, keys[f.Name] = append(copies, f), f.Size
		}
	}
	if empty := len(segments) == 0 && len(l.checkpoints) == 0; empty && len(keys) == 0 {
		return l, l.makeKeys()
	} else if empty { // no record was written, or all are lost: clients notice a loss
		err = l.openKeys(copies, keys)
	} else if err = l.openKeys(segments, keys); err == nil {
		err = l.readHeaders(segments)
	}
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	return l, nil
}

// readHeaders reads the headers of all segments, in order, and makes the newest segment
// durable. The older segments were durable before it was made.
func (l *Log) readHeaders(list []File) error {
	for _, f := range list {
		n, _ := number(f.Name, segmentSuffix)
		if err := l.readHeader(n, f); err != nil {
			return err
		}
		l.foreign[n] = l.segments[n] == nil
	}
	if len(l.segments) == 0 {
		return fmt.Errorf("%w: no segment has a header that can be read", ErrDamaged)
	}
	return l.storage.Sync(list[len(list)-1].Name)
}

// Keys returns the Core's own keys for this store.
func (l *Log) Keys() *seal.Keys { return l.keys }

// Position returns where the last durable record ends.
func (l *Log) Position() Position { return l.pos }

// Contains reports whether a head is part of the log's history: whether its LSN was written
// to the segment that it names. The head must not be beyond the log's own head.
func (l *Log) Contains(h model.Head) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	i := len(l.history) - 1
	for ; i >= 0 && l.history[i].LSN > h.LSN; i-- {
	}
	return i < 0 || l.history[i].Segment == h.Segment
}

// SegmentInfo describes a segment.
type SegmentInfo struct {
	Number       uint32
	Bytes        int64 // bytes of records; if the end of the data is not known, of the file
	BarrierBytes int64 // bytes of barriers among these records, at least
	Tail         int64 // bytes of the file after the records: the rest of a torn or failed write
	Free         bool  // no checkpoint needs it for a replay, only the mapping may
}

// Segments lists the segments in order.
func (l *Log) Segments() (list []SegmentInfo) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, number := range slices.Sorted(maps.Keys(l.segments)) {
		s := l.segments[number]
		end := s.end
		if end == 0 {
			end = s.size
		}
		bytes, tail := max(0, end-headerSize), max(0, s.size-end)
		list = append(list, SegmentInfo{number, bytes, s.barrierBytes, tail, number < l.firstNeeded})
	}
	return list
}

// Rotate lets the next Append make a new segment.
func (l *Log) Rotate() { l.rotate.Store(true) }

// Append makes groups durable in one write: at least one group, and as many as the write
// takes. It returns the locations of their records, in order, and the other groups. The LSNs
// of new records must be consecutive. After an error, any part of the groups may be on the
// disk. The Log takes no more records until Resume.
func (l *Log) Append(groups []Group) (at []Location, rest []Group, err error) {
	if err := l.mayAppend(); err != nil {
		return nil, nil, err
	}
	defer func() { l.failed = err != nil }()
	n, need := fitting(groups)
	if need > segmentMax/2 {
		return nil, nil, errors.New("a write of this size is not possible")
	}
	if l.rotate.Load() || l.last == nil || l.last.end+need > segmentTarget {
		if err := l.newSegment(); err != nil {
			return nil, nil, err
		}
	}
	w := pendingWrite{segment: l.last, pos: l.pos, p: l.buf[:0], flags: flagFirst}
	for _, g := range groups[:n] {
		if err := l.encode(&w, g); err != nil {
			return nil, nil, err
		}
	}
	if err := l.extend(&w); err != nil {
		return nil, nil, err
	}
	l.pos = w.pos
	if l.buf = w.p; cap(w.p) > 16<<20 {
		l.buf = nil // one large write must not keep its memory
	}
	return w.at, groups[n:], nil
}

// fitting returns how many groups a write takes, and about how many bytes they need.
func fitting(groups []Group) (n int, need int64) {
	records := 0
	for ; n < len(groups) && need < writeTarget && records < writeRecords; n++ {
		records += len(groups[n])
		for _, r := range groups[n] {
			need += max(RecordSize(len(r.Body)), int64(len(r.Sealed)))
		}
	}
	return n, need
}

// pendingWrite is a write that is being encoded.
type pendingWrite struct {
	segment      *segment
	pos          Position // position after the write
	p            []byte
	at           []Location // of its records
	barrierBytes int64      // bytes of barriers
	flags        byte       // of the next record
}

// encode adds a group to a write. A relocated record stays as it is stored.
func (l *Log) encode(w *pendingWrite, g Group) (err error) {
	for i := range g {
		r, start := &g[i], len(w.p)
		if r.Sealed != nil {
			w.p = append(w.p, r.Sealed...)
		} else if r.LSN != w.pos.LSN+1 {
			return fmt.Errorf("record %d follows record %d", r.LSN, w.pos.LSN)
		} else {
			if i == len(g)-1 || g[i+1].Sealed != nil {
				w.flags |= flagCommit
			}
			if w.p, err = l.seal(w.p, w.segment, r, w.flags); err != nil {
				return err
			}
			r.size = len(r.Body)
		}
		w.flags = 0 // the next record is not the first
		stored := w.p[start:]
		w.at = append(w.at, Location{w.segment.number, w.pos.End, uint32(len(stored))})
		if r.Kind == KindBarrier {
			w.barrierBytes += int64(len(stored))
		}
		w.pos.pass(w.segment, stored, r)
	}
	return nil
}

// extend appends a write to its segment. A write that fails may leave any part of its bytes.
func (l *Log) extend(w *pendingWrite) error {
	s := w.segment
	err := l.storage.Append(s.name, w.p)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		s.size = int64(w.pos.End)
		return fmt.Errorf("append to %s: %w", s.name, err)
	}
	s.end = int64(w.pos.End)
	s.barrierBytes += w.barrierBytes
	return nil
}

// mayAppend returns the reason why the log takes no records, or nil if it takes them.
func (l *Log) mayAppend() error {
	if l.failed {
		return ErrFailed
	}
	if l.failed = l.adrift.Load(); l.failed {
		return ErrAdrift
	}
	return nil
}

// Resume makes a new segment after a failed write, so that new records are not mixed with
// the remains of that write.
func (l *Log) Resume() error {
	if l.adrift.Load() {
		return ErrAdrift
	}
	err := l.newSegment()
	l.failed = err != nil
	return err
}

// newSegment makes the next segment, with its own salt. Its header names the end of the
// segment before.
func (l *Log) newSegment() error {
	s := &segment{number: l.pos.Segment + 1, previous: l.pos.Segment, previousEnd: l.pos.End,
		firstLSN: l.pos.LSN + 1, chain: l.pos.Chain}
	for l.foreign[s.number] {
		s.number++
	}
	s.name = segmentName(s.number)
	if s.number >= maxSegments {
		return errors.New("the store has had as many segments as it can have")
	}
	_, _ = l.random(s.salt[:])
	header := s.header(l.store, l.keys)
	if err := l.storage.Append(s.name, header); err != nil {
		return fmt.Errorf("make %s: %w", s.name, err)
	}
	l.last, l.pos.Segment, l.pos.End, s.end = s, s.number, headerSize, headerSize
	l.rotate.Store(false)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.segments[s.number] = s
	l.begin(s)
	return nil
}

// begin adds a segment to the history. Later records belong to this segment.
func (l *Log) begin(s *segment) {
	newest := l.history[max(0, len(l.history)-maxHistory+1):]
	l.history = append(newest, model.Head{LSN: s.firstLSN, Segment: s.id})
}

// Has reports whether a segment is there.
func (l *Log) Has(number uint32) bool { return l.segment(number).number != 0 }

// segment returns a copy of the present state of a segment. If the segment does not exist,
// its id is 0.
func (l *Log) segment(number uint32) segment {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if s := l.segments[number]; s != nil {
		return *s
	}
	return segment{}
}
