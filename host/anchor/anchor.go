// Package anchor keeps the head of a store's log outside the store. With it, a host can detect that
// the store was rolled back.
//
// A disk can always present an older copy of a whole store. All data in the copy is genuine, so the
// copy alone does not reveal its age. With a head from elsewhere, the store can tell whether that
// head is part of its history. An anchor serves one store. This package only keeps the head. Its
// callers interpret it, and decide about a head that does not fit.
//
// Each medium protects against different attackers:
//
//   - file:PATH is a file. It protects against accidents only: an old copy that was restored by
//     mistake, a mixed-up volume, a snapshot that was rolled back. An attacker who rolls back the
//     store and can reach this file rolls it back, too. The file must be on another volume than the
//     store. Otherwise it is rolled back with the store.
//   - tpm:DEVICE and tpm:unix:SOCKET are an index in the non-volatile memory of a TPM 2.0. It
//     protects
//     against an attacker with the disk, a copy of it, or its backups, but without control of this
//     running machine. The type tpm gives the limits.
//
// Two limits hold for both media. Heads are written at a pace that spares the medium (Anchor.Pace).
// So a rollback by less than that goes unnoticed, unless the host wrote the last head when it
// stopped. And an emptied medium looks like a new medium. A caller must not take "not found" for a
// new store if the store is not new: that would give up the protection.
//
// Both media keep the same 48 bytes (frame.go). A write never overwrites any other value. Read and
// Write then return ErrForeign or ErrDamaged.
package anchor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Head is the head of a log, as the store encodes it:
//
//	LSN of the last record   8 bytes, big-endian
//	ID of its segment        16
//	chain value              16
//
// This package reads only the LSN, and only to show it.
type Head [40]byte

// LSN is the number of the last record that the head commits to.
func (h Head) LSN() uint64 { return binary.BigEndian.Uint64(h[:8]) }

// Anchor keeps one head. Only one goroutine at a time may call its methods. It holds no resource
// between two calls, so it has no Close.
type Anchor interface {
	// Read returns the last head that was written. If found is false, the medium can be used, and
	// holds no head yet.
	Read(ctx context.Context) (h Head, found bool, err error)

	// Write replaces the stored head, whatever the two LSNs are. If it returns nil, the new head is
	// durable. If it fails, the medium holds the old head or the new one.
	Write(ctx context.Context, h Head) error

	// Pace is the shortest time between two writes that the medium is made for.
	Pace() time.Duration

	// String names the medium, as Open takes it.
	String() string
}

var (
	// ErrForeign says that the medium holds a value that is not a head. It is never overwritten.
	ErrForeign = errors.New("holds something else than the head of a log")

	// ErrDamaged says that the medium holds a head that was altered.
	ErrDamaged = errors.New("holds a head that is damaged")
)

// Specs are the specs that Open takes, for messages and help texts.
const Specs = "file:PATH, or tpm:DEVICE or tpm:unix:SOCKET, with ,index=0x… and ,pace=… if wanted"

// Open returns the anchor that a spec describes, and checks that its medium can be reached. It
// reads and changes no data there.
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
