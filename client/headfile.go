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

// HeadFile is a [HeadStore] in the file of that name. Processes may share it. The file has
// one line, with all numbers but the LSN in hexadecimal:
//
//	motte-head-v1 CORE-KEY LSN SEGMENT CHAIN
//
// A file with the key of another Core counts as empty, since the key names the log. Any other
// content is an error ([ErrHeadFile]).
//
// Invariants: the file is whole at every moment, also after a crash. Only [HeadFile.Replace]
// lowers its LSN. A writer holds the lock of package atomicfile while it reads the old head
// and writes the new one.
type HeadFile string

const (
	headMagic = "motte-head-v1"
	maxHead   = 512 // bytes of the file: more than its line can have
)

// ErrHeadFile says that a file does not have the format of a [HeadFile].
var ErrHeadFile = errors.New("this is no file with the head of a log")

// LoadHead implements [HeadStore].
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

// StoreHead implements [HeadStore]. It never overwrites a damaged file.
func (f HeadFile) StoreHead(core ed25519.PublicKey, h Head) error {
	return f.update(core, h, func() (bool, error) {
		kept, err := f.LoadHead(core)
		if err == nil && parted(kept, h) {
			err = &RolledBackError{kept, h}
		}
		return h.LSN > kept.LSN, err
	})
}

// Replace stores h in place of any stored head. It is for an operator who accepts that the
// records missing in the log are lost.
func (f HeadFile) Replace(core ed25519.PublicKey, h Head) error {
	return f.update(core, h, func() (bool, error) { return true, nil })
}

// update writes the file if wanted returns true. It holds the lock of the file meanwhile.
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

// parseHead accepts only texts that formatHead writes.
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
