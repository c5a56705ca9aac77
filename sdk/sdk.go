// Package sdk is for the author of a Task. Implement [Index], and call [Serve] from main:
// the index then runs in a process of its own. The Core tells it of every change, and asks
// it for the objects that a predicate finds.
//
// # What an Index can rely on
//
//  1. One call at a time, in the order in which the Core sent the frames: a
//     Search sees every change sent before it, and none sent after it.
//  2. Changes come in batches: all that have arrived when the index is ready
//     for more. A lone change is a batch of one and waits for nothing.
//  3. The protocol with the Core is kept whatever the index does: answers have
//     the right numbers, chunks and limits, and are written many at a time.
//
// # What an Index must do
//
//  1. Keep all state in memory: a Task has no files, no network and no clock that
//     it may rely on. The state is lost with the process; the Core then feeds a
//     fresh process from the objects that it keeps.
//  2. Copy what it keeps: the input of a change and the predicate are valid only
//     during the call, also for goroutines.
//  3. Refuse an input or a predicate that makes no sense, and never panic. A panic
//     ends the process. That is safe: the Core quarantines the Task and builds the
//     index anew. But the same object would end the next process, too. Serve
//     recovers no panic, since an index that is half changed gives wrong answers.
//  4. Answer with identities that it holds. The Core checks each of them, and a
//     Task that names another is ended, however honest its mistake.
//
// # Other packages
//
// Package [motte/sdk/sdktest] tests an Index behind the Task protocol. Package
// [motte/sdk/pointer] finds a value in a JSON text, and [motte/sdk/ijson] says which texts
// are JSON.
//
// docs/how-to/write-a-task.md builds a Task from nothing;
// docs/reference/task-protocol.md says what happens on the channel.
package sdk

import (
	"fmt"
	"os"

	"motte/core/identity"
	"motte/core/model"
)

// Identity names one object with one content. The first half, its [Value], names
// the object: a changed object keeps it and gets another second half.
type Identity = identity.ID

// Value is the first half of an [Identity]: the object, whatever its content.
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

// Config is what an index was declared to be. [Index.Configure] gets it.
type Config struct {
	Type       model.DataType // of inputs and predicates; TypeAny: not declared
	Ordered    bool           // the order of answers is kept
	MaxResults int            // most identities in one answer
	Options    []byte         // the configuration given when the index was created, as it was given
}

// Change says that an object was put, or is gone. [Index.Apply] gets them.
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
