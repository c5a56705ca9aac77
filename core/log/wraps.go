package log

import (
	"fmt"
	"io"
	"slices"

	"motte/core/frame"
	"motte/core/seal"
)

// WrapsName is the file of the wrap keys. No backup may hold it: what a key in
// it has wrapped can be opened as long as a copy of that key is anywhere.
//
//	magic "MWRP" | version 1 | reserved 3 | store 16 | salt 16 | the keys, the
//	newest first, 32 each, and 16 of seal
const WrapsName = "wrap.key"

const (
	wrapsMagic   = "MWRP"
	wrapsVersion = 1
	maxWraps     = 4096 // bytes of the file
)

// readWraps reads the wrap keys, or makes the first one of a new store.
func (l *Log) readWraps(files []File, fresh bool) error {
	if fresh {
		return l.addWrap()
	}
	i := slices.IndexFunc(files, func(f File) bool { return f.Name == WrapsName })
	if i < 0 || files[i].Size > maxWraps {
		return &DamageError{WrapsName, 0, "the wrap keys are missing: without them no object can be opened"}
	}
	p := make([]byte, files[i].Size)
	if err := l.storage.ReadAt(WrapsName, p, 0); err != nil {
		return fmt.Errorf("read %s: %w", WrapsName, err)
	}
	r := frame.NewReader(p)
	ok := string(r.Take(4)) == wrapsMagic && r.U8() == wrapsVersion
	r.Take(3)
	ok = ok && string(r.Take(len(l.store))) == string(l.store[:])
	if l.wraps, ok = l.keys.OpenWraps(r.Rest()); !ok {
		return &DamageError{WrapsName, 0, "the wrap keys fail their check: they were altered, or are of another store or root key"}
	}
	return nil
}

// AddWrap makes a new wrap key, which wraps from now on. The ones before it
// still unwrap.
func (l *Log) AddWrap() error {
	err := l.addWrap()
	l.ring.Wraps(l.wraps)
	return err
}

func (l *Log) addWrap() error {
	var w seal.WrapKey
	if _, err := io.ReadFull(l.random, w[:]); err != nil {
		return fmt.Errorf("make a wrap key: %w", err)
	}
	return l.writeWraps(append([]seal.WrapKey{w}, l.wraps...))
}

// DropWraps destroys all wrap keys but the newest.
func (l *Log) DropWraps() error {
	err := l.writeWraps(l.wraps[:1])
	l.ring.Wraps(l.wraps)
	return err
}

// Rewrapping reports whether there are wrap keys to be dropped: an erasure was
// not finished.
func (l *Log) Rewrapping() bool { return len(l.wraps) > 1 }

func (l *Log) writeWraps(wraps []seal.WrapKey) error {
	var salt seal.Salt
	if _, err := io.ReadFull(l.random, salt[:]); err != nil {
		return fmt.Errorf("make a salt: %w", err)
	}
	p := frame.Writer(wrapsMagic).U8(wrapsVersion, 0, 0, 0).Bytes(l.store[:]).Bytes(l.keys.SealWraps(salt, wraps))
	err := l.storage.Create(WrapsName, func(w io.Writer) error {
		_, err := w.Write(p)
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", WrapsName, err)
	}
	l.wraps = wraps
	return nil
}
