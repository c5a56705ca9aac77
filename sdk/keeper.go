package sdk

import (
	"io"
	"iter"
)

// Entry is what an index holds of one object, written as bytes.
type Entry struct {
	Identity Identity
	Owner    Owner
	Data     []byte // as the index chooses; it may be empty
}

// Keeper is an [Index] whose entries survive a restart. The package saves the entries that have
// changed, each time the Core asks for it. The next process gets them back before it serves. The
// Core then compares the identities that the index holds with those of its objects, and sends
// only the objects that differ. So an entry may be lost at any time; it costs only that its object
// is sent again.
//
// Saved entries are of use only for the same executable with the same configuration: the Core
// gives a new executable an empty shelf. An entry of more than about 128 KiB is not saved, nor
// is one that the quota does not cover.
//
// The package keeps a list of the values of all entries, of about 20 bytes each.
type Keeper interface {
	Index

	// Entry returns the entry that the index holds under a value, and reports whether it holds
	// one. The next call may overwrite the data of the entry.
	Entry(Value) (Entry, bool)

	// Restore holds an entry that an earlier process returned from Entry, in place of the entry
	// under the same Value. It returns false if it can't; then it holds no entry under the Value.
	// The data are valid until it returns.
	//
	// The calls come after Configure, before any Search. Apply may remove entries meanwhile. The
	// calls come from another goroutine than all later ones, but still one at a time.
	Restore(Entry) bool
}

// BulkKeeper is a [Keeper] that builds some of its structures at once, after it has all entries.
type BulkKeeper interface {
	Keeper

	// Restored comes after the last call of Restore, if there was one. So an index may put
	// off all that only Search needs. No other method is called before Restored returns. The
	// Core compares identities meanwhile.
	Restored()
}

// Snapshotter is an [Index] that survives a restart, but can write itself only as a whole. The
// package saves the index when about a quarter of it has changed since the last time. It keeps
// the whole text of the snapshot in memory until the Core has taken it, and while it is loaded.
// The quota must cover a snapshot twice.
type Snapshotter interface {
	Index

	// Save writes the index.
	Save(io.Writer) error

	// Load reads an index that an earlier process has written. It comes after Configure. After
	// an error the index must be empty.
	Load(io.Reader) error

	// Held yields the identities of all entries. It is called after Load.
	Held() iter.Seq[Identity]
}
