package server

import (
	"slices"
	"strings"

	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/taskwire"
	"motte/internal/faketask"
)

// simTask is a Task's process. It keeps its input, and finds inputs that begin with the
// predicate. A hostile Task gives any answer.
type simTask struct {
	*faketask.Keeper
	instance uint64
	net      *simConn // nil: the Task is not started
	in       []byte
	hostile  bool
}

// host handles a message of the Core to the host.
func (s *sim) host(message hostwire.Message) {
	switch m := message.(type) {
	case hostwire.StartTask:
		s.note("to start Task %d", m.Instance)
		s.fakes = append(s.fakes, &simTask{instance: m.Instance, Keeper: faketask.NewKeeper(s.rng)})
	case hostwire.StopTask:
		s.note("to stop Task %d", m.Instance)
		s.fakes = slices.DeleteFunc(s.fakes, func(k *simTask) bool { return k.instance == m.Instance })
	}
}

// randomTask lets a Task start, work, misbehave or end.
func (s *sim) randomTask() {
	if len(s.fakes) == 0 {
		return
	}
	k := s.fakes[s.rng.IntN(len(s.fakes))]
	switch {
	case k.net == nil && s.chance(90):
		s.startFake(k)
	case s.chance(2):
		s.endFake(k)
	case k.net == nil:
	case k.hostile && s.chance(25):
		s.note("Task %d lies", k.instance)
		k.net.send(s.lie())
	default:
		s.workFake(k, 1+s.rng.IntN(12))
	}
	s.rest()
}

// startFake acts like readHost after the start of a Task.
func (s *sim) startFake(k *simTask) {
	sh := s.server
	k.net, k.hostile = newSimConn(), s.hostile && s.chance(40)
	s.note("Task %d starts, hostile %v", k.instance, k.hostile)
	s.events.put(func(*engine.Engine) { sh.startTask(k.instance, k.net) })
}

// endFake acts like readHost after the end of a Task.
func (s *sim) endFake(k *simTask) {
	s.note("Task %d ends", k.instance)
	if s.fakes = slices.DeleteFunc(s.fakes, func(j *simTask) bool { return j == k }); k.net != nil {
		_ = k.net.end(&k.net.eof)
		s.rest()
	}
	sh := s.server
	s.events.put(func(*engine.Engine) { sh.endTask(k.instance) })
}

// workFake lets a Task handle at most n frames.
func (s *sim) workFake(k *simTask, n int) bool {
	var answers []byte
	for k.in = append(k.in, k.net.take()...); n > 0 && len(k.in) >= taskwire.HeaderSize; n-- {
		h, err := taskwire.DecodeHeader(k.in[:taskwire.HeaderSize])
		if err != nil || len(k.in) < taskwire.HeaderSize+h.Len {
			s.fail("the Core sent a Task a bad frame: %v", err)
		}
		p := k.in[taskwire.HeaderSize:][:h.Len]
		k.in = k.in[taskwire.HeaderSize+h.Len:]
		s.note("Task %d: frame %d of type %d", k.instance, h.Seq, h.Type)
		answers = append(answers, k.handle(h, p)...)
	}
	if len(answers) > 0 {
		k.net.send(answers) // in one write, however fast they are read
	}
	return len(answers) > 0
}

// handle is the reaction of an honest Task to a frame.
func (k *simTask) handle(h taskwire.Header, p []byte) []byte {
	switch h.Type {
	case taskwire.Insert:
		id, owner, input := faketask.ReadInsert(p)
		k.Change(id.Value(), faketask.Entry{ID: id, Owner: owner, Input: string(input)})
	case taskwire.Remove:
		k.Change(identity.ID(p[8:40]).Value(), faketask.Entry{})
	case taskwire.Search:
		q := faketask.ReadSearch(p)
		var match []identity.ID
		for _, o := range k.Held {
			hinted := q.Owner == taskwire.AllOwners || q.Owner == o.Owner
			if strings.HasPrefix(o.Input, string(q.Predicate)) && hinted && !o.Void {
				match = append(match, o.ID)
			}
		}
		slices.SortFunc(match, identity.ID.Compare)
		return faketask.AppendAnswer(nil, faketask.Answer(h.Seq, q, match))
	}
	if a, ok := k.Shelf(h, p); ok {
		return faketask.AppendAnswer(nil, a)
	}
	return taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Applied, Seq: h.Seq})
}

// lie invents an answer from data that a Task could know or guess.
func (s *sim) lie() []byte {
	seq := s.rng.Uint64N(30)
	switch s.rng.IntN(9) {
	case 0:
		return taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Applied, Seq: seq})
	case 1:
		return append(taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Failed, Len: 1, Seq: seq}), byte(1+s.rng.IntN(5)))
	case 2:
		p := make([]byte, s.rng.IntN(60))
		s.random(p)
		return p
	case 3, 4:
		a := taskwire.Answer{Type: taskwire.Blob, Seq: seq, Number: s.rng.Uint64N(9), Blob: make([]byte, 1+s.rng.IntN(60))}
		s.random(a.Blob)
		return faketask.AppendAnswer(nil, a)
	case 5:
		a := taskwire.Answer{Type: taskwire.Set, Seq: seq, Changed: s.chance(50)}
		if a.Changed && s.chance(50) {
			a.Dropped = []uint64{s.rng.Uint64N(9)}
		}
		return faketask.AppendAnswer(nil, a)
	case 6:
		a := taskwire.Answer{Type: taskwire.Differ + taskwire.Type(s.rng.IntN(2)), Seq: seq, Bits: []byte{byte(s.rng.IntN(2) << 7)}}
		return faketask.AppendAnswer(nil, a)
	}
	var ids []identity.ID
	for _, g := range s.model.groups {
		if id := g.records[0].ID; s.rng.IntN(30) == 0 && id != (identity.ID{}) {
			ids = append(ids, id)
		}
	}
	return faketask.AppendAnswer(nil, taskwire.Answer{Type: taskwire.Found, Seq: seq,
		State: taskwire.State(max(0, s.rng.IntN(10)-7)), Found: ids})
}
