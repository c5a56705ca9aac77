package main

import (
	"encoding/binary"
	"maps"
	"os"
	"slices"

	"motte/core/identity"
	"motte/core/taskwire"
)

// shelf is what the Task keeps for its next process. Each saving writes all entries, and drops
// all blobs of before.
//
// A blob has records: identity 32 | owner 8 | void 1 | length 4 | input.
type shelf struct {
	quota  uint64
	stored bool // blobs came
	serves bool // a Search came
	dirty  bool // something changed since the last Set

	pending []entry  // of the present saving, not written yet
	saving  bool     // between two Sets
	failed  bool     // the present saving can't write everything
	old     []uint64 // numbers of the blobs that count
	recent  []uint64 // numbers since the last Set
	last    uint64
}

// recordHead is the length of a record without its input.
const recordHead = 32 + 8 + 1 + 4

// ignores reports whether the Task ignores the changes before its first Search.
func (t *task) ignores() bool {
	return t.is("ignores changes during the reconciliation") && t.shelf.stored && !t.shelf.serves
}

// shelve handles a frame of the shelf.
func (t *task) shelve(kind taskwire.Type, payload []byte) {
	switch kind {
	case taskwire.Stored:
		t.load(binary.BigEndian.Uint64(payload), payload[8:])
	case taskwire.Save:
		t.save(int(binary.BigEndian.Uint32(payload)), payload[4] == 1)
	case taskwire.Runs:
		t.compare(payload)
	case taskwire.List:
		t.list(payload)
	case taskwire.Void:
		t.applied = t.seq
		t.shelf.dirty = true
		id := identity.ID(payload[8:])
		if v := id.Value(); !t.is("holds what has no input any more") && !t.ignores() {
			t.held[v] = []entry{{id: id, void: true}}
		}
	}
}

func (t *task) load(number uint64, blob []byte) {
	t.applied = t.seq
	s := &t.shelf
	s.stored, s.last = true, number
	if t.is("numbers blobs anew in each process") {
		s.last = 0
	}
	s.old = append(s.old, number)
	for len(blob) > 0 {
		id := identity.ID(blob)
		n := recordHead + int(binary.BigEndian.Uint32(blob[41:]))
		e := entry{id: id, owner: taskwire.Owner(binary.BigEndian.Uint64(blob[32:])), void: blob[40] == 1, input: string(blob[recordHead:n])}
		if t.is("loads other inputs") && e.input == "red" {
			e.input = "green"
		}
		t.held[id.Value()] = []entry{e}
		blob = blob[n:]
	}
}

// save makes one step of a saving.
func (t *task) save(room int, anew bool) {
	s := &t.shelf
	if anew {
		s.dirty, s.saving, s.recent = true, false, nil
		if !t.is("drops blobs that are gone") {
			s.old = nil
		}
	}
	if !s.saving {
		if !s.dirty || t.is("keeps nothing") {
			t.set(taskwire.SetKept, nil)
			return
		}
		s.saving, s.dirty, s.failed, s.pending = true, false, false, nil
		for _, held := range t.held {
			s.pending = append(s.pending, held...)
		}
	}
	var blob []byte
	for len(s.pending) > 0 && (len(blob)+recordHead+len(s.pending[0].input) <= room || t.is("exceeds the room")) {
		blob = appendRecord(blob, s.pending[0])
		s.pending = s.pending[1:]
	}
	switch {
	case len(blob) > 0:
		if s.last++; t.is("skips numbers of blobs") {
			s.last += 1 << 33
		}
		if t.is("repeats the number of a blob") {
			s.last = 1
		}
		s.recent = append(s.recent, s.last)
		t.answerSave(taskwire.Blob, append(binary.BigEndian.AppendUint64(nil, s.last), blob...))
	case t.is("ends at a full shelf") && len(s.pending) > 0:
		os.Exit(1)
	default:
		t.settle()
	}
}

func appendRecord(p []byte, e entry) []byte {
	void := byte(0)
	if e.void {
		void = 1
	}
	p = append(binary.BigEndian.AppendUint64(append(p, e.id[:]...), uint64(e.owner)), void)
	return append(binary.BigEndian.AppendUint32(p, uint32(len(e.input))), e.input...)
}

// settle ends a saving.
func (t *task) settle() {
	s := &t.shelf
	s.saving = false
	if len(s.pending) > 0 { // there is no room for all
		s.dirty, s.recent = true, nil
		t.set(taskwire.SetKept, nil)
		return
	}
	drop := s.old
	if t.is("drops blobs that never were") {
		drop = append(slices.Clone(drop), 1<<40)
	}
	t.set(taskwire.SetChanged, drop)
	s.old, s.recent = s.recent, nil
}

func (t *task) set(state byte, numbers []uint64) {
	p := []byte{state}
	for _, n := range numbers {
		p = binary.BigEndian.AppendUint64(p, n)
	}
	t.answerSave(taskwire.Set, p)
}

func (t *task) answerSave(kind taskwire.Type, payload []byte) {
	if seq := t.seq; t.is("answers a Save too late") {
		t.later = append(t.later, func() { t.send(kind, seq, payload) })
		return
	}
	t.send(kind, t.seq, payload)
}

// compare answers a Runs.
func (t *task) compare(payload []byte) {
	const size = identity.ValueSize + 4 + 16
	ids := t.identities()
	var bits []bool
	for run := range slices.Chunk(payload, size) {
		var sum taskwire.Sum
		n := 0
		for n < len(ids) && !after(ids[n].Value(), identity.Value(run)) {
			n++
		}
		for i := range ids[:n] {
			sum.Add(&ids[i])
		}
		ids = ids[n:]
		equal := n == int(binary.BigEndian.Uint32(run[16:])) && sum[0] == binary.BigEndian.Uint64(run[20:]) && sum[1] == binary.BigEndian.Uint64(run[28:])
		bits = append(bits, !equal && !t.is("says that nothing differs") || t.is("says that all runs differ"))
	}
	t.reached = identity.Value(payload[len(payload)-size:])
	t.answerBits(taskwire.Differ, bits)
}

// identities returns the identities of all entries that no Runs has reached, in the order of their
// values.
func (t *task) identities() (ids []identity.ID) {
	for v, held := range t.held {
		if after(v, t.reached) || t.reached == (identity.Value{}) {
			ids = append(ids, held[0].id)
		}
	}
	slices.SortFunc(ids, identity.ID.Compare)
	return ids
}

func after(a, b identity.Value) bool { return slices.Compare(a[:], b[:]) > 0 }

// list answers a List.
func (t *task) list(payload []byte) {
	first, last := identity.Value(payload), identity.Value(payload[16:])
	listed := make(map[identity.ID]bool)
	var bits []bool
	for p := range slices.Chunk(payload[32:], identity.Size) {
		id := identity.ID(p)
		listed[id] = true
		held := t.held[id.Value()]
		lacks := len(held) == 0 || held[0].id != id
		bits = append(bits, lacks && !t.is("says that it lacks nothing") || t.is("says that it lacks everything"))
	}
	for _, v := range slices.Collect(maps.Keys(t.held)) {
		if !after(first, v) && !after(v, last) && !listed[t.held[v][0].id] && !t.is("holds what is not listed") {
			delete(t.held, v)
			t.shelf.dirty = true
		}
	}
	t.answerBits(taskwire.Lacks, bits)
}

func (t *task) answerBits(kind taskwire.Type, bits []bool) {
	p := make([]byte, (len(bits)+7)/8)
	for i, set := range bits {
		if set {
			p[i/8] |= 0x80 >> (i % 8)
		}
	}
	if t.is("answers with too many bits") {
		p = append(p, 0)
	}
	t.send(kind, t.seq, p)
}
