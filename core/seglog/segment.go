package seglog

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"

	"motte/core/codec"
	"motte/core/seal"
)

// SegmentVersion is the only version of segments that is read and written, and
// KeysVersion that of the file of the data keys that is written; version 2 is read, too.
const (
	SegmentVersion = 3
	KeysVersion    = 3
)

// ErrVersion says that a store has a format that this Core does not read.
var ErrVersion = errors.New("the store is of another version of Motte")

const (
	segmentMagic  = "MSEG"
	segmentSuffix = ".seg"
	headerSize    = 128
)

// SegmentID names a segment: it is the first half of the MAC of its header.
type SegmentID [16]byte

// segment is the state of a segment: its header, and the end of its data.
type segment struct {
	number       uint32
	name         string // of its file
	previous     uint32 // 0: none
	previousEnd  uint32 // end of the data of the previous segment
	firstLSN     uint64
	salt         seal.Salt
	chain        [sha256.Size]byte // before the first record
	id           SegmentID
	size         int64 // bytes of its file when the log was opened, or after a failed write, at most
	end          int64 // end of its data; 0: not known, since no checkpoint names it
	barrierBytes int64 // bytes of barriers in it, at least
}

func segmentName(number uint32) string { return fmt.Sprintf("%08d%s", number, segmentSuffix) }

// number returns the number in a file's name, if the log uses such names.
func number(name, suffix string) (n uint32, ok bool) {
	_, err := fmt.Sscanf(name, "%d"+suffix, &n)
	return n, err == nil && n > 0 && name == fmt.Sprintf("%08d%s", n, suffix)
}

// header encodes the header of s, and sets its ID.
func (s *segment) header(store seal.StoreID, keys *seal.Keys) []byte {
	w := codec.Writer(segmentMagic).U8(SegmentVersion, 0, 0, 0).Bytes(store[:])
	w = w.U32(s.number).U32(s.previous).U32(s.previousEnd).U32(0).U64(s.firstLSN)
	w = w.Bytes(s.salt[:]).Bytes(s.chain[:])
	mac := keys.MAC(w)
	s.id = SegmentID(mac)
	return w.Bytes(mac)
}

// readHeader reads the header of a segment.
func (l *Log) readHeader(number uint32, f File) error {
	p := make([]byte, headerSize)
	if f.Size < headerSize || f.Size > segmentMax {
		return l.damage(f.Name, f.Size, "no segment ends here")
	}
	if err := l.storage.ReadAt(f.Name, p, 0); err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	r, s := codec.NewReader(p), &segment{name: f.Name, size: f.Size}
	magic, version := string(r.Take(4)), r.U8()
	if magic == segmentMagic && version != SegmentVersion {
		return fmt.Errorf("%w: %s has version %d; this Core reads version %d",
			ErrVersion, f.Name, version, SegmentVersion)
	}
	r.Take(3)
	r.Take(16) // the store: see openKeys
	s.number, s.previous, s.previousEnd = r.U32(), r.U32(), r.U32()
	r.Take(4)
	s.firstLSN = r.U64()
	r.Copy(s.salt[:])
	r.Copy(s.chain[:])
	if !hmac.Equal(s.header(l.store, l.keys), p) || s.number != number {
		return l.damage(f.Name, 0,
			"the header fails its check: it was altered or moved, or is another store's")
	}
	l.segments[number] = s
	return nil
}

// damage reports damage. If it returns an error, the caller stops with this error.
func (l *Log) damage(file string, offset int64, what string) error {
	e := &DamageError{file, offset, what}
	if l.damaged != nil {
		return l.damaged(e)
	}
	return e
}
