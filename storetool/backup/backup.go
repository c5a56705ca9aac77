// Package backup copies the data directory of a store while a Core works in it, and makes a data
// directory of such a copy. The copied files stay sealed.
//
// The package holds no key and sends the Core no request. It reads files that only grow, or that
// are written once. It relies on the order in which package seglog changes them. A backup holds
// segments and checkpoints, never data.keys or root.key. Only an export of the keys (package
// keyexport) opens it.
//
// Guarantees:
//
//  1. A backup holds every write that was durable before the backup began. It is the state of the
//     store at one later moment.
//  2. A backup that ends early changes nothing: the backup before can still be restored.
//  3. A manifest identifies the copied bytes: restore detects a file with other content.
//
// Why 1 holds, though the Core writes and removes files meanwhile. The package lists and opens all
// segments and the two newest checkpoints. An open file stays readable after its removal. Then the
// package fixes the end of the newest segment, at a record q. It begins again if a file was removed
// before it could be opened, or if a newer segment is there at the end. Segments are numbered, and
// the newest is never removed. So the Core made no segment meanwhile, and each segment that existed
// when q was fixed is open. The state after q needs no other files:
//
//   - Compaction removes a segment only when its live records are durable in a newer segment. If
//     that
//     is before q, the state up to q no longer needs the old segment. If it is after q, the old
//     segment existed when q was fixed.
//   - A checkpoint contains only records that were durable before it, and so before q. The Core
//     removes it before the segments that it alone needed. So all segments of an opened checkpoint
//     could be opened, too.
//
// Why the end can be fixed without a key. The fronts of records are not encrypted. A write begins
// only when the write before is durable (package seglog). So if the front of a record can be read,
// all earlier writes are in the file. A later copy of the bytes up to the last front can lack parts
// of the last write only, and holds no part of a later write. It looks like a crash during that
// write, which the Core had not acknowledged. A copy of more bytes could lack parts of a write and
// hold parts of a later write. That would look like damage.
package backup

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// ErrOlder says that the store is older than the backup to be replaced.
var ErrOlder = errors.New("the store ends before the existing backup does")

// Options say how to back up.
type Options struct {
	// AcceptOlder replaces a backup of a newer state of the store.
	AcceptOlder bool
	// Recheck reads the files of the existing backup, and copies altered files again.
	Recheck bool
	// Progress, if not nil, gets the number of bytes done, and the total.
	Progress func(done, total int64)
	// Now is the time for the manifest.
	Now time.Time
}

// Report is the result of a backup.
type Report struct {
	Manifest    *Manifest
	Files       int   // in the backup
	Bytes       int64 // in the backup
	Copied      int   // files that the existing backup lacked
	CopiedBytes int64
	Removed     int  // files that the new backup does not need
	Unclear     bool // unrecognised bytes follow the newest record, and were copied
}

// stored matches the names of files that a backup may hold.
var stored = regexp.MustCompile(`^[0-9]{8}\.(seg|ckp)$`)

// progress counts bytes for Options.Progress. It stops a copy when the context ends.
type progress struct {
	ctx         context.Context
	tell        func(done, total int64)
	done, total int64
}

func (p *progress) Write(b []byte) (int, error) {
	if err := p.ctx.Err(); err != nil {
		return 0, err
	}
	p.done += int64(len(b))
	if p.tell != nil {
		p.tell(p.done, p.total)
	}
	return len(b), nil
}

// older returns an error if the backup would replace a backup of a later state.
func older(had *Manifest, s *snapshot, o Options) error {
	if had == nil || o.AcceptOlder || s.lsn >= had.LSN {
		return nil
	}
	return fmt.Errorf("%w: its last record is %d, that of the backup is %d", ErrOlder, s.lsn, had.LSN)
}
