// Package sdktest tests an [sdk.Index] behind the Task protocol, where it is used. A stand-in
// for the Core is at the other end of a socket pair.
//
// [Start] configures the index. [Core.Insert] and [Core.Remove] send it changes, and
// [Core.Search] asks it. [Core.Ask] asks for a page, for the objects of one owner or among
// candidates, and [Core.Pages] for all pages. [ID] and [Version] make identities, so that a test can name an
// object and a content of it.
//
// The test fails on each answer for which the real Core would quarantine a Task:
//
//   - a frame that can't be decoded;
//   - an answer to a frame that was never sent, or is answered already;
//   - more identities than the limit, or the same identity twice;
//   - fewer identities than the limit, if the answer says that more objects match;
//   - the identity of an object that was never inserted, or was removed.
//
// The stand-in does not notice objects that the index should have found. The test compares
// those.
//
// An index that keeps its entries needs a quota, the field Shelf of its [sdk.Config]. [Core.Save]
// lets it save, and [Core.Restart] starts it again from what it has saved. The test also fails on a
// blob that is too long, a number that does not ascend, and on more blobs than the quota covers.
package sdktest

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/sdk"
)

// Core is the stand-in for the Core, at the other end of the channel of an index. It is not
// safe for concurrent use.
type Core struct {
	tb   testing.TB
	conn net.Conn
	in   *bufio.Reader
	buf  []byte
	done chan error // the result of ServeChannel

	seq     uint64
	applied uint64
	refused map[uint64]taskwire.Failure
	live    map[identity.Value]identity.ID
	objects map[identity.Value]object // also those that the index refused
	config  sdk.Config
	shelf   *shelf
}

// Errors of [Core.Search] and [Core.Ask]: the index refused the predicate, found the query too
// expensive, or holds none of the identities after which the answer should begin.
var (
	ErrQueryRefused = errors.New("the index refused the predicate")
	ErrTooExpensive = sdk.ErrTooExpensive
	ErrGone         = sdk.ErrGone
)

// Start runs an index behind a channel and configures it. It returns nil if the index refuses
// the configuration. Start closes the channel when the test ends. The index must then end
// without an error.
func Start(tb testing.TB, x sdk.Index, config sdk.Config) *Core {
	tb.Helper()
	c := launch(tb, x, config)
	if c == nil {
		return nil
	}
	c.objects = make(map[identity.Value]object)
	c.shelf = &shelf{quota: config.Shelf, blobs: make(map[uint64][]byte), fresh: make(map[uint64][]byte)}
	return c
}

// launch starts an index and configures it.
func launch(tb testing.TB, x sdk.Index, config sdk.Config) *Core {
	tb.Helper()
	ours, theirs := Pair(tb)
	c := &Core{tb: tb, conn: ours, in: bufio.NewReader(ours), buf: make([]byte, taskwire.MaxAnswerFrame),
		done: make(chan error, 1), refused: make(map[uint64]taskwire.Failure),
		live: make(map[identity.Value]identity.ID), config: config}
	go func() {
		c.done <- sdk.ServeChannel(theirs, x)
		theirs.Close()
	}()
	tb.Cleanup(func() {
		ours.Close()
		if err := <-c.done; err != nil && !tb.Failed() {
			tb.Errorf("the index ended with: %v", err)
		}
	})
	c.seq++
	c.send(taskwire.AppendConfigure(nil, c.seq, &taskwire.Configuration{Type: config.Type, Ordered: config.Ordered,
		MaxResults: uint32(config.MaxResults), Shelf: uint64(config.Shelf), Config: config.Options}))
	if !c.confirmed() {
		return nil
	}
	return c
}

// Pair returns the two ends of a socket pair.
func Pair(tb testing.TB) (a, b net.Conn) {
	tb.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		if ends[i], err = net.FileConn(f); err != nil {
			tb.Fatal(err)
		}
		f.Close()
	}
	return ends[0], ends[1]
}

// Insert sends an object of the owner 1 and reports whether the index accepted it. It replaces
// any other [Version] of the object, even if the index refuses the new one.
func (c *Core) Insert(id identity.ID, input string) bool {
	c.tb.Helper()
	return c.InsertOf(1, id, input)
}

// InsertOf is Insert for an object of another owner.
func (c *Core) InsertOf(owner sdk.Owner, id identity.ID, input string) bool {
	c.tb.Helper()
	c.seq++
	c.live[id.Value()] = id
	c.objects[id.Value()] = object{id: id, owner: owner, input: []byte(input)}
	c.send(AppendInsert(nil, c.seq, c.seq, id, owner, []byte(input)))
	if !c.confirmed() {
		delete(c.live, id.Value())
		c.objects[id.Value()] = object{id: id, owner: owner, input: []byte(input), out: true}
		return false
	}
	return true
}

// AppendInsert appends a whole Insert frame to p.
func AppendInsert(p []byte, seq, lsn uint64, id identity.ID, owner sdk.Owner, input []byte) []byte {
	return append(taskwire.AppendInsertHead(p, seq, lsn, id, owner, len(input)), input...)
}

// InsertAll sends many objects at once, one for each input. It returns their identities:
// ID(from), ID(from+1), … The test fails if the index refuses an input.
func (c *Core) InsertAll(from int, inputs []string) []identity.ID {
	c.tb.Helper()
	var frames []byte
	var ids []identity.ID
	for i, input := range inputs {
		c.seq++
		id := ID(from + i)
		ids = append(ids, id)
		c.live[id.Value()] = id
		c.objects[id.Value()] = object{id: id, owner: 1, input: []byte(input)}
		frames = AppendInsert(frames, c.seq, c.seq, id, 1, []byte(input))
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.conn.Write(frames)
		sent <- err
	}()
	first := c.seq - uint64(len(inputs)) + 1
	for c.applied < c.seq {
		c.read()
	}
	if err := <-sent; err != nil {
		c.tb.Fatal(err)
	}
	for seq := first; seq <= c.seq; seq++ {
		if c.refused[seq] != 0 {
			c.tb.Fatalf("input %q was refused", inputs[seq-first])
		}
	}
	return ids
}

// Remove removes an object, and waits until the index has confirmed that.
func (c *Core) Remove(id identity.ID) {
	c.tb.Helper()
	c.seq++
	delete(c.live, id.Value())
	delete(c.objects, id.Value())
	c.send(taskwire.AppendRemove(nil, c.seq, c.seq, id))
	if !c.confirmed() {
		c.tb.Fatal("the index refused a removal")
	}
}

// Void puts an object that has no input for the index, in the place of any other [Version] of it.
// The index must have a shelf.
func (c *Core) Void(id identity.ID) {
	c.tb.Helper()
	c.seq++
	delete(c.live, id.Value())
	c.objects[id.Value()] = object{id: id, void: true, out: true}
	c.send(taskwire.AppendVoid(nil, c.seq, c.seq, id))
	if !c.confirmed() {
		c.tb.Fatal("the index refused an object without an input")
	}
}

// Search asks for the objects of all owners that match a predicate, at most limit of them. It
// returns the answer in the order of the index. The error is [ErrQueryRefused],
// [ErrTooExpensive] or nil.
func (c *Core) Search(predicate string, limit int) ([]identity.ID, error) {
	c.tb.Helper()
	found, _, err := c.Ask(sdk.Query{Predicate: []byte(predicate), Limit: limit})
	return found, err
}

// Ask sends a query and returns the answer in the order of the index. It reports whether the
// index says that more objects match. The error is [ErrQueryRefused], [ErrTooExpensive],
// [ErrGone] or nil.
func (c *Core) Ask(q sdk.Query) (found []identity.ID, more bool, err error) {
	c.tb.Helper()
	c.seq++
	c.send(taskwire.AppendSearch(nil, c.seq, &taskwire.Query{
		Limit: uint32(q.Limit), Owner: q.Owner, After: q.After, Within: q.Within, Predicate: q.Predicate}))
	state := taskwire.StateContinues
	for state == taskwire.StateContinues {
		a := c.read()
		if a.Type == taskwire.Applied {
			continue
		}
		if a.Seq != c.seq {
			c.tb.Fatalf("an answer to %d while %d was asked", a.Seq, c.seq)
		}
		if a.Type == taskwire.Failed {
			return nil, false, c.failure(a, q, len(found))
		}
		if a.State == taskwire.StateContinues && len(a.Found) == 0 {
			c.tb.Fatal("an empty frame says that another frame follows")
		}
		state, found = a.State, append(found, a.Found...)
	}
	more = state == taskwire.StateMore
	c.check(q, found)
	if more && len(found) < q.Limit {
		c.tb.Fatalf("%q: more objects match, but only %d are named, limit %d", q.Predicate, len(found), q.Limit)
	}
	return found, more, nil
}

// Pages asks a query page by page, and returns the objects of all pages. Each page has as many
// objects as the limit of the query, and begins after the previous page. The result must be the
// answer that a query with a larger limit gets at once. The test fails if an object is on two
// pages: then the index has no order of its own.
func (c *Core) Pages(q sdk.Query) (all []identity.ID) {
	c.tb.Helper()
	seen := make(map[identity.ID]bool)
	for more := true; more; {
		page, hasMore, err := c.Ask(q)
		if err != nil {
			c.tb.Fatalf("%q: the page after %d objects: %v", q.Predicate, len(all), err)
		}
		for _, id := range page {
			if seen[id] {
				c.tb.Fatalf("%q: %x is on two pages", q.Predicate, id)
			}
			seen[id] = true
		}
		all, more = append(all, page...), hasMore
		q.After = Next(all)
	}
	return all
}

// failure returns the error for a Failed frame that answers a query.
func (c *Core) failure(a taskwire.Answer, q sdk.Query, found int) error {
	c.tb.Helper()
	switch {
	case found > 0:
	case a.Failure == taskwire.FailQuery:
		return ErrQueryRefused
	case a.Failure == taskwire.FailExpensive:
		return ErrTooExpensive
	case a.Failure == taskwire.FailGone && len(q.After) > 0:
		return ErrGone
	}
	c.tb.Fatalf("failure %d after %d identities", a.Failure, found)
	return nil
}

// check fails on an answer for which the Core would quarantine the Task.
func (c *Core) check(q sdk.Query, found []identity.ID) {
	c.tb.Helper()
	if len(found) > q.Limit {
		c.tb.Fatalf("%q: %d identities, limit %d", q.Predicate, len(found), q.Limit)
	}
	seen := make(map[identity.ID]bool)
	for _, id := range found {
		if c.live[id.Value()] != id {
			c.tb.Fatalf("%q: %x is not live", q.Predicate, id)
		}
		if seen[id] {
			c.tb.Fatalf("%q: %x twice", q.Predicate, id)
		}
		if len(q.Within) > 0 && !slices.Contains(q.Within, id) {
			c.tb.Fatalf("%q: %x is no candidate", q.Predicate, id)
		}
		seen[id] = true
	}
}

// confirmed waits until the last frame sent is done or refused.
func (c *Core) confirmed() bool {
	c.tb.Helper()
	for c.applied < c.seq {
		if a := c.read(); a.Type == taskwire.Failed && a.Failure == taskwire.FailConfiguration {
			return false
		}
	}
	return c.refused[c.seq] == 0
}

// read takes one frame and notes the changes that it confirms.
func (c *Core) read() taskwire.Answer {
	c.tb.Helper()
	a, err := taskwire.ReadAnswer(c.in, c.buf)
	if err != nil {
		c.tb.Fatalf("reading from the index: %v", err)
	}
	switch {
	case a.Type == taskwire.Applied && (a.Seq <= c.applied || a.Seq > c.seq),
		a.Type == taskwire.Failed && (a.Seq <= c.applied || a.Seq > c.seq || c.refused[a.Seq] != 0):
		c.tb.Fatalf("%+v is not due: %d were sent, %d confirmed", a, c.seq, c.applied)
	case a.Type == taskwire.Applied:
		c.applied = a.Seq
	case a.Type == taskwire.Failed:
		c.refused[a.Seq] = a.Failure
	}
	return a
}

func (c *Core) send(frame []byte) {
	c.tb.Helper()
	if _, err := c.conn.Write(frame); err != nil {
		c.tb.Fatalf("writing to the index: %v", err)
	}
}

// Page asks an index directly, without a channel, and returns as many identities as the limit of
// the query allows, candidates alone if it has any. It reports whether more match.
func Page(x sdk.Index, q sdk.Query) (ids []identity.ID, more bool, err error) {
	found, err := x.Search(q)
	if err != nil || found == nil {
		return nil, false, err
	}
	for id := range found {
		if _, candidate := slices.BinarySearchFunc(q.Within, id, identity.ID.Compare); !candidate && len(q.Within) > 0 {
			continue
		}
		if len(ids) == q.Limit {
			return ids, true, nil
		}
		ids = append(ids, id)
	}
	return ids, false, nil
}

// Next returns the identities after which the next page begins, as the Core gives them, after an
// answer that shows these identities.
func Next(shown []identity.ID) []identity.ID {
	after := slices.Clone(shown[max(0, len(shown)-model.MaxAfter):])
	slices.Reverse(after)
	return after
}

// Candidates returns the identities ID(0) to ID(n-1), as the field Within of a query has them.
func Candidates(n int) (ids []identity.ID) {
	for i := range n {
		ids = append(ids, ID(i))
	}
	slices.SortFunc(ids, identity.ID.Compare)
	return ids
}

// ID returns an identity that n determines.
func ID(n int) identity.ID { return Version(n, 0) }

// Version returns an identity with the value of ID(n) and another tag: the same object with another
// content. Tags look random, as those of the Core do: otherwise two sets of identities could have
// the same sum.
func Version(n, version int) identity.ID {
	id := identity.ID{0: byte(n), 1: byte(n >> 8), 2: byte(n >> 16), 15: 0xff}
	digest := sha256.Sum256(fmt.Append(nil, n, version))
	copy(id[identity.ValueSize:], digest[:])
	return id
}
