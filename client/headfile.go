package client

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"motte/internal/atomicfile"
)

// HeadFile is a HeadStore in the file of that name, which any number of
// processes may share. Its text is one line, all numbers but the LSN in
// hexadecimal:
//
//	motte-head-v1 CORE-KEY LSN SEGMENT CHAIN
//
// A file that names another Core counts as none, since the key is the store's
// identity; one that is anything else is an error, never a head that was not
// seen. Invariants: the file is whole at every moment, also after a crash, and
// its LSN never goes down except by Replace. Who writes holds the lock of package
// atomicfile from the look at the old head to the new one's place.
type HeadFile string

const (
	headMagic = "motte-head-v1"
	maxHead   = 512 // bytes of the file: more than its line can have
)

// ErrHeadFile says that a file is not one that keeps a head.
var ErrHeadFile = errors.New("this is no file with the head of a log")

// LoadHead implements HeadStore.
func (f HeadFile) LoadHead(core ed25519.PublicKey) (Head, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, os.ErrNotExist) {
		return Head{}, nil
	}
	if err != nil {
		return Head{}, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxHead+1))
	if err != nil {
		return Head{}, err
	}
	key, h, err := parseHead(text)
	if err != nil {
		return Head{}, fmt.Errorf("%s: %w", string(f), err)
	}
	if !key.Equal(core) {
		return Head{}, nil
	}
	return h, nil
}

// StoreHead implements HeadStore. A damaged file stays as it is.
func (f HeadFile) StoreHead(core ed25519.PublicKey, h Head) error {
	return f.update(core, h, func() (bool, error) {
		kept, err := f.LoadHead(core)
		if err == nil && parted(kept, h) {
			err = &RolledBackError{kept, h}
		}
		return h.LSN > kept.LSN, err
	})
}

// Replace keeps h, whatever was kept before: for an operator who knows that
// what is missing in the log was lost, and goes on without it.
func (f HeadFile) Replace(core ed25519.PublicKey, h Head) error {
	return f.update(core, h, func() (bool, error) { return true, nil })
}

// update writes the file if wanted says so, while nobody else does.
func (f HeadFile) update(core ed25519.PublicKey, h Head, wanted func() (bool, error)) error {
	next, err := atomicfile.Begin(string(f), 0o600)
	if err != nil {
		return fmt.Errorf("keep the head of the log: %w", err)
	}
	write, err := wanted()
	if err == nil && write {
		if _, err = next.Write(formatHead(core, h)); err == nil {
			err = next.Replace()
		}
		if err != nil {
			err = fmt.Errorf("keep the head of the log: %w", err)
		}
	}
	return errors.Join(err, next.Close())
}

func formatHead(core ed25519.PublicKey, h Head) []byte {
	return fmt.Appendf(nil, "%s %x %d %x %x\n", headMagic, []byte(core), h.LSN, h.Segment, h.Chain)
}

// parseHead reads what formatHead writes, and nothing else.
func parseHead(text []byte) (core ed25519.PublicKey, h Head, err error) {
	words := strings.Fields(string(text))
	if len(text) > maxHead || len(words) != 5 {
		return nil, Head{}, ErrHeadFile
	}
	key, segment, chain := make([]byte, ed25519.PublicKeySize), h.Segment[:], h.Chain[:]
	for _, x := range []struct {
		to   []byte
		word string
	}{{key, words[1]}, {segment, words[3]}, {chain, words[4]}} {
		p, err := hex.DecodeString(x.word)
		if err != nil || len(p) != len(x.to) {
			return nil, Head{}, ErrHeadFile
		}
		copy(x.to, p)
	}
	h.LSN, err = strconv.ParseUint(words[2], 10, 64)
	if err != nil || !bytes.Equal(text, formatHead(key, h)) {
		return nil, Head{}, ErrHeadFile
	}
	return key, h, nil
}
