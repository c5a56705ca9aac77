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
//     right.
//
// # What an Index must do
//
//  1. Keep all state in memory. A Task has no files, no network and no reliable clock.
//     When its process ends, the Core feeds all objects to a fresh process.
//  2. Copy the bytes that it keeps. The input of a change and the predicate are valid only
//     during the call, also for goroutines.
//  3. Refuse an input or a predicate that it can't use, and never panic. A panic ends the
//     process, and the Core builds the index anew, but the same object would end the next
//     process, too. Serve recovers no panic, since a half-changed index gives wrong answers.
//  4. Answer only with identities that it holds. The Core checks each identity. It ends a
//     Task that returns a wrong identity, even by mistake.
//
// # Other packages
//
// Package [motte/sdk/sdktest] tests an Index behind the Task protocol. Package
// [motte/sdk/pointer] finds a value in a JSON text. Package [motte/sdk/ijson] decides which
// texts are JSON.
//
// docs/how-to/write-a-task.md builds a Task step by step. docs/reference/task-protocol.md
// describes the channel.
package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
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

	// Search returns the identities that match, each object once, in an order that is the
	// same for each query while no change comes. An ordered index yields the best first;
	// for other indexes the Core sorts the answer. The package stops at the limit of the
	// query. The sequence is used during the call alone, before the next call.
	//
	// An error ends the query; its text stays in the Task. With [ErrTooExpensive] the
	// client may try again, with [ErrGone] it begins anew. Any other error refuses the
	// predicate.
	Search(Query) (iter.Seq[Identity], error)
}

// Query is a question to an index. [Index.Search] gets it.
type Query struct {
	Predicate []byte // in the language of the index; valid during the call alone
	Limit     int    // most identities in the answer, at least 1

	// Owner is a hint. If it is not AllOwners, only the objects of this owner can be shown
	// to the client, so the answer need name no others. It is the Owner of their changes.
	Owner Owner

	// After holds identities of earlier answers, the last one first, at most 8. The answer
	// begins behind the first of them that the index holds. If there are some, and the
	// index holds none of them, the error is ErrGone. See Behind.
	After []Identity
}

// Owner is a number that stands for an owner of objects in one index. It has no meaning
// elsewhere.
type Owner = taskwire.Owner

// AllOwners in a query asks for the objects of all owners.
const AllOwners = taskwire.AllOwners

// Errors of [Index.Search] that do not refuse the predicate.
var (
	ErrTooExpensive = errors.New("the query takes too much work")
	ErrGone         = errors.New("the index holds none of the objects behind which the answer should begin")
)

// Behind returns the part of a sequence behind the first identity of after that the sequence
// has; see [Query]. If after is empty, it is the whole sequence. Behind goes through the whole
// sequence once. An index that can begin in the middle needs no Behind.
func Behind(all iter.Seq[Identity], after []Identity) (iter.Seq[Identity], error) {
	if len(after) == 0 {
		return all, nil
	}
	first := len(after)
	for id := range all {
		if i := slices.Index(after[:first], id); i >= 0 {
			first = i
		}
	}
	if first == len(after) {
		return nil, ErrGone
	}
	return func(yield func(Identity) bool) {
		behind := false
		for id := range all {
			if behind && !yield(id) {
				return
			}
			behind = behind || id == after[first]
		}
	}, nil
}

// Config is the declaration of an index. [Index.Configure] gets it.
type Config struct {
	Type       model.DataType // of inputs and predicates; TypeAny: not declared
	Ordered    bool           // answers keep the order of the Task
	MaxResults int            // most identities in one answer
	Options    []byte         // the configuration, byte for byte as the creator of the index gave it
}

// Change is one object that was put or removed. [Index.Apply] gets changes.
type Change struct {
	Identity Identity
	Owner    Owner  // stands for the owner of the object; 0 for a removal
	LSN      uint64 // position in the Core's log; it does not ascend while an index is built
	Remove   bool   // drop the entry under Identity.Value(), if there is one
	Input    []byte // otherwise hold this input in its place; valid until Apply returns

	refused bool
}

// Refuse says that the index does not accept the input. The object stays stored, but the
// index does not find it. The Core tells the client that put the object.
func (c *Change) Refuse() { c.refused = true }

// Sorted returns the identities in the order of their bytes, behind the first identity of after
// that is among them; see [Query]. It sorts the slice. An index without an order of its own
// answers so.
func Sorted(found, after []Identity) (iter.Seq[Identity], error) {
	slices.SortFunc(found, func(a, b Identity) int { return bytes.Compare(a[:], b[:]) })
	return Behind(slices.Values(found), after)
}

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
