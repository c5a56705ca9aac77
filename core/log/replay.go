package log

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"motte/core/frame"
	"motte/core/seal"
)

const (
	segmentMagic   = "MSEG"
	segmentVersion = 1
	headerSize     = 144
	macSize        = sha256.Size
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
	end         int64 // bytes of data
}

// header encodes the header of s.
func (s *segment) header(store seal.StoreID, keys *seal.Keys) []byte {
	b := binary.BigEndian
	p := append([]byte(segmentMagic), segmentVersion, 0, 0, 0)
	p = append(p, store[:]...)
	p = b.AppendUint32(b.AppendUint32(p, s.id), s.previous)
	p = b.AppendUint32(b.AppendUint32(p, s.previousEnd), 0)
	p = b.AppendUint64(p, s.firstLSN)
	p = append(append(p, s.salt[:]...), s.chain[:]...)
	return append(p, keys.MAC(p)...)
}

// storeOf reads the store's identifier from a header, unproven: with a wrong
// one, or the wrong root key, no header authenticates.
func storeOf(s Storage, info SegmentInfo) (store seal.StoreID, err error) {
	p := make([]byte, headerSize)
	if info.Size < headerSize {
		return store, &DamageError{info.ID, 0, "the segment is shorter than its header"}
	}
	if err := s.ReadAt(info.ID, p, 0); err != nil {
		return store, fmt.Errorf("read segment %d: %w", info.ID, err)
	}
	r := frame.NewReader(p)
	if string(r.Take(4)) != segmentMagic {
		return store, &DamageError{info.ID, 0, "this is no segment"}
	}
	if v := r.U8(); v != segmentVersion {
		return store, fmt.Errorf("segment %d has version %d; this Core reads version %d", info.ID, v, segmentVersion)
	}
	r.Take(3)
	r.Copy(store[:])
	return store, nil
}

// readHeader checks the header of a segment against the root key and against
// the segment before it.
func (l *Log) readHeader(id uint32, p []byte) (*segment, string) {
	s := &segment{end: headerSize}
	r := frame.NewReader(p)
	r.Take(4 + 4 + 16)
	s.id, s.previous, s.previousEnd = r.U32(), r.U32(), r.U32()
	r.Take(4)
	s.firstLSN = r.U64()
	r.Copy(s.salt[:])
	r.Copy(s.chain[:])
	if r.Err() != nil || len(p) < headerSize {
		return nil, "the segment is shorter than its header"
	}
	if !hmac.Equal(l.keys.MAC(p[:headerSize-macSize]), p[headerSize-macSize:headerSize]) {
		return nil, "the header fails its check: it was altered, or the root key is another"
	}
	if s.id != id {
		return nil, "the segment stands in the place of another"
	}
	s.heads = l.keys.Heads(s.salt)
	return s, ""
}

// Replay reads the whole log, checks all of it, and hands each record of each
// whole group to apply, in order; r.Body is apply's to keep. It is called once,
// before Append.
func (l *Log) Replay(apply func(Record, Location) error) error {
	list, err := l.storage.Segments()
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	for i, info := range list {
		if want := uint32(i) + 1; info.ID != want {
			return &DamageError{want, 0, "the segment is missing"}
		}
		if info.Size > segmentMax {
			return &DamageError{info.ID, segmentMax, "the segment is longer than any can be"}
		}
		data := make([]byte, info.Size)
		if err := l.storage.ReadAt(info.ID, data, 0); err != nil {
			return fmt.Errorf("read segment %d: %w", info.ID, err)
		}
		s, what := l.readHeader(info.ID, data)
		if what != "" {
			return &DamageError{info.ID, 0, what}
		}
		// All of the segment before must have been read to the end that this
		// header names: a torn tail behind it is no loss, less is damage.
		if s.firstLSN != l.lsn+1 || s.chain != l.chain || l.last != nil && int64(s.previousEnd) != l.last.end {
			return &DamageError{info.ID - 1, l.lastEnd(), "records are missing behind this one"}
		}
		if err := l.replaySegment(s, data, i == len(list)-1, apply); err != nil {
			return err
		}
		l.last = s
		l.keep(s)
	}
	return nil
}

func (l *Log) lastEnd() int64 {
	if l.last == nil {
		return 0
	}
	return l.last.end
}

// replaySegment applies the whole groups of a segment. Where the records end
// without being followed by a newer segment, that is either the end of the
// data, or a write that a crash cut short, or damage: see acknowledged.
func (l *Log) replaySegment(s *segment, data []byte, newest bool, apply func(Record, Location) error) error {
	type placed struct {
		r  Record
		at Location
	}
	var group []placed
	lsn, chain, offset := l.lsn, l.chain, int64(headerSize)
	what := ""
	for offset < int64(len(data)) {
		var sealed [bodyAt]byte
		copy(sealed[:], data[offset:]) // open works in place; the chain needs what was there
		r, f, why := s.open(data[offset:], l.ring)
		if why == "" && r.LSN != lsn+1 {
			why = "a record is missing before this one"
		}
		if what = why; what != "" {
			break
		}
		n := len(r.Body)
		copy(data[offset:], sealed[:])
		lsn, chain = r.LSN, chained(chain, data[offset:], n)
		r.Body = append([]byte(nil), r.Body...)
		group = append(group, placed{r, Location{s.id, uint32(offset), uint32(f.length)}})
		offset += f.length
		if f.flags&flagCommit == 0 {
			continue
		}
		for _, g := range group {
			if err := apply(g.r, g.at); err != nil {
				return &DamageError{s.id, int64(g.at.Offset), "the record can't be applied"}
			}
		}
		group = group[:0]
		l.lsn, l.chain, s.end = lsn, chain, offset
	}
	if newest && what != "" && s.acknowledged(data, offset, lsn) {
		return &DamageError{s.id, offset, what}
	}
	return nil
}

// acknowledged reports whether the bytes at offset, which are no record that
// follows on, were durable once: a later record that the Core wrote and marked
// as the first of a write proves it, since a write begins only when all before
// it is durable. Without one, a crash in the middle of the last write explains
// what is seen.
func (s *segment) acknowledged(data []byte, offset int64, lsn uint64) bool {
	for p := offset; p+minRecord <= int64(len(data)); p += alignment {
		f, ok := readFront(data[p:])
		if !ok || f.flags&flagFirst == 0 || f.lsn <= lsn+1 {
			continue
		}
		if _, ok := s.openHead(data[p:], f); ok {
			return true
		}
	}
	return false
}
