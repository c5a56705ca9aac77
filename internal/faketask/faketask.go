// Package faketask reads the frames of the Core and answers queries, as an honest Task does. The
// tests of the Core use it for the Tasks of their simulations, and the hostile Task for frames.
package faketask

import (
	"encoding/binary"
	"slices"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/taskwire"
	"motte/sdk"
)

// ReadSearch reads the payload of a Search frame that the Core has made.
func ReadSearch(p []byte) (q taskwire.Query) {
	q.Limit, q.Owner = binary.BigEndian.Uint32(p), taskwire.Owner(binary.BigEndian.Uint64(p[4:]))
	q.After, p = takeIdentities(p[13:], int(p[12]))
	q.Within, q.Predicate = takeIdentities(p[4:], int(binary.BigEndian.Uint32(p)))
	return q
}

func takeIdentities(p []byte, n int) (ids []identity.ID, rest []byte) {
	for id := range slices.Chunk(p[:n*identity.Size], identity.Size) {
		ids = append(ids, identity.ID(id))
	}
	return ids, p[n*identity.Size:]
}

// ReadInsert reads the payload of an Insert frame that the Core has made.
func ReadInsert(p []byte) (id identity.ID, owner taskwire.Owner, input []byte) {
	return identity.ID(p[8:40]), taskwire.Owner(binary.BigEndian.Uint64(p[40:])), p[48:]
}

// Answer returns the answer of an honest Task to a query, if these identities match, in the order
// of the Task. It is FailGone if the Task can't continue.
func Answer(seq uint64, q taskwire.Query, match []identity.ID) taskwire.Answer {
	rest, err := sdk.After(slices.Values(match), q.After)
	if err != nil {
		return taskwire.Answer{Type: taskwire.Failed, Seq: seq, Failure: taskwire.FailGone}
	}
	match = slices.Collect(rest)
	if len(q.Within) > 0 {
		match = slices.DeleteFunc(match, func(id identity.ID) bool { return !slices.Contains(q.Within, id) })
	}
	a := taskwire.Answer{Type: taskwire.Found, Seq: seq, Found: match}
	if len(match) > int(q.Limit) {
		a.Found, a.State = match[:q.Limit], taskwire.StateMore
	}
	return a
}

// AppendAnswer appends the frame of an answer to p.
func AppendAnswer(p []byte, a taskwire.Answer) []byte {
	var w codec.Writer
	switch a.Type {
	case taskwire.Failed:
		w = w.U8(byte(a.Failure))
	case taskwire.Found:
		w = w.U8(byte(a.State))
		for _, id := range a.Found {
			w = w.Bytes(id[:])
		}
	case taskwire.Blob:
		w = w.U64(a.Number).Bytes(a.Blob)
	case taskwire.Set:
		w = w.Bool(a.Changed)
		for _, n := range a.Dropped {
			w = w.U64(n)
		}
	case taskwire.Differ, taskwire.Lacks:
		w = w.Bytes(a.Bits)
	}
	return append(taskwire.AppendHeader(p, taskwire.Header{Type: a.Type, Len: len(w), Seq: a.Seq}), w...)
}
