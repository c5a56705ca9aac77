package log

import (
	"fmt"
	"io"

	"motte/core/frame"
	"motte/core/seal"
)

// KeysName is the file of the secret of the data keys. It lies in no checkpoint,
// and no backup may hold it: whoever keeps a copy can open what was erased since.
//
//	magic "MKEY" | version 1 | reserved 3 | store 16 | salt 16 | the secret, sealed
const (
	KeysName    = "data.keys"
	keysMagic   = "MKEY"
	keysVersion = 1
	keysStoreAt = 8        // where the store's identifier lies
	maxKeys     = 64 << 20 // bytes
)

// readKeys reads the secret of the data keys, from a file of this size.
func (l *Log) readKeys(size int64) error {
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
	return frame.Writer(keysMagic).U8(keysVersion, 0, 0, 0).Bytes(l.store[:])
}

// makeKeys makes the secret of a new store.
func (l *Log) makeKeys() error {
	var seed [seal.KeySize]byte
	l.draw(seed[:])
	return l.writeKeys(seal.NewDataKeys(seed))
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
	l.draw(salt[:])
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
