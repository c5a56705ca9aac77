// Package anchor remembers the head of a store's log in a place outside the
// store, so that a store that was set back can be told from one that was not.
//
// A disk can always show an older copy of a whole store: all of it is genuine,
// so nothing in it gives the lie. A head that was kept elsewhere does: the store
// that it came from can tell whether that head is part of its history. One
// anchor serves one store, and this package only keeps the value; what a head
// means, and what follows from one that does not fit, is for its callers.
//
// What each medium is good for:
//
//   - file:PATH, a file, protects against accidents only: an old copy that was
//     restored by mistake, a mixed-up volume, a snapshot rolled back. Whoever can
//     set back the store on purpose sets back this file as well, if it can reach
//     it. It has to lie on another volume than the store, or it goes with it.
//   - tpm:PLACE, an index in the non-volatile memory of a TPM 2.0, protects
//     against who has the disk, or a copy of it, or its backups, but not the run
//     of this machine: see the type tpm for what that includes, and what not.
//
// Two things neither can do. Heads are written at a pace that spares the medium
// (Anchor.Pace), so a store that is set back by less than that goes unnoticed,
// unless its host writes the last head when it stops. And a medium that holds no
// head says the same whether it is new or was emptied: to take "not found" for
// a new store, when the store is not new, would give the protection away.
//
// Both keep the same 48 bytes (frame.go). What is not such a value is refused
// by name, and never overwritten: ErrForeign, ErrDamaged.
package anchor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Head is the head of a log, as the store gives it:
//
//	LSN of the last record   8 bytes, big-endian
//	tag of its segment       16
//	chain value              16
//
// Only the LSN is looked at here, and only to be shown.
type Head [40]byte

// LSN is the number of the last record that the head commits to.
func (h Head) LSN() uint64 { return binary.BigEndian.Uint64(h[:8]) }

// Anchor is a place that keeps one head. Its methods are called by one goroutine
// at a time. Nothing is held between two calls, so there is nothing to close.
type Anchor interface {
	// Read returns the head that was written last. If found is false, the place
	// can be used, and holds none.
	Read(ctx context.Context) (h Head, found bool, err error)

	// Write puts a head in the place of the one before, whatever their LSNs
	// are. When it returns nil, the new one lasts; when it fails, either does.
	Write(ctx context.Context, h Head) error

	// Pace is the least time between two writes that the medium is made for.
	Pace() time.Duration

	// String names the place, as Open takes it.
	String() string
}

var (
	// ErrForeign says that the place holds something that is not a head. It is
	// left as it is.
	ErrForeign = errors.New("holds something else than the head of a log")

	// ErrDamaged says that the place holds a head that was altered.
	ErrDamaged = errors.New("holds a head that is damaged")
)

// Specs is what Open understands, for messages and help texts.
const Specs = "file:PATH, or tpm:DEVICE or tpm:unix:SOCKET, with ,index=0x… and ,pace=… if wanted"

// Open names the place that a spec describes, and looks whether it can be
// reached. It reads and changes nothing there.
func Open(spec string) (Anchor, error) {
	medium, rest, ok := strings.Cut(spec, ":")
	switch {
	case ok && medium == "file":
		return openFile(rest)
	case ok && medium == "tpm":
		return openTPM(rest)
	}
	return nil, fmt.Errorf("anchor %q: it has to be %s", spec, Specs)
}
