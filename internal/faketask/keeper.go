package faketask

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/taskwire"
)

// Entry is what a Keeper holds of an object.
type Entry struct {
	ID    identity.ID
	Owner taskwire.Owner
	Input string
	Void  bool // the object has no input, or it was refused
	Gone  bool // on the shelf only: an earlier blob has an entry that was removed since
}

// Keeper is the memory of an honest Task with a shelf. It saves in small blobs: the entries that
// changed since the last saving, or now and then all of them.
type Keeper struct {
	Held map[identity.Value]Entry
	Calm bool // it saves each change once, one in each blob, and never changes its mind

	rng     *rand.Rand
	changed map[identity.Value]bool // since the last saving
	numbers []uint64                // blobs on the shelf
	last    uint64                  // the highest number of a blob
	saving  [][]Entry               // blobs of this saving that are not sent
	sent    []uint64                // those that are sent
	drop    []uint64                // numbers that its Set will name
	active  bool
	began   bool           // a Runs came
	reached identity.Value // the last value of the newest Runs
}

// NewKeeper returns a Keeper without entries. The choices come from rng.
func NewKeeper(rng *rand.Rand) *Keeper {
	return &Keeper{Held: make(map[identity.Value]Entry), rng: rng, changed: make(map[identity.Value]bool)}
}

// Change makes a change: an entry in place of that under the same value, or without an entry.
func (k *Keeper) Change(v identity.Value, e Entry) {
	k.changed[v] = true
	if delete(k.Held, v); e.ID != (identity.ID{}) {
		k.Held[v] = e
	}
}

// Shelf answers a frame of the shelf. It returns false if the frame is another one.
func (k *Keeper) Shelf(h taskwire.Header, p []byte) (a taskwire.Answer, ok bool) {
	r := codec.NewReader(p)
	switch h.Type {
	case taskwire.Void:
		id := identity.ID(p[8:])
		k.Change(id.Value(), Entry{ID: id, Void: true})
		return taskwire.Answer{Type: taskwire.Applied, Seq: h.Seq}, true
	case taskwire.Stored:
		k.load(r.U64(), r.Rest())
		return taskwire.Answer{Type: taskwire.Applied, Seq: h.Seq}, true
	case taskwire.Save:
		a = k.save(int(r.U32()), r.Bool())
	case taskwire.Runs:
		a = k.compare(p)
	case taskwire.List:
		a = k.list(p)
	default:
		return a, false
	}
	a.Seq = h.Seq
	return a, true
}

// Numbers returns the numbers of the blobs of the last Set.
func (k *Keeper) Numbers() []uint64 { return slices.Clone(k.numbers) }

// load takes a blob back.
func (k *Keeper) load(number uint64, blob []byte) {
	k.numbers, k.last = append(k.numbers, number), number
	for _, e := range Entries(blob) {
		if k.Held[e.ID.Value()] = e; e.Gone {
			delete(k.Held, e.ID.Value())
		}
	}
}

// Entries decodes a blob.
func Entries(blob []byte) (list []Entry) {
	for r := codec.NewReader(blob); r.Len() > 0; {
		var e Entry
		r.Copy(e.ID[:])
		e.Owner, e.Void, e.Gone = taskwire.Owner(r.U64()), r.Bool(), r.Bool()
		e.Input = string(r.Take(int(r.U32())))
		list = append(list, e)
	}
	return list
}

// encode makes a blob.
func encode(list []Entry) []byte {
	var w codec.Writer
	for _, e := range list {
		w = w.Bytes(e.ID[:]).U64(uint64(e.Owner)).Bool(e.Void).Bool(e.Gone).U32(uint32(len(e.Input))).Bytes([]byte(e.Input))
	}
	return w
}

// save takes one step of a saving.
func (k *Keeper) save(room int, anew bool) taskwire.Answer {
	if anew {
		k.active, k.numbers, k.sent = false, nil, nil
	}
	if !k.active {
		k.begin(anew)
	}
	if len(k.saving) > 0 {
		if blob := encode(k.saving[0]); len(blob) <= room {
			k.saving = k.saving[1:]
			k.last += 1 + k.rng.Uint64N(3)
			k.sent = append(k.sent, k.last)
			return taskwire.Answer{Type: taskwire.Blob, Number: k.last, Blob: blob}
		}
	}
	k.active = false
	if len(k.sent) == 0 || !k.Calm && k.rng.IntN(8) == 0 { // it changed its mind
		clear(k.changed)
		for v := range k.Held {
			k.changed[v] = true
		}
		return taskwire.Answer{Type: taskwire.Set}
	}
	k.numbers = slices.DeleteFunc(k.numbers, func(n uint64) bool { return slices.Contains(k.drop, n) })
	k.numbers = append(k.numbers, k.sent...)
	return taskwire.Answer{Type: taskwire.Set, Changed: true, Dropped: k.drop}
}

// begin decides what to save: the changes, or everything in place of all older blobs.
func (k *Keeper) begin(anew bool) {
	k.active, k.saving, k.sent, k.drop = true, nil, nil, nil
	values := slices.Collect(maps.Keys(k.changed))
	if anew || !k.Calm && k.rng.IntN(4) == 0 {
		values, k.drop = slices.Collect(maps.Keys(k.Held)), slices.Clone(k.numbers)
	}
	slices.SortFunc(values, func(a, b identity.Value) int { return bytes.Compare(a[:], b[:]) })
	clear(k.changed)
	most := 1
	if !k.Calm {
		most += k.rng.IntN(4)
	}
	for part := range slices.Chunk(values, most) {
		var list []Entry
		for _, v := range part {
			e, held := k.Held[v]
			if !held {
				e = Entry{Gone: true}
				copy(e.ID[:], v[:])
			}
			list = append(list, e)
		}
		k.saving = append(k.saving, list)
	}
}

// compare answers a Runs. The first range begins after the last one of the Runs before, so the
// Keeper counts from the lowest value that is possible.
func (k *Keeper) compare(p []byte) taskwire.Answer {
	const size = identity.ValueSize + 20
	runs := slices.Collect(slices.Chunk(p, size))
	counts, sums := make([]uint32, len(runs)), make([]taskwire.Sum, len(runs))
	for v, e := range k.Held {
		i, _ := slices.BinarySearchFunc(runs, v, func(run []byte, v identity.Value) int { return bytes.Compare(run[:16], v[:]) })
		if i < len(runs) && (i > 0 || !k.before(v)) {
			counts[i]++
			sums[i].Add(&e.ID)
		}
	}
	a := taskwire.Answer{Type: taskwire.Differ, Bits: make([]byte, (len(runs)+7)/8)}
	for i, run := range runs {
		r := codec.NewReader(run[16:])
		if r.U32() != counts[i] || r.U64() != sums[i][0] || r.U64() != sums[i][1] {
			a.Bits[i/8] |= 0x80 >> (i % 8)
		}
	}
	copy(k.reached[:], runs[len(runs)-1][:16])
	k.began = true
	return a
}

// before reports whether a value belongs to the ranges of an earlier Runs.
func (k *Keeper) before(v identity.Value) bool {
	return k.began && bytes.Compare(v[:], k.reached[:]) <= 0
}

// list answers a List.
func (k *Keeper) list(p []byte) taskwire.Answer {
	first, last := identity.Value(p[:16]), identity.Value(p[16:32])
	listed := make(map[identity.Value]bool)
	ids := slices.Collect(slices.Chunk(p[32:], identity.Size))
	a := taskwire.Answer{Type: taskwire.Lacks, Bits: make([]byte, (len(ids)+7)/8)}
	for i, p := range ids {
		id := identity.ID(p)
		listed[id.Value()] = true
		if k.Held[id.Value()].ID != id {
			a.Bits[i/8] |= 0x80 >> (i % 8)
		}
	}
	for v := range k.Held {
		if bytes.Compare(first[:], v[:]) <= 0 && bytes.Compare(v[:], last[:]) <= 0 && !listed[v] {
			k.Change(v, Entry{})
		}
	}
	return a
}
