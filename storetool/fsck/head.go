package fsck

import (
	"encoding/binary"

	"motte/core/codec"
	"motte/core/seal"
	"motte/core/seglog"
)

// What is at the front of a record: see package seglog.
const (
	frontSize = 32 // clear
	headSize  = 48 // and sealed
)

// head opens the head of a damaged record, which names its collection and owner.
func (s *Store) head(file string, offset int64) (r seglog.Record, length int64, ok bool) {
	p := make([]byte, frontSize+headSize+seal.Overhead)
	if err := s.disk.ReadAt(file, p, offset); err != nil || string(p[:2]) != "MR" {
		return r, 0, false
	}
	length, r.LSN = int64(binary.BigEndian.Uint32(p[4:])), binary.BigEndian.Uint64(p[8:])
	plain, err := s.log.Keys().Heads(seal.Salt(p[16:frontSize])).Open(nil, seal.Nonce(r.LSN), p[frontSize:], p[:frontSize])
	h := codec.NewReader(plain)
	r.Kind = seglog.Kind(h.U8())
	h.Take(3)
	r.Collection, r.Owner = h.U32(), h.U32()
	h.U32()
	h.Copy(r.ID[:])
	return r, length, err == nil
}
