// Package fsck reads all of a store that no Core has open. For each damage it reports where it is,
// and which data is lost with it. Salvage makes a store of the rest, which a Core opens again.
//
// It uses the Core's own code to read. Package seglog opens headers, checkpoints and records.
// Package engine makes of them the state that a Core would start with. In addition, fsck reads data
// that no start reads: both checkpoints, every record of every segment, and every object's content
// against its identity.
//
// Invariants of a report:
//
//  1. Every byte of a file that the Core wrote and may read again was checked. The exception is
//     bodies
//     of records with an erased owner, which no key opens.
//  2. Damage to unneeded data is told apart from loss.
//  3. An object whose newest record is damaged counts as lost, even if an older record can be read.
//     A
//     record that is wholly unreadable is listed by its number. It may have replaced, deleted or
//     revoked any object.
package fsck

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"motte/core/codec"
	"motte/core/engine"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seal"
	"motte/core/seglog"
)

// Errors that callers can tell apart.
var (
	ErrNoStore  = errors.New("there is no store")
	ErrHopeless = errors.New("nothing can be salvaged")
)

const leftover = "new-" // begins the name of a temporary file that a crash left

// Store is a store that is being verified.
type Store struct {
	path    string
	root    seal.Root
	disk    *patient
	close   func() error
	changes bool // the storage takes changes

	log      *seglog.Log
	engine   *engine.Engine
	maker    *identity.Maker
	objects  objects           // all of them
	names    map[uint32]string // of collections
	shelves  map[uint32]string // by the collection of its blobs, the index
	erased   bool              // some principals have no key
	base     uint32            // number of the checkpoint that the start used; 0: no checkpoint
	baseLSN  uint64
	applied  ranges               // LSNs of applied records after that checkpoint
	broken   []seglog.DamageError // damage that the start passed over
	lastSeen uint64               // the highest LSN of a record with a readable head, if it is after the checkpoint
	endLost  bool                 // the end of the log is unreadable, so the number of its records is unknown
	digest   [sha256.Size]byte    // of the objects' locations, to compare two states

	walking *walker
	found   found
	report  Report
	cutOff  map[string]int64 // the original sizes of files that were cut off, in bytes
	bad     map[string]bool
	broke   map[uint32]bool               // shelves that lack a blob, by the collection of their blobs
	gone    map[identity.ID]mapping.Entry // live objects that are unreadable, or have only an outdated record
	moved   map[identity.ID]mapping.Entry // live objects that are readable at another location
}

// Open opens a store to be verified, and locks it against others. With change, Salvage is possible.
func Open(path string, root seal.Root, change bool) (*Store, error) {
	s := &Store{path: path, root: root, changes: change, bad: make(map[string]bool), cutOff: make(map[string]int64)}
	var storage seglog.Storage
	d, err := openDirectory(path)
	if err != nil {
		return nil, err
	}
	storage, s.close = d, d.Close
	if empty, err := seglog.Empty(d); err != nil || empty {
		err = errors.Join(err, fmt.Errorf("%w in %s", ErrNoStore, path))
		if keys, _ := filepath.Glob(filepath.Join(path, seglog.KeysNames[0]+"*")); len(keys) > 0 {
			err = &seglog.DamageError{File: path, What: "there are the keys of a store, and no segment of it. Restore a backup"}
		}
		return nil, errors.Join(err, d.Close())
	}
	if change {
		if err := d.Close(); err != nil {
			return nil, err
		}
		dir, err := seglog.OpenDir(path)
		if err != nil {
			return nil, err
		}
		storage, s.close = dir, dir.Close
	}
	s.found.seen = make(map[string]bool)
	s.disk = newPatient(storage, func(name string, offset int64, err error) {
		s.bad[name] = true
		s.found.add(name, offset, sector, "the disk does not give it: "+err.Error())
	})
	return s, nil
}

// OpenWith opens, for changes, a store that has no file of data keys yet.
func OpenWith(path string, root seal.Root, keys []byte) (*Store, error) {
	s, err := Open(path, root, true)
	if err == nil {
		for _, name := range seglog.KeysNames {
			s.disk.memory[name] = keys
		}
	}
	return s, err
}

// Close ends the use of the directory.
func (s *Store) Close() error { return s.close() }

// accept notes damage, and lets the start go on.
func (s *Store) accept(e *seglog.DamageError) error {
	if s.walking == nil {
		s.broken = append(s.broken, *e)
	}
	if strings.HasPrefix(e.What, "it was cut off") {
		if size := s.disk.sizes[e.File]; size > 0 && size < e.Offset {
			s.cutOff[e.File] = max(s.cutOff[e.File], e.Offset)
			s.bad[e.File] = true
			s.found.add(e.File, size, e.Offset-size, "it was cut off")
			return nil
		}
	}
	if whole := s.disk.whole[e.File]; whole > 0 && e.Offset >= s.disk.sizes[e.File] {
		return nil // already noted: the file was cut off
	}
	s.bad[e.File] = true
	if s.walking != nil {
		s.walking.damaged(e)
	} else {
		s.found.add(e.File, e.Offset, 0, e.What)
	}
	return nil
}

// Check reads all of the store. Progress gets the bytes of records done, and the total.
func (s *Store) Check(ctx context.Context, progress func(done, total int64)) (*Report, error) {
	s.report = Report{Damage: []Damage{}, Gone: []Object{}, Changes: []Change{}, Unknown: []Range{}, Notes: []string{}}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	if len(s.cutOff) > 0 { // again, with zeros for the missing bytes, to read the rest
		s.disk.whole = s.cutOff
		if err := s.load(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.walk(ctx, progress); err != nil {
		return nil, err
	}
	return s.finish()
}

// load starts as a Core would, from each checkpoint, the newest last. All starts must lead to the
// same state. If the newest checkpoint is unreadable, the next older one counts, and at last the
// log from its beginning.
func (s *Store) load(ctx context.Context) error {
	l, err := s.open()
	if err != nil {
		return err
	}
	numbers := l.Checkpoints()
	s.report.Checkpoints = len(numbers) - 1
	slices.Reverse(numbers) // so the first is 0, the beginning of the log
	good := uint32(0)
	var before *[sha256.Size]byte
	for _, n := range numbers[min(1, len(numbers)-1):] {
		if err := ctx.Err(); err != nil {
			return err
		}
		var d *seglog.DamageError
		if err := s.start(n); errors.As(err, &d) {
			s.bad[d.File] = true
			s.found.add(d.File, d.Offset, 0, d.What).Lost = "nothing, as long as another checkpoint can be read"
			continue
		} else if err != nil {
			return err
		}
		if before != nil && *before != s.digest && len(s.found.list) == 0 {
			s.found.add(checkpointName(n), 0, 0, "it does not lead to the same state as the older checkpoint").Lost = "unknown: either of the two may be right"
		}
		good, before = n, new(s.digest)
	}
	if s.log == nil {
		return s.start(good)
	}
	return nil
}

func checkpointName(n uint32) string { return fmt.Sprintf("%08d.ckp", n) }

// open opens the log.
func (s *Store) open() (*seglog.Log, error) {
	l, err := seglog.Open(s.disk, s.root, rand.Read, s.accept)
	if errors.Is(err, seglog.ErrDamaged) {
		return nil, fmt.Errorf("%w: if the root key is the right one, only a backup and an export of the keys help", err)
	}
	return l, err
}

// start starts from one checkpoint, and replays the records after it. If it succeeds, it keeps the
// resulting state.
func (s *Store) start(n uint32) error {
	s.log, s.engine, s.objects = nil, nil, nil // memory may not suffice for two states
	s.broken = nil
	l, err := s.open()
	if err != nil {
		return err
	}
	e := engine.New(engine.Config{Maker: identity.NewMaker(l.Keys().Identity()), Random: rand.Read, History: l, Now: time.Now()})
	if err := l.Restore(n, e.Restore); err != nil {
		return err
	}
	at := l.Position()
	end := seglog.Location{Segment: at.Segment, Offset: at.End} // of the readable log
	var applied ranges
	err = l.Replay(func(r seglog.Record, at seglog.Location) error {
		err := e.Replay(r, at)
		if err == nil && r.Sealed == nil {
			applied.add(r.LSN)
		}
		end = seglog.Location{Segment: at.Segment, Offset: at.Offset + at.Length}
		return err
	})
	if err != nil {
		return err
	}
	s.log, s.engine, s.base, s.baseLSN, s.applied = l, e, n, at.LSN, applied
	s.endLost = slices.ContainsFunc(s.broken, func(d seglog.DamageError) bool { return s.hidesEnd(d, end) })
	return s.take()
}

// hidesEnd reports whether a damage lies after all that can be read of the log, and does not even
// tell which record lay there. Then the number of lost records is unknown.
func (s *Store) hidesEnd(d seglog.DamageError, end seglog.Location) bool {
	last := segmentName(end.Segment)
	if !strings.HasSuffix(d.File, ".seg") || d.File < last || d.File == last && d.Offset > 0 && d.Offset < int64(end.Offset) {
		return false
	}
	if d.Offset+step > s.disk.sizes[d.File] {
		return true
	}
	_, _, ok := s.head(d.File, d.Offset)
	return !ok
}

// take copies the state out of the engine.
func (s *Store) take() error {
	s.catalogue()                                         // as the log has it; Check removes principals without a key
	_ = s.engine.Check(func(uint32) bool { return true }) // drops the objects of erased owners
	s.objects, s.digest = make(objects), [sha256.Size]byte{}
	_, _, rest := s.engine.Checkpoint()
	for piece := s.engine.Section(&rest, sectionEntries); piece != nil; piece = s.engine.Section(&rest, sectionEntries) {
		if err := s.objects.add(piece); err != nil {
			return err
		}
	}
	for o := range s.objects.all() {
		row := codec.Writer(o.ID[:]).U64(o.LSN).U32(o.Loc.Segment).U32(o.Loc.Offset).U32(o.Loc.Length).U32(o.Collection).U32(o.Owner)
		for j, b := range sha256.Sum256(row) { // independent of the order
			s.digest[j] ^= b
		}
	}
	return nil
}

// catalogue reads names out of the first section of a checkpoint, of each record reserved 8 | kind
// 1 | collection 4 | length 4 | body. See package engine.
func (s *Store) catalogue() {
	_, piece, _ := s.engine.Checkpoint()
	s.maker, s.names, s.erased = identity.NewMaker(s.log.Keys().Identity()), make(map[uint32]string), false
	s.shelves = make(map[uint32]string)
	for r := codec.NewReader(piece); r.Len() > 0; {
		r.U64()
		kind, collection := seglog.Kind(r.U8()), r.U32()
		body := codec.NewReader(r.Take(int(r.U32())))
		switch kind {
		case seglog.KindCreateCollection:
			s.names[collection] = body.Text(model.MaxIdentifier)
		case seglog.KindCreateIndex:
			name := body.Text(model.MaxIdentifier)
			body.Take(model.MaxIdentifier + 2)
			body.Take(32)
			body.U32() // the number of the index
			s.shelves[body.U32()] = s.names[collection] + "/" + name
		case seglog.KindAddPrincipal:
			body.Take(2*model.MaxIdentifier + 2)
			body.Take(32)
			s.erased = s.erased || !s.log.HasKey(body.U32())
		}
	}
}

// collection returns the name of a collection for people.
func (s *Store) collection(id uint32) string {
	if name := s.names[id]; name != "" {
		return name
	}
	return fmt.Sprintf("number %d", id)
}
