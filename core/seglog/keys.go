package seglog

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"motte/core/codec"
	"motte/core/seal"
)

// KeysNames are the two files of the data keys. They have the same content, so that one of them may
// be lost. No checkpoint holds the data keys, and no backup may hold them: with an old copy,
// erased objects can be opened.
//
//	magic "MKEY" | version 3 | reserved 3 | store 16 | salt 16
//	sealed: generation 8 | secrets 96 | of each node: owner 4 | levels 1 | seed 32
//
// Each erasure makes a new generation, which checkpoints hold. So a start detects that an older
// pair of files was put back. After a crash the copies may differ: then only the data keys that
// are in both copies are used. A rotation of the secrets makes a new generation, too, and the
// secrets of the newer copy are used.
var KeysNames = [2]string{"data.keys", "data.keys.copy"}

const (
	keysMagic = "MKEY"
	storeAt   = 8        // offset of the store's identifier, also in segments
	maxKeys   = 64 << 20 // bytes
)

// keysFile is one copy, opened.
type keysFile struct {
	keys       *seal.Keys
	generation uint64
	sum        [sha256.Size]byte // hash of the file
}

// makeKeys makes the keys of a new store.
func (l *Log) makeKeys() error {
	var seed [seal.KeySize]byte
	_, _ = l.random(l.store[:])
	_, _ = l.random(seed[:])
	l.keys = seal.Derive(l.root, l.store)
	_, _ = l.random(l.keys.Own[:])
	_, _ = l.random(l.keys.Core[:])
	return l.writeKeys(seal.NewDataKeys(seed), 1)
}

// openKeys finds the identifier of the store, and reads its keys. It tries the identifier in each of
// the files, in order, until the keys open.
func (l *Log) openKeys(files []File, sizes map[string]int64) (err error) {
	tried := make(map[seal.StoreID]bool)
	for _, f := range files {
		if errRead := l.storage.ReadAt(f.Name, l.store[:], storeAt); errRead != nil || tried[l.store] {
			err = cmp.Or(err, errRead)
			continue
		}
		tried[l.store] = true
		if err = l.readKeys(sizes); err == nil {
			return nil
		}
	}
	return err
}

// readKeys reads the keys. It uses only data keys that both copies hold. If a copy can't be read,
// it uses the other copy, and Watch writes both again.
func (l *Log) readKeys(sizes map[string]int64) error {
	var found []keysFile
	var failed error
	l.unread = nil
	for _, name := range KeysNames {
		size, there := sizes[name]
		if !there {
			size = -1
		}
		if f, err := l.readKeysFile(name, size); err == nil {
			found = append(found, f)
		} else {
			failed = errors.Join(failed, err)
			l.unread = append(l.unread, name)
		}
	}
	if len(found) == 0 {
		return failed
	}
	first, last := found[0], found[len(found)-1]
	both := first.keys.Data().Common(last.keys.Data())
	if first.generation < last.generation {
		first = last
	}
	l.keys, l.generation = first.keys, first.generation
	l.keys.Use(both)
	if failed == nil && found[0].sum == found[1].sum {
		l.stored = first.sum
	}
	return nil
}

// readKeysFile reads one copy, a file of this size. A size below 0 says that the file is missing.
func (l *Log) readKeysFile(name string, size int64) (f keysFile, err error) {
	if size < 0 || size > maxKeys {
		return f, &DamageError{name, 0, "the data keys are missing: without them no object can be opened"}
	}
	p := make([]byte, size)
	if err := l.storage.ReadAt(name, p, 0); err != nil {
		return f, fmt.Errorf("read %s: %w", name, err)
	}
	f.sum = sha256.Sum256(p)
	if f.keys, f.generation, err = OpenKeys(l.root, p); err != nil {
		return f, fmt.Errorf("%s: %w", name, err)
	}
	if f.keys == nil || f.keys.Store() != l.store {
		return f, &DamageError{name, 0,
			"the data keys fail their check: they were altered, or are of another store or root key"}
	}
	return f, nil
}

// OpenKeys opens the content of a file of the data keys. It returns nil if p is no such content, or
// if its seal does not open. It returns ErrVersion if this Core does not read its version.
func OpenKeys(root seal.Root, p []byte) (k *seal.Keys, generation uint64, err error) {
	r := codec.NewReader(p)
	magic, version, reserved := string(r.Take(4)), r.U8(), string(r.Take(3))
	var store seal.StoreID
	r.Copy(store[:])
	sealed := r.Rest()
	if r.Done() != nil || magic != keysMagic || reserved != "\x00\x00\x00" {
		return nil, 0, nil
	}
	if version != 2 && version != KeysVersion {
		return nil, 0, fmt.Errorf("%w: version %d; this Core reads versions 2 and %d",
			ErrVersion, version, KeysVersion)
	}
	k = seal.Derive(root, store)
	generation, ok := k.OpenDataKeys(version, sealed)
	if !ok {
		return nil, 0, nil
	}
	return k, generation, nil
}

// SealKeys makes the content of a file of the data keys.
func SealKeys(k *seal.Keys, salt seal.Salt, generation uint64, keys seal.DataKeys) []byte {
	store := k.Store()
	front := codec.Writer(keysMagic).U8(KeysVersion, 0, 0, 0).Bytes(store[:])
	return front.Bytes(k.SealDataKeys(salt, generation, keys))
}

// HasKey reports whether an owner has a data key. Any goroutine may call it.
func (l *Log) HasKey(owner uint32) bool { return l.keys.Has(owner) }

// knowKeys compares the generation of the keys with the generation in a checkpoint. Later erasures
// are in the log, and a start repeats them.
func (l *Log) knowKeys(generation uint64) {
	if l.keysOlder = l.generation < generation; l.keysOlder {
		l.generation, l.stored = generation, [sha256.Size]byte{} // Watch writes them as the newest ones
	}
}

// KeysOlder reports whether the keys are older than the checkpoint: an older pair of files was put
// back, which may hold destroyed keys.
func (l *Log) KeysOlder() bool { return l.keysOlder }

// Erase destroys the data keys of owners. When it returns nil, no file that this Log wrote holds
// them. The disk may still keep blocks of removed files.
func (l *Log) Erase(owners ...uint32) error {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	keys := l.keys.Data()
	for _, o := range owners {
		keys = keys.Puncture(o)
	}
	defer l.cache.clear()
	return l.writeKeys(keys, l.generation+1)
}

// writeKeys writes both copies. The Log uses the new keys once the first copy is written, so that
// Watch does not replace this copy by older keys.
func (l *Log) writeKeys(keys seal.DataKeys, generation uint64) error {
	var salt seal.Salt
	_, _ = l.random(salt[:])
	p := SealKeys(l.keys, salt, generation, keys)
	if len(p) > maxKeys {
		return fmt.Errorf("too many erased keys for %s", KeysNames[0])
	}
	for _, name := range KeysNames {
		err := l.storage.Replace(name, content(p))
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		l.keys.Use(keys)
		l.generation, l.stored = generation, sha256.Sum256(p)
	}
	return nil
}

// watchKeys writes both copies again, unless both are intact. It gets the sizes of the files, and
// returns the copies that were lost.
func (l *Log) watchKeys(sizes map[string]int64) (lost []Loss, err error) {
	l.writing <- struct{}{}
	defer func() { <-l.writing }()
	stale := false
	for _, name := range KeysNames {
		p := make([]byte, max(0, min(sizes[name], maxKeys)))
		errRead := l.storage.ReadAt(name, p, 0)
		if errRead == nil && len(p) > 0 && sha256.Sum256(p) == l.stored {
			continue
		}
		stale = true
		known := l.stored != [sha256.Size]byte{} // else a crash in an erasure may have left this copy
		if !l.missing[name] && (known || slices.Contains(l.unread, name)) {
			l.missing[name] = true
			lost = append(lost, Loss{File: name})
		}
	}
	if l.unread = nil; stale {
		err = l.writeKeys(l.keys.Data(), l.generation)
	}
	for _, name := range KeysNames {
		l.missing[name] = l.missing[name] && err != nil
	}
	for i := range lost {
		lost[i].Back = err == nil
	}
	return lost, err
}
