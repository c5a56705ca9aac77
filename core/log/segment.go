package log

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"strings"

	"motte/core/frame"
	"motte/core/seal"
)

const (
	segmentMagic   = "MSEG"
	segmentVersion = 2
	fixedSize      = 112            // bytes of a header before its origins
	originSize     = 40             // bytes of an origin
	maxOrigins     = 1 << 16        // of a moved segment
	minHeader      = fixedSize + 32 // bytes, without origins
	segmentSuffix  = ".seg"
)

// The kinds of segments.
const (
	kindLog   = 0
	kindMoved = 1
)

// Tag names a segment: it is the first half of the MAC of its header.
type Tag [16]byte

// segment is what is known of a segment: its header, and where its data ends.
type segment struct {
	id          uint32
	kind        byte
	previous    uint32 // log segment; 0: none
	previousEnd uint32 // bytes of data in the previous one
	firstLSN    uint64
	salt        seal.Salt
	chain       [sha256.Size]byte // before the first record
	origins     []uint32          // of a moved segment
	tag         Tag
	size        int64 // bytes of its file when the log was opened
	end         int64 // bytes of data; 0: not known, as nothing refers to it
}

// origin is what the records first written in a segment are sealed with.
type origin struct {
	salt  seal.Salt
	heads cipher.AEAD
}

func newOrigin(keys *seal.Keys, s seal.Salt) *origin { return &origin{s, keys.Heads(s)} }

func segmentName(id uint32) string { return fmt.Sprintf("%08d%s", id, segmentSuffix) }

// number returns the number in a file's name, if it is one that the log gives.
func number(name, suffix string) (n uint32, ok bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 8 {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = n*10 + uint32(d-'0')
	}
	return n, n > 0
}

// header encodes the header of s, and sets its tag. The salts of its origins are
// given in their order.
func (s *segment) header(store seal.StoreID, keys *seal.Keys, salts ...seal.Salt) []byte {
	w := frame.Writer(segmentMagic).U8(segmentVersion, s.kind, 0, 0).Bytes(store[:])
	w = w.U32(s.id).U32(s.previous).U32(s.previousEnd).U32(uint32(len(salts))).U64(s.firstLSN)
	w = w.Bytes(s.salt[:]).Bytes(s.chain[:])
	for i := range salts {
		w = w.U32(s.origins[i]).U32(0).Bytes(salts[i][:])
	}
	mac := keys.MAC(w)
	s.tag = Tag(mac)
	return w.Bytes(mac)
}

// readHeader reads the header of a segment. The first one says which store this
// is: with a wrong one, or the wrong root key, no header authenticates.
func (l *Log) readHeader(id uint32, f File, root seal.Root) error {
	if l.highest = max(l.highest, id); f.Size < minHeader || f.Size > segmentMax {
		return l.damage(f.Name, f.Size, "no segment ends here")
	}
	p := make([]byte, minHeader, minHeader+originSize)
	if err := l.storage.ReadAt(f.Name, p, 0); err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	r, s := frame.NewReader(p), &segment{size: f.Size}
	magic, version := string(r.Take(4)), r.U8()
	if magic == segmentMagic && version != segmentVersion {
		return fmt.Errorf("%s has version %d; this Core reads version %d", f.Name, version, segmentVersion)
	}
	s.kind = r.U8()
	r.Take(2)
	store := seal.StoreID(r.Take(16))
	s.id, s.previous, s.previousEnd = r.U32(), r.U32(), r.U32()
	origins := int64(r.U32())
	s.firstLSN = r.U64()
	r.Copy(s.salt[:])
	r.Copy(s.chain[:])
	keys := l.keys
	if keys == nil {
		keys = seal.Derive(root, store)
	}
	if origins > maxOrigins || minHeader+origins*originSize > f.Size {
		return l.damage(f.Name, 0, "the header has no sense")
	}
	p = append(p, make([]byte, origins*originSize)...)
	if err := l.storage.ReadAt(f.Name, p[minHeader:], minHeader); err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	macAt := len(p) - sha256.Size
	if !hmac.Equal(keys.MAC(p[:macAt]), p[macAt:]) || s.id != id {
		return l.damage(f.Name, 0, "the header fails its check: it was altered or moved, or the root key is another")
	}
	l.store, l.keys = store, keys
	s.tag, l.segments[id] = Tag(p[macAt:]), s
	if s.kind == kindLog {
		return l.addOrigin(f.Name, id, s.salt)
	}
	s.end = s.size
	for r = frame.NewReader(p[fixedSize:macAt]); r.Len() > 0; {
		o := r.U32()
		r.Take(4)
		s.origins = append(s.origins, o)
		if err := l.addOrigin(f.Name, o, seal.Salt(r.Take(seal.SaltSize))); err != nil {
			return err
		}
	}
	return nil
}

// addOrigin notes a salt. Two for one segment are of two branches of the store's
// history.
func (l *Log) addOrigin(name string, id uint32, s seal.Salt) error {
	if o := l.origins[id]; o != nil && o.salt != s {
		return l.damage(name, 0, fmt.Sprintf("it is of another branch of the store's history: it has another salt for segment %d", id))
	}
	l.origins[id] = newOrigin(l.keys, s)
	return nil
}

// damage reports damage: the error that it returns, if any, ends what was under
// way.
func (l *Log) damage(file string, offset int64, what string) error {
	e := &DamageError{file, offset, what}
	if l.damaged != nil {
		return l.damaged(e)
	}
	return e
}

// headerLen is the number of bytes before the first record.
func (s *segment) headerLen() int64 { return minHeader + int64(len(s.origins))*originSize }
