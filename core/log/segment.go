package log

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"

	"motte/core/frame"
	"motte/core/seal"
)

// SegmentVersion is the only version of segments that is read and written, and
// KeysVersion that of the file of the data keys.
const (
	SegmentVersion = 3
	KeysVersion    = 2
)

const (
	segmentMagic  = "MSEG"
	segmentSuffix = ".seg"
	headerSize    = 128
)

// Tag names a segment: it is the first half of the MAC of its header.
type Tag [16]byte

// segment is what is known of a segment: its header, and where its data ends.
type segment struct {
	id          uint32
	previous    uint32 // 0: none
	previousEnd uint32 // bytes of data in the previous one
	firstLSN    uint64
	salt        seal.Salt
	chain       [sha256.Size]byte // before the first record
	tag         Tag
	size        int64 // bytes of its file when the log was opened
	end         int64 // bytes of data; 0: not known, as nothing refers to it
	marks       int64 // bytes of marks in it, at least
}

func segmentName(id uint32) string { return fmt.Sprintf("%08d%s", id, segmentSuffix) }

// number returns the number in a file's name, if it is one that the log gives.
func number(name, suffix string) (n uint32, ok bool) {
	_, err := fmt.Sscanf(name, "%d"+suffix, &n)
	return n, err == nil && n > 0 && name == fmt.Sprintf("%08d%s", n, suffix)
}

// header encodes the header of s, and sets its tag.
func (s *segment) header(store seal.StoreID, keys *seal.Keys) []byte {
	w := frame.Writer(segmentMagic).U8(SegmentVersion, 0, 0, 0).Bytes(store[:])
	w = w.U32(s.id).U32(s.previous).U32(s.previousEnd).U32(0).U64(s.firstLSN)
	w = w.Bytes(s.salt[:]).Bytes(s.chain[:])
	mac := keys.MAC(w)
	s.tag = Tag(mac)
	return w.Bytes(mac)
}

// readHeader reads the header of a segment. The first one says which store this
// is: with a wrong one, or the wrong root key, no header authenticates.
func (l *Log) readHeader(id uint32, f File, root seal.Root) error {
	p := make([]byte, headerSize)
	if f.Size < headerSize || f.Size > segmentMax {
		return l.damage(f.Name, f.Size, "no segment ends here")
	}
	if err := l.storage.ReadAt(f.Name, p, 0); err != nil {
		return fmt.Errorf("read %s: %w", f.Name, err)
	}
	r, s := frame.NewReader(p), &segment{size: f.Size}
	magic, version := string(r.Take(4)), r.U8()
	if magic == segmentMagic && version != SegmentVersion {
		return fmt.Errorf("%s has version %d; this Core reads version %d", f.Name, version, SegmentVersion)
	}
	r.Take(3)
	store := seal.StoreID(r.Take(16))
	s.id, s.previous, s.previousEnd = r.U32(), r.U32(), r.U32()
	r.Take(4)
	s.firstLSN = r.U64()
	r.Copy(s.salt[:])
	r.Copy(s.chain[:])
	keys := l.keys
	if keys == nil {
		keys = seal.Derive(root, store)
	}
	if !hmac.Equal(s.header(store, keys), p) || s.id != id {
		return l.damage(f.Name, 0, "the header fails its check: it was altered or moved, or the root key is another")
	}
	l.store, l.keys, l.segments[id] = store, keys, s
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

// KeysName is the file of the secret of the data keys. It lies in no checkpoint,
// and no backup may hold it: whoever keeps a copy can open what was erased since.
//
//	magic "MKEY" | version 2 | reserved 3 | store 16 | salt 16 | the secret, sealed
const (
	KeysName    = "data.keys"
	keysMagic   = "MKEY"
	keysStoreAt = 8        // where the store's identifier lies
	maxKeys     = 64 << 20 // bytes
)

// readKeys reads the secret of the data keys, from a file of this size; below 0: there
// is none.
func (l *Log) readKeys(size int64) error {
	if size < 0 || size > maxKeys {
		return &DamageError{KeysName, 0, "the data keys are missing: without them no object can be opened"}
	}
	p := make([]byte, size)
	if err := l.storage.ReadAt(KeysName, p, 0); err != nil {
		return fmt.Errorf("read %s: %w", KeysName, err)
	}
	head := l.keysHeader()
	keys, ok := l.keys.OpenDataKeys(p[min(len(head), len(p)):])
	if !ok || string(p[:len(head)]) != string(head) {
		return &DamageError{KeysName, 0, "the data keys fail their check: they were altered, or are of another store or root key"}
	}
	l.keys.Use(keys)
	return nil
}

func (l *Log) keysHeader() frame.Writer {
	return frame.Writer(keysMagic).U8(KeysVersion, 0, 0, 0).Bytes(l.store[:])
}

// HasKey reports whether an owner has a data key. Anybody may ask.
func (l *Log) HasKey(owner uint32) bool { return l.keys.Has(owner) }

// Erase destroys the data keys of owners: when it returns nil, no copy is left
// that this Log ever wrote, but for what the medium keeps of files removed.
func (l *Log) Erase(owners ...uint32) error {
	keys := l.keys.Data()
	for _, o := range owners {
		keys = keys.Puncture(o)
	}
	return l.writeKeys(keys)
}

func (l *Log) writeKeys(keys seal.DataKeys) error {
	var salt seal.Salt
	_, _ = l.random(salt[:])
	p := l.keysHeader().Bytes(l.keys.SealDataKeys(salt, keys))
	if len(p) > maxKeys {
		return fmt.Errorf("more keys were erased than %s can say", KeysName)
	}
	if err := l.storage.Create(KeysName, func(w io.Writer) error { _, err := w.Write(p); return err }); err != nil {
		return fmt.Errorf("write %s: %w", KeysName, err)
	}
	l.keys.Use(keys)
	return nil
}
