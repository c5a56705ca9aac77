package rehearsal_test

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"testing"
	"time"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/sdk"
	"motte/sdk/conformance"
	"motte/sdk/rehearsal"
	"motte/sdk/sdktest"
)

// exact is an index that finds the texts equal to the predicate. It has the faults that a test names.
type exact struct {
	fault string
	texts map[sdk.Identity]string
}

func (x *exact) Configure(c sdk.Config) error {
	x.texts = make(map[sdk.Identity]string)
	if string(c.Options) == "bad" {
		return errors.New("bad")
	}
	return nil
}

func (x *exact) Apply(changes []sdk.Change) {
	for i, c := range changes {
		if string(c.Input) == "refuse" {
			changes[i].Refuse()
			continue
		}
		x.texts[c.Identity] = string(c.Input)
	}
}

func (x *exact) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	switch string(q.Predicate) {
	case "?":
		return nil, errors.New("not understood")
	case "dear":
		return nil, sdk.ErrTooExpensive
	case "slow":
		time.Sleep(time.Hour)
	}
	var found []sdk.Identity
	for id, text := range x.texts {
		if text == string(q.Predicate) {
			found = append(found, id)
		}
	}
	if x.fault == "forges" {
		found = append(found, sdktest.ID(1000))
	}
	return sdk.Sorted(found, q.After)
}

const deadline = 20 * time.Second

// started returns a process that holds n objects "a" and one "b".
func started(t *testing.T, n int, start func() (conformance.Process, error)) *rehearsal.Task {
	task, err := rehearsal.Start(start, rehearsal.Config{MaxResults: 7, Deadline: deadline})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(task.Close)
	for i := range n {
		if err := task.Insert(sdktest.ID(i), []byte("a")); err != nil {
			t.Fatal(err)
		}
	}
	if err := task.Insert(sdktest.ID(n), []byte("b")); err != nil {
		t.Fatal(err)
	}
	return task
}

func index(fault string) func() (conformance.Process, error) {
	return conformance.Index(func() sdk.Index { return &exact{fault: fault} })
}

// TestAWholeAnswer of several pages comes from many objects, and a refused predicate does not end the
// process.
func TestAWholeAnswer(t *testing.T) {
	const n = 3000
	task := started(t, n, index(""))
	if err := task.Insert(sdktest.ID(n+1), []byte("refuse")); err != nil {
		t.Fatal(err)
	}
	if refused, err := task.Settle(); refused != 1 || err != nil {
		t.Fatalf("%d inputs are refused, error %v; want 1", refused, err)
	}
	for predicate, want := range map[string]int{"a": n, "b": 1, "c": 0} {
		if ids, err := task.Ask(predicate); len(ids) != want || err != nil {
			t.Errorf("%q finds %d objects, error %v; want %d", predicate, len(ids), err, want)
		}
	}
	for predicate, want := range map[string]error{"?": rehearsal.ErrRefused, "dear": rehearsal.ErrTooExpensive} {
		if _, err := task.Ask(predicate); !errors.Is(err, want) {
			t.Errorf("%q: error %v, want %v", predicate, err, want)
		}
	}
	if ids, err := task.Ask("b"); len(ids) != 1 || err != nil || !task.Holds(ids[0]) || task.Holds(sdktest.ID(n+2)) {
		t.Errorf("after the refused ones: %v, %v", ids, err)
	}
}

// TestAForgedIdentityIsNoAnswer, and a refused configuration no start.
func TestAForgedIdentityIsNoAnswer(t *testing.T) {
	task := started(t, 3, index("forges"))
	if _, err := task.Settle(); err != nil {
		t.Fatal(err)
	}
	if _, err := task.Ask("a"); !errors.Is(err, rehearsal.ErrBroke) {
		t.Errorf("a forged identity: error %v", err)
	}
	_, err := rehearsal.Start(index(""), rehearsal.Config{Options: []byte("bad"), MaxResults: 1, Deadline: deadline})
	if !errors.Is(err, rehearsal.ErrConfiguration) {
		t.Errorf("a configuration that is refused: error %v", err)
	}
}

// scripted is a process that answers each frame with what reply returns, and ends if that is nil.
func scripted(reply func(seq uint64) []byte) func() (conformance.Process, error) {
	return func() (conformance.Process, error) {
		in, frames := io.Pipe()
		answers, out := io.Pipe()
		go func() {
			defer out.Close()
			for {
				head := make([]byte, taskwire.HeaderSize)
				if _, err := io.ReadFull(in, head); err != nil {
					return
				}
				h, err := taskwire.DecodeHeader(head)
				if err != nil {
					return
				}
				if _, err := io.CopyN(io.Discard, in, int64(h.Len)); err != nil {
					return
				}
				p := reply(h.Seq)
				if p == nil {
					in.Close()
					return
				}
				if _, err := out.Write(p); err != nil {
					return
				}
			}
		}()
		return pipes{answers, frames, in}, nil
	}
}

type pipes struct {
	io.Reader
	io.WriteCloser
	in *io.PipeReader
}

func (p pipes) Kill() {
	p.in.Close()
	p.Reader.(*io.PipeReader).Close()
}
func (p pipes) Wait() {}

// TestProcessesThatBreakTheProtocol end with an error that says so.
func TestProcessesThatBreakTheProtocol(t *testing.T) {
	found := func(seq uint64, state taskwire.State, ids ...identity.ID) []byte {
		p := taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Found, Len: 1 + 32*len(ids), Seq: seq})
		p = append(p, byte(state))
		for _, id := range ids {
			p = append(p, id[:]...)
		}
		return p
	}
	applied := func(seq uint64) []byte {
		return taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Applied, Seq: seq})
	}
	for name, c := range map[string]struct {
		answer func(seq uint64) []byte
		want   error
	}{
		"an object twice":              {func(seq uint64) []byte { return found(seq, 0, sdktest.ID(0), sdktest.ID(0)) }, rehearsal.ErrBroke},
		"a short page":                 {func(seq uint64) []byte { return found(seq, taskwire.StateMore, sdktest.ID(0)) }, rehearsal.ErrBroke},
		"nothing, and more follows":    {func(seq uint64) []byte { return found(seq, taskwire.StateContinues) }, rehearsal.ErrBroke},
		"an answer to another frame":   {func(seq uint64) []byte { return found(seq-1, 0) }, rehearsal.ErrBroke},
		"a confirmation of the Search": {func(seq uint64) []byte { return append(applied(seq), applied(seq)...) }, rehearsal.ErrBroke},
		"the end":                      {func(uint64) []byte { return nil }, rehearsal.ErrEnded},
		"bytes that are no frame":      {func(uint64) []byte { return []byte("0123456789abcdef") }, rehearsal.ErrBroke},
	} {
		t.Run(name, func(t *testing.T) {
			task := started(t, 1, scripted(func(seq uint64) []byte {
				if seq <= 3 {
					return applied(seq)
				}
				return c.answer(seq)
			}))
			if _, err := task.Settle(); err != nil {
				t.Fatal(err)
			}
			if ids, err := task.Ask("a"); !errors.Is(err, c.want) {
				t.Errorf("the answer is %d objects, error %v; want %v", len(ids), err, c.want)
			}
		})
	}
}

// TestASlowProcessIsEnded at its deadline.
func TestASlowProcessIsEnded(t *testing.T) {
	task, err := rehearsal.Start(scripted(func(seq uint64) []byte {
		if seq == 1 {
			return taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Applied, Seq: 1})
		}
		return []byte{}
	}), rehearsal.Config{MaxResults: 1, Deadline: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer task.Close()
	if ids, err := task.Ask("a"); !errors.Is(err, rehearsal.ErrLate) {
		t.Errorf("the answer is %d objects, error %v", len(ids), err)
	}
}

// A program that compares executables starts them with package confined, in their confinement.
func ExampleTask_Ask() {
	task, err := rehearsal.Start(index(""), rehearsal.Config{MaxResults: 10, Deadline: deadline})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer task.Close()
	for i, text := range []string{"tea", "milk", "tea"} {
		if err := task.Insert(sdktest.ID(i), []byte(text)); err != nil {
			fmt.Println(err)
			return
		}
	}
	if _, err := task.Settle(); err != nil {
		fmt.Println(err)
		return
	}
	ids, err := task.Ask("tea")
	fmt.Println(len(ids), err)
	// Output: 2 <nil>
}
