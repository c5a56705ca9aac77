// Package sdk is for the author of a Task. Implement [Index], and call [Serve] from main.
// The index then runs in a confined process of its own. The Core sends it every change of
// the collection, and asks it for the objects that match a predicate.
//
// # What the package guarantees
//
//  1. It makes one call at a time, in the order in which the Core sent the frames. So a
//     Search sees every change that the Core sent before it, and no later change.
//  2. A call of Apply has all changes that have arrived. A lone change comes at once, in
//     a batch of one.
//  3. The answers of any index keep the Task protocol: numbers, chunks and limits are
//     right, each answer says whether more objects match, and only candidates are named if the
//     query has any.
//
// # What an Index must do
//
//  1. Keep all state in memory. A Task has no files, no network and no reliable clock.
//     When its process ends, the Core feeds all objects to a fresh process. If the index is
//     also a [Keeper] or a [Snapshotter], the Core feeds only the objects that have changed
//     since the last saving.
//  2. Copy the bytes that it keeps. The input of a change is valid only during the call, and
//     a predicate until the answer ends. That holds for goroutines, too.
//  3. Refuse an input or a predicate that it can't use, and never panic. A panic ends the
//     process, and the Core builds the index anew. If an input ends the next process, too,
//     the Core sets it aside: the index does not find its object. Serve recovers no panic,
//     since a half-changed index gives wrong answers.
//  4. Answer only with identities that it holds. The Core checks each identity. It ends a
//     Task that returns a wrong identity, even by mistake.
//
// # Other packages
//
// Package [motte/sdk/sdktest] tests an Index behind the Task protocol. Package
// [motte/sdk/pointer] finds a value in a JSON text. Package [motte/sdk/ijson] decides which
// texts are JSON. Package motte/core/model has the data types of a [Config], and package
// motte/core/identity the methods of an [Identity].
//
// docs/how-to/write-a-task.md builds a Task step by step. docs/reference/task-protocol.md
// describes the channel.
package sdk

import (
	"fmt"
	"iter"
	"os"

	"motte/core/identity"
	"motte/core/model"
)

// Identity names one object with one content. Its first half, the [Value], names the object.
// A changed object keeps the Value and gets another second half.
type Identity = identity.ID

// Value is the first half of an [Identity]. It names the object, whatever its content.
type Value = identity.Value

// Index is the code that a Task author writes: an index, or any other kind of search.
type Index interface {
	// Configure is the first call, and is made once. An error says that the index
	// can't use its configuration. The Core then ends the Task for good.
	Configure(Config) error

	// Apply makes the changes, in order. For each change it first drops the entry
	// under the same Value, whose identity is no longer valid. It calls
	// [Change.Refuse] if it does not accept the input.
	Apply([]Change)

	// Search returns the identities that match, each object once. Their order depends on the
	// predicate alone, and stays the same while no change comes. An ordered index yields the
	// best first; for other indexes the Core sorts the answer.
	//
	// The package takes at most Limit+1 identities from the sequence, before the next call.
	// The last of them only tells it that more match. So a sequence may look for each identity
	// when it is taken. A nil sequence is empty.
	//
	// An error ends the query; its text stays in the Task. After [ErrTooExpensive] the client
	// may try again, after [ErrGone] it begins anew. Any other error refuses the predicate.
	Search(Query) (iter.Seq[Identity], error)
}

// Config is the declaration of an index. [Index.Configure] gets it.
type Config struct {
	Type       model.DataType // of inputs and predicates; TypeAny: not declared
	Ordered    bool           // answers keep the order of the Task
	MaxResults int            // most identities in one answer
	Shelf      int64          // bytes that the Core keeps for the next process; 0: it keeps nothing
	Options    []byte         // the configuration, byte for byte as the creator of the index gave it
}

// Change is one object that was put or removed. [Index.Apply] gets changes.
type Change struct {
	Identity Identity
	Owner    Owner  // of the object that was put; AllOwners for a removal
	LSN      uint64 // position in the Core's log; it does not ascend while an index is built
	Remove   bool   // drop the entry under Identity.Value(), if there is one
	Input    []byte // otherwise hold this input in its place; valid until Apply returns

	refused bool
	skipped bool
	void    bool // the object has no input for this index
}

// Refuse says that the index does not accept the input. The object stays stored, but the
// index does not find it. The Core tells the client that put the object.
func (c *Change) Refuse() { c.refused = true }

// Skip says that the input has nothing to index, and that the index holds no entry of it. A
// [Keeper] that does not say so gets the object again at each start.
func (c *Change) Skip() { c.skipped = true }

// channel is the descriptor of the channel to the Core.
const channel = 3

// Serve runs the index until the Core closes the channel, and then ends the process. The
// status is 0, or 1 after an error. The main function of a Task only calls Serve.
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
	// From here on the process uses only this descriptor, and the system calls of the
	// Go runtime. Code that confines the process further belongs here.
	return ServeChannel(f, x)
}
