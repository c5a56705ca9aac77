// Package backup copies the data directory of a store, as it lies there, sealed,
// while a Core works in it; and makes a data directory of such a copy.
//
// It holds no key and asks the Core nothing: it reads files that only grow, or are
// written once, and relies on the order in which package seglog changes them. What
// a backup holds are segments and checkpoints, never data.keys or root.key: without
// an export of the keys (package keyexport) nobody can open it.
//
// Guarantees:
//
//  1. A backup holds every write that was durable before it began, and is the
//     state of the store at one moment since.
//  2. A backup that ends early, for whatever reason, changes nothing: the one
//     before can still be restored.
//  3. What a manifest names is what was copied: a file of another content is
//     noticed when it is restored.
//
// Why 1 holds, though the Core writes and removes files meanwhile. All segments
// and the two newest checkpoints are listed and opened; an open file stays readable
// when it is removed. Then the end of the newest segment is fixed, at a record q.
// If one of the files has gone before it could be opened, or if there is a newer
// segment after all that, everything begins again. Segments are numbered, and the
// newest is never removed: so no segment was made in the meantime, and each that
// was there when q was fixed is open. That is all that the state after q needs:
//
//   - Compaction removes a segment only when what was alive in it is durable in a
//     newer one. If that is before q, nothing up to q needs the segment any more;
//     if it is behind q, the segment was there when q was fixed.
//   - A checkpoint shows only what was durable before it was there, which is before
//     q. It is removed before the segments that only it needed: with one that could
//     be opened come all that it needs.
//
// Why the end can be fixed without a key. The fronts of records are clear, and a
// write begins only when the one before is durable (package seglog): if a front of a
// write can be seen, all writes before are in the file. So a copy, taken from then
// on, of the bytes up to the last front seen lacks at most parts of the last write,
// and none of a later one is behind them: it looks like a crash in that write,
// which nobody was told of. A copy of what comes behind might lack parts of one
// write and have those of a later one, which would look like damage.
package backup

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// ErrOlder says that the store is older than the backup that it would replace.
var ErrOlder = errors.New("the store ends before the backup that is there does")

// Options say how to back up.
type Options struct {
	// AcceptOlder replaces a backup of a newer state of the store.
	AcceptOlder bool
	// Recheck reads what is there already, and copies again what was altered.
	Recheck bool
	// Progress, if not nil, hears of bytes: how many are done, of how many.
	Progress func(done, total int64)
	// Now is the time to be noted.
	Now time.Time
}

// Report is what a backup came to.
type Report struct {
	Manifest    *Manifest
	Files       int   // in the backup
	Bytes       int64 // likewise
	Copied      int   // files that were not there before
	CopiedBytes int64
	Removed     int  // files that were not needed any more
	Unclear     bool // something other than a record lies behind the newest one: it was copied, too
}

// stored are the files that a backup may hold.
var stored = regexp.MustCompile(`^[0-9]{8}\.(seg|ckp)$`)

// progress counts bytes for Options.Progress, and ends what it counts with the
// context.
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

// older is an error if a backup would be replaced by one of an earlier state.
func older(had *Manifest, s *snapshot, o Options) error {
	if had == nil || o.AcceptOlder || s.lsn >= had.LSN {
		return nil
	}
	return fmt.Errorf("%w: its last record is %d, that of the backup is %d", ErrOlder, s.lsn, had.LSN)
}
