// Package sdk is what the author of a Task uses: implement Index, call Serve
// from main, and the index runs in a process of its own that is told of every
// change and answers predicates with identities.
//
// What the package guarantees to an Index:
//
//  1. One call at a time, in the order in which the Core sent the frames: a
//     Search sees every change sent before it, and none sent after it.
//  2. Changes come in batches: all that have arrived when the index is ready
//     for more. A lone change is a batch of one and waits for nothing.
//  3. The protocol with the Core is kept whatever the index does: answers have
//     the right numbers, chunks and limits, and are written many at a time.
//
// What it asks of one:
//
//  1. All state in memory: a Task has no files, no network and no clock that
//     it may rely on. Whatever it holds is lost with the process; the Core
//     then feeds a fresh one from the objects it keeps.
//  2. No goroutine that outlives a call may touch the input of a change or a
//     predicate: both are valid only during the call.
//  3. An input or a predicate that makes no sense is refused, not a reason to
//     panic. A panic ends the process. That is safe, the Core quarantines the
//     Task and builds the index anew, but the same object would end the next
//     process too; Serve recovers none, since an index that is half changed
//     gives wrong answers.
//
// docs/how-to/write-a-task.md is the way in; docs/reference/task-protocol.md
// says what happens on the channel.
package sdk

import (
	"fmt"
	"os"

	"motte/core/identity"
	"motte/core/model"
)

// Identity names one object with one content. The first half, its Value, names
// the object: a changed object keeps it and gets another second half.
type Identity = identity.ID

// Value is the first half of an Identity.
type Value = identity.Value

// Index is an index or any other search code: all that a Task author writes.
type Index interface {
	// Configure comes first, once. An error says that the index can't be what
	// it was declared to be: the Core ends it for good.
	Configure(Config) error

	// Apply makes the changes, in order. It calls Refuse on those whose input
	// it does not accept, and must forget what it had under the same value
	// all the same: that identity is no longer valid.
	Apply([]Change)

	// Search returns at most limit identities, each object once. In an ordered
	// index the best come first; else the order does not matter, as the Core
	// sorts. An error says that the predicate was refused; nobody is told its
	// text.
	Search(predicate []byte, limit int) ([]Identity, error)
}

// Config is what an index was declared to be.
type Config struct {
	Type       model.DataType // of inputs and predicates; TypeAny: not declared
	Ordered    bool           // the order of answers is kept
	MaxResults int            // most identities in one answer
	Options    []byte         // the configuration given when the index was created, as it was given
}

// Change says that an object was put, or is gone.
type Change struct {
	Identity Identity
	LSN      uint64 // position in the Core's log; while an index is built it does not ascend
	Remove   bool   // drop what is held under Identity.Value(), if anything
	Input    []byte // else hold this in its place; valid until Apply returns

	refused bool
}

// Refuse says that the input is not accepted: the object stays stored, is not
// in the index, and the client that put it is told so.
func (c *Change) Refuse() { c.refused = true }

// channel is the descriptor on which a Task finds the Core.
const channel = 3

// Serve runs the index until the Core closes the channel, then ends the
// process: with status 0, or 1 if the Core broke the protocol. It is all that
// the main function of a Task does.
func Serve(x Index) {
	if err := serve(x); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(x Index) error {
	f, err := openChannel()
	if err != nil {
		return err
	}
	prepareRuntime()
	// From here on the process reads and writes one descriptor, and the
	// runtime needs what it always needs. Whatever confines it further from
	// inside belongs between these two lines.
	return ServeChannel(f, x)
}
