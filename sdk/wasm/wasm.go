// Package wasm is for the author of a Task in Go that is a WebAssembly module. Implement [Index], and
// call [Serve] from an init function. Build the program as a reactor, and let "motte task build"
// make a Task of the module:
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -o near.wasm .
//	motte task build near.wasm -o motte-task-near
//
// A Task in Go usually needs no WebAssembly: package [motte/sdk] makes one that is faster. This
// package serves code that shall not leave its memory, and shows the ABI of
// docs/reference/wasm-abi.md to other languages.
//
// # What the package guarantees
//
//  1. It makes one call at a time, in the order in which the Core sent the changes and queries.
//  2. It never names an object that the index was told to remove.
//
// On other systems than wasip1 the package compiles, and has no runner. So tests can call the methods
// of an Index.
package wasm

import "iter"

// Object is the number of an object, never 0. The runner chooses it, and uses it again after
// Remove.
type Object uint32

// Owner is a random number that stands for an owner of objects. No owner is AllOwners.
type Owner uint64

// AllOwners in a query asks for the objects of all owners.
const AllOwners Owner = 0

// Result is what an index says of a call.
type Result uint32

// The results.
const (
	OK           Result = 0
	Nothing      Result = 1 // Insert: the object has nothing to index
	Refused      Result = 2 // the configuration, input, predicate or record is not understood
	TooExpensive Result = 3 // Search: the client may try again, or ask for less
)

// Config is the declaration of an index.
type Config struct {
	Type       int  // of inputs and predicates, as in docs/reference/wire-protocol.md; 0: not declared
	Ordered    bool // answers keep the order of the Task
	MaxResults int  // most objects in one answer
	Options    []byte
}

// Query is a question to an index.
type Query struct {
	Predicate []byte
	Limit     int   // most objects in the answer
	Owner     Owner // a hint: the client may see only the objects of this owner

	// After are the objects before the page, the last one first; 0 for one that is gone. An
	// index can ignore them, and name all objects from the start.
	After []Object

	// If Narrowed, the client wants only the matches among the candidates. The objects of After
	// are among them. An index can ignore that, and name all objects that match. But an index that
	// itself stops at the limit must count the candidates alone.
	Narrowed   bool
	Candidates []Object
}

// Wants reports whether the answer should name the objects of an owner.
func (q *Query) Wants(o Owner) bool { return q.Owner == AllOwners || q.Owner == o }

// Candidate reports whether an object is a candidate: true if the client wants all.
func (q *Query) Candidate(o Object) bool { return isCandidate(uint32(o)) == 1 }

// AnyOrder says that the answer has no particular order: the runner then sorts it by identity.
func (q *Query) AnyOrder() { anyOrder() }

// StartsAfter says that the answer begins after q.After[i], which still matches. The index must
// choose the first of After that does.
func (q *Query) StartsAfter(i int) { startsAfter(uint32(i)) }

// Index is the code that a Task author writes. The bytes of an argument are valid during the call.
type Index interface {
	// Configure is the first call, and is made once. After Refused the index is not built.
	Configure(Config) Result

	// Insert holds an object. After Nothing and Refused the index does not hold it, and the
	// number is free.
	Insert(Object, Owner, []byte) Result

	// Remove drops an object that Insert or Load took: it was removed, or comes anew.
	Remove(Object)

	// Search returns the objects that match, each once. Their order depends on the predicate
	// alone, and stays the same while no change comes; or AnyOrder was called. A nil sequence
	// is empty.
	Search(*Query) (iter.Seq[Object], Result)
}

// Saver is an Index that survives a restart: the runner keeps a record of each object on the shelf.
type Saver interface {
	Index

	// Save appends what Load needs to hold the object again. It returns nil if the object is
	// not to be saved.
	Save(Object, []byte) []byte

	// Load holds an object again. After Refused the Core gives its input to Insert.
	Load(Object, Owner, []byte) Result
}
