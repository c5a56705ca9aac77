package log

import (
	"bytes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"motte/core/frame"
	"motte/core/seal"
)

const (
	segmentMagic   = "MSEG"
	segmentVersion = 1
	headerSize     = 144
	macAt          = headerSize - sha256.Size
)

// segment is what is known of a segment: its header, and where its data ends.
type segment struct {
	id          uint32
	previous    uint32 // 0: none
	previousEnd uint32 // bytes of data in the previous one
	firstLSN    uint64
	salt        seal.Salt
	chain       [sha256.Size]byte // before the first record
	heads       cipher.AEAD
	size        int64 // bytes to be replayed; behind what a newer segment names as the end lies a torn tail
	end         int64 // bytes of data, as far as it was replayed or written
}

// header encodes the header of s.
func (s *segment) header(store seal.StoreID, keys *seal.Keys) []byte {
	w := frame.Writer(segmentMagic).U8(segmentVersion, 0, 0, 0).Bytes(store[:])
	w = w.U32(s.id).U32(s.previous).U32(s.previousEnd).U32(0).U64(s.firstLSN)
	w = w.Bytes(s.salt[:]).Bytes(s.chain[:])
	return w.Bytes(keys.MAC(w))
}

// readHeader reads the header of a segment. The first one says which store this
// is: with a wrong one, or the wrong root key, no header authenticates.
func (l *Log) readHeader(info SegmentInfo, root seal.Root) error {
	p := make([]byte, headerSize)
	if info.Size < headerSize || info.Size > segmentMax {
		return &DamageError{info.ID, info.Size, "no segment ends here"}
	}
	if err := l.storage.ReadAt(info.ID, p, 0); err != nil {
		return fmt.Errorf("read segment %d: %w", info.ID, err)
	}
	r, s := frame.NewReader(p), &segment{size: info.Size}
	magic, version := string(r.Take(4)), r.U8()
	if magic == segmentMagic && version != segmentVersion {
		return fmt.Errorf("segment %d has version %d; this Core reads version %d", info.ID, version, segmentVersion)
	}
	r.Take(3)
	store := seal.StoreID(r.Take(16))
	s.id, s.previous, s.previousEnd = r.U32(), r.U32(), r.U32()
	r.Take(4)
	s.firstLSN = r.U64()
	r.Copy(s.salt[:])
	r.Copy(s.chain[:])
	if l.keys == nil {
		l.store, l.keys = store, seal.Derive(root, store)
	}
	if !hmac.Equal(l.keys.MAC(p[:macAt]), p[macAt:]) || s.id != info.ID {
		return &DamageError{info.ID, 0, "the header fails its check: it was altered or moved, or the root key is another"}
	}
	if before := l.segments[s.id-1]; before != nil {
		before.size = min(before.size, int64(s.previousEnd))
	}
	s.heads = l.keys.Heads(s.salt)
	l.segments[s.id] = s
	return nil
}

// Replay reads the whole log, checks all of it, and hands each record of each
// whole group to apply, in order; r.Body is apply's to keep. It is called once,
// before Append.
func (l *Log) Replay(apply func(Record, Location) error) error {
	for id := uint32(1); l.segments[id] != nil; id++ {
		s := l.segments[id]
		data := make([]byte, s.size)
		if err := l.storage.ReadAt(id, data, 0); err != nil {
			return fmt.Errorf("read segment %d: %w", id, err)
		}
		// All of the segment before must have been there, up to the end that
		// this header names.
		if s.firstLSN != l.lsn+1 || s.chain != l.chain || s.previous != l.last.id || int64(s.previousEnd) != l.last.end {
			return &DamageError{l.last.id, l.last.end, "records are missing behind this one"}
		}
		if err := l.replaySegment(s, data, apply); err != nil {
			return err
		}
		l.last = s
	}
	return nil
}

// replaySegment applies the whole groups of a segment. What is no record that
// follows on is damage, save in the newest segment, where it may be the end of
// the data, or a write that a crash cut short: see acknowledged.
func (l *Log) replaySegment(s *segment, data []byte, apply func(Record, Location) error) error {
	var group Group
	var places []Location
	lsn, chain, newest := l.lsn, l.chain, l.segments[s.id+1] == nil
	s.end = headerSize
	for offset := s.end; offset < int64(len(data)); {
		r, what := s.open(data[offset:], l.ring)
		if what == "" && r.LSN != lsn+1 {
			what = "a record is missing before this one"
		}
		if what != "" {
			if newest && !s.acknowledged(data, offset, lsn) {
				return nil
			}
			return &DamageError{s.id, offset, what}
		}
		lsn, chain = r.LSN, chained(chain, data[offset:], len(r.Body))
		r.Body = bytes.Clone(r.Body)
		group, places = append(group, r), append(places, Location{s.id, uint32(offset), uint32(r.length)})
		offset += r.length
		if r.flags&flagCommit == 0 {
			continue
		}
		for i, at := range places {
			if err := apply(group[i], at); err != nil {
				return &DamageError{s.id, int64(at.Offset), "the record can't be applied"}
			}
		}
		group, places = group[:0], places[:0]
		l.lsn, l.chain, s.end = lsn, chain, offset
	}
	return nil
}

// acknowledged reports whether the bytes at offset, which are no record that
// follows on, were durable once: a later record that the Core wrote and marked
// as the first of a write proves it, since a write begins only when all before
// it is durable. Without one, a crash in the middle of the last write explains
// what is seen.
func (s *segment) acknowledged(data []byte, offset int64, lsn uint64) bool {
	for ; offset+minRecord <= int64(len(data)); offset += alignment {
		r, _, ok := s.openHead(data[offset:])
		if ok && r.flags&flagFirst != 0 && r.LSN > lsn+1 {
			return true
		}
	}
	return false
}
