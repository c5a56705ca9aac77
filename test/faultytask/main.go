// Command faultytask is a Task that breaks one rule of the Task protocol: that which its
// configuration names. With the configuration "honest" it breaks none. With that of a
// peculiarity it does what the protocol allows, and few Tasks do. The tests of the conformance
// suite show with it that each rule is checked, and no more.
//
// It finds the inputs that are equal to the predicate; the predicate "*" finds all. It names
// them in the order of their bytes. It refuses inputs that begin with "!", and predicates that
// begin with "?".
package main

import (
	"encoding/binary"
	"io"
	"os"
	"strings"
	"time"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/internal/faketask"
)

// readSize bounds one read.
const readSize = 256 << 10

func main() {
	t := &task{channel: os.NewFile(3, "channel"), held: make(map[identity.Value][]entry)}
	if t.serve() == io.EOF && t.is("lives on after the end of the channel") {
		for {
			time.Sleep(time.Hour)
		}
	}
}

// task is the Task.
type task struct {
	channel *os.File
	fault   string
	in      []byte // bytes that were read, and not handled
	out     []byte // frames to be written
	held    map[identity.Value][]entry
	answers int

	seq     uint64   // of the last frame
	applied uint64   // the last change that is done
	told    uint64   // the last Applied
	lsn     uint64   // of the last change
	later   []func() // answers that wait for the end of the batch

	shelf   shelf
	reached identity.Value // by the Runs so far
}

// is reports whether the Task has this fault. Commas are between peculiarities.
func (t *task) is(fault string) bool {
	return t.fault == fault || strings.Contains(", "+t.fault+",", ", "+fault+",")
}

// serve reads batches of frames, and handles them.
func (t *task) serve() error {
	buf := make([]byte, readSize)
	for {
		n, err := t.channel.Read(buf)
		if err != nil {
			return err
		}
		t.in = append(t.in, buf[:n]...)
		for t.frame() {
			if t.is("confirms each frame by itself") {
				t.flush()
			}
			if t.is("handles one frame of a read") {
				t.in = nil
			}
		}
		if len(t.in) > 0 && t.is("takes a read for a frame") || len(t.in) > readSize && t.is("has a short buffer") {
			return io.ErrUnexpectedEOF
		}
		t.flush()
	}
}

// frame handles the next frame, if all of it was read.
func (t *task) frame() bool {
	if len(t.in) < taskwire.HeaderSize {
		return false
	}
	h, err := taskwire.DecodeHeader(t.in[:taskwire.HeaderSize])
	if err != nil {
		os.Exit(1)
	}
	end := taskwire.HeaderSize + h.Len
	if len(t.in) < end {
		return false
	}
	payload := t.in[taskwire.HeaderSize:end]
	t.seq = h.Seq
	switch h.Type {
	case taskwire.Configure:
		t.configure(payload)
	case taskwire.Insert:
		t.insert(payload)
	case taskwire.Remove:
		t.remove(payload)
	case taskwire.Search:
		t.search(faketask.ReadSearch(payload))
	default:
		t.shelve(h.Type, payload)
	}
	t.in = t.in[end:]
	return true
}

// configureHead is the length of the fixed part of a Configure.
const configureHead = 14

// refusePrefix begins a configuration that the Task refuses.
const refusePrefix = "refuse: "

func (t *task) configure(payload []byte) {
	text := string(payload[configureHead:])
	t.shelf.quota = binary.BigEndian.Uint64(payload[configureHead-8:])
	fault, refuses := strings.CutPrefix(text, refusePrefix)
	t.fault = strings.TrimRight(fault, "a") // the suite makes a long configuration of a short one
	switch {
	case refuses && !t.is("accepts every configuration"):
		t.fail(taskwire.FailConfiguration)
		return
	case t.is("ends at a long configuration") && len(text) > readSize:
		os.Exit(1)
	case t.is("ends at the start"):
		os.Exit(1)
	case t.is("confirms nothing"):
		return
	case t.is("confirms too much"):
		t.seq++
	case t.is("refuses its configuration"):
		t.fail(taskwire.FailConfiguration)
		return
	}
	t.applied = t.seq
}

// flush writes the frames of a batch, and then confirms its changes.
func (t *task) flush() {
	answers := t.later
	t.later = nil
	if t.is("answers in another order") {
		for i := range answers {
			answers[len(answers)-1-i]()
		}
		answers = nil
	}
	if t.is("confirms before it answers") {
		frames := t.out
		t.out = nil
		t.confirm()
		t.out = append(t.out, frames...)
	}
	for _, answer := range answers {
		answer()
	}
	t.confirm()
	t.write(t.out)
	t.out = t.out[:0]
}

// slowBytes bounds the bytes that are written one by one.
const slowBytes = 4000

func (t *task) write(p []byte) {
	if !t.is("writes byte by byte") || len(p) > slowBytes {
		_, _ = t.channel.Write(p)
		return
	}
	for i := range p {
		_, _ = t.channel.Write(p[i : i+1])
	}
}

// confirm confirms the changes that are done.
func (t *task) confirm() {
	if t.applied <= t.told || t.is("confirms no lone change") && t.applied == t.told+1 && t.told > 0 {
		return
	}
	t.told = t.applied
	if t.is("confirms with the number of a Search") {
		t.told = t.seq
	}
	t.send(taskwire.Applied, t.told, nil)
	if t.is("confirms twice") {
		t.send(taskwire.Applied, t.told, nil)
	}
}

// send appends a frame to those that are to be written.
func (t *task) send(kind taskwire.Type, seq uint64, payload []byte) {
	if t.is("sends an unknown type") {
		kind = 99
	}
	at := len(t.out)
	t.out = append(taskwire.AppendHeader(t.out, taskwire.Header{Type: kind, Len: len(payload), Seq: seq}), payload...)
	if t.is("sends text") {
		t.out = append(t.out[:at], "ready, and waiting for frames\n"...)
	}
}

func (t *task) fail(f taskwire.Failure) { t.send(taskwire.Failed, t.seq, []byte{byte(f)}) }
