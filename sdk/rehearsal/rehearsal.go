// Package rehearsal runs the executable of a Task on a copy of an index: it feeds a process the
// objects, and asks it predicates, as the Core does. No server takes part.
//
// Guarantees:
//
//  1. [Task.Ask] returns an identity only if it was inserted, and each one once, or an error: a
//     process that breaks the protocol is not asked again.
//  2. A process that neither takes a frame nor sends one within the deadline is ended.
//
// It checks only what a comparison of answers needs. Package conformance checks all of the protocol.
package rehearsal

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/sdk/conformance"
)

// Errors of a process.
var (
	ErrConfiguration = errors.New("the executable does not accept the configuration")
	ErrRefused       = errors.New("the predicate is not understood")
	ErrTooExpensive  = errors.New("the predicate takes too much work")
	ErrBroke         = errors.New("the executable broke the protocol: 'motte task test' says more")
	ErrEnded         = errors.New("the process ended, or closed its channel")
	ErrLate          = errors.New("the process missed the deadline, and was ended")
)

// Config is the configuration of an index, and its limits.
type Config struct {
	Type       model.DataType
	Ordered    bool
	Options    []byte // in the format of the Task
	MaxResults uint32 // identities in one answer
	Deadline   time.Duration
}

// window is the number of Inserts that may be sent and not confirmed.
const window = 512

// owner is the alias of all objects: a client does not see who put them.
const owner taskwire.Owner = 1

// Task is a process of a Task that holds a copy of an index. It is not safe for concurrent use.
type Task struct {
	process conformance.Process
	config  Config
	answers chan incoming
	timer   *time.Timer // ends the process; it runs while the process has something to do
	late    atomic.Bool // the timer ended the process

	seq     uint64
	applied uint64
	refused uint64
	held    map[identity.ID]bool
}

// incoming is a frame of the process, or the end of the channel.
type incoming struct {
	answer taskwire.Answer
	err    error
}

// Start starts a process, and gives it its configuration. The caller must close the result.
func Start(start func() (conformance.Process, error), c Config) (*Task, error) {
	p, err := start()
	if err != nil {
		return nil, fmt.Errorf("start the executable: %w", err)
	}
	t := &Task{process: p, config: c, answers: make(chan incoming, 4*window), held: make(map[identity.ID]bool)}
	t.timer = time.AfterFunc(c.Deadline, func() {
		t.late.Store(true)
		p.Kill()
	})
	t.timer.Stop()
	go t.receive()
	t.seq++
	err = t.write(taskwire.AppendConfigure(nil, t.seq, &taskwire.Configuration{Type: c.Type, Ordered: c.Ordered,
		MaxResults: c.MaxResults, Config: c.Options}))
	if err == nil {
		err = t.settle()
	}
	if err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// receive passes frames on until the channel ends. A process that sends more than was asked fills
// the channel, and is ended at its deadline.
func (t *Task) receive() {
	defer close(t.answers)
	in := bufio.NewReaderSize(t.process, 256<<10)
	buf := make([]byte, taskwire.MaxAnswerFrame)
	for {
		a, err := taskwire.ReadAnswer(in, buf)
		t.answers <- incoming{a, err}
		if err != nil {
			return
		}
	}
}

// Close ends the process.
func (t *Task) Close() {
	t.timer.Stop()
	t.process.Kill()
	t.process.Close()
	for range t.answers { // until receive has ended
	}
	t.process.Wait()
}

// Insert feeds an object. The process may confirm it later: see Settle.
func (t *Task) Insert(id identity.ID, input []byte) error {
	for t.seq-t.applied >= window {
		if _, err := t.next(); err != nil {
			return err
		}
	}
	t.seq++
	t.held[id] = true
	return t.write(append(taskwire.AppendInsertHead(nil, t.seq, t.seq, id, owner, len(input)), input...))
}

// Settle waits until all objects are confirmed. It returns how many inputs the process refused.
func (t *Task) Settle() (refused uint64, err error) {
	err = t.settle()
	return t.refused, err
}

func (t *Task) settle() error {
	for t.applied < t.seq {
		if _, err := t.next(); err != nil {
			return err
		}
	}
	return nil
}

// Holds reports whether an object is part of the copy.
func (t *Task) Holds(id identity.ID) bool { return t.held[id] }

// Ask asks a predicate, page by page, and returns the whole answer in the order of the Task. After an
// error other than ErrRefused and ErrTooExpensive the process must not be asked again.
func (t *Task) Ask(predicate string) (all []identity.ID, err error) {
	seen := make(map[identity.ID]bool)
	q := taskwire.Query{Limit: t.config.MaxResults, Owner: taskwire.AllOwners, Predicate: []byte(predicate)}
	for {
		page, more, err := t.page(&q)
		if err != nil {
			return nil, err
		}
		for _, id := range page {
			if seen[id] || !t.held[id] {
				return nil, fmt.Errorf("%w: it named %x, which it %s", ErrBroke, id, map[bool]string{true: "named before", false: "does not hold"}[seen[id]])
			}
			seen[id] = true
		}
		all = append(all, page...)
		if !more {
			return all, nil
		}
		q.After = slices.Clone(page[max(0, len(page)-model.MaxAfter):])
		slices.Reverse(q.After)
	}
}

// page asks for one page.
func (t *Task) page(q *taskwire.Query) (page []identity.ID, more bool, err error) {
	t.seq++
	if err := t.write(taskwire.AppendSearch(nil, t.seq, q)); err != nil {
		return nil, false, err
	}
	for {
		a, err := t.next()
		switch {
		case err != nil:
			return nil, false, err
		case a.Type == taskwire.Failed && len(page) == 0 && a.Failure == taskwire.FailQuery:
			t.applied = t.seq
			return nil, false, ErrRefused
		case a.Type == taskwire.Failed && len(page) == 0 && a.Failure == taskwire.FailExpensive:
			t.applied = t.seq
			return nil, false, ErrTooExpensive
		case a.Type != taskwire.Found || a.Seq != t.seq:
			return nil, false, fmt.Errorf("%w: a frame of type %d does not answer a Search", ErrBroke, a.Type)
		}
		page = append(page, a.Found...)
		short := a.State == taskwire.StateMore && uint64(len(page)) != uint64(q.Limit)
		if uint64(len(page)) > uint64(q.Limit) || short || a.State == taskwire.StateContinues && len(a.Found) == 0 {
			return nil, false, fmt.Errorf("%w: %d identities in an answer of at most %d", ErrBroke, len(page), q.Limit)
		}
		if a.State != taskwire.StateContinues {
			t.applied = t.seq
			return page, a.State == taskwire.StateMore, nil
		}
	}
}

// next takes the next frame, and notes what it confirms.
func (t *Task) next() (a taskwire.Answer, err error) {
	t.timer.Reset(t.config.Deadline)
	in, open := <-t.answers
	t.timer.Stop()
	switch {
	case t.late.Load():
		return a, ErrLate
	case errors.Is(in.err, codec.ErrMalformed):
		return a, fmt.Errorf("%w: it sent bytes that are no frame", ErrBroke)
	case !open, in.err != nil:
		return a, ErrEnded
	}
	a = in.answer
	switch {
	case a.Type == taskwire.Failed && a.Failure == taskwire.FailConfiguration && t.applied == 0:
		return a, ErrConfiguration
	case a.Type == taskwire.Failed && a.Failure == taskwire.FailInput && a.Seq > t.applied && a.Seq <= t.seq:
		t.refused++
	case a.Type == taskwire.Applied && a.Seq > t.applied && a.Seq <= t.seq:
		t.applied = a.Seq
	case a.Type == taskwire.Applied:
		return a, fmt.Errorf("%w: it confirms frame %d, and %d of %d were confirmed before", ErrBroke, a.Seq, t.applied, t.seq)
	}
	return a, nil
}

// write sends a frame.
func (t *Task) write(frame []byte) error {
	t.timer.Reset(t.config.Deadline)
	defer t.timer.Stop()
	if _, err := t.process.Write(frame); err == nil {
		return nil
	}
	if t.late.Load() {
		return ErrLate
	}
	return ErrEnded
}
