package engine

import (
	"maps"
	"testing"

	"motte/core/hostwire"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// numbers returns the numbers of all indexes by name, from the status of an administrator. The
// host must get the same numbers.
func (w *world) numbers() map[string]uint64 {
	w.t.Helper()
	shown, told := make(map[string]uint64), make(map[uint64]bool)
	for _, s := range w.statusOf(admin).Indexes {
		shown[s.Index] = uint64(s.Number)
	}
	for _, m := range w.e.Indexes() {
		number := uint64(m.(hostwire.Index).Index)
		if told[number] {
			w.t.Fatalf("the host is told %+v, after %v", m, told)
		}
		told[number] = true
	}
	for name, n := range shown {
		if !told[n] || len(told) != len(shown) {
			w.t.Fatalf("index %s has number %d, and the host is told %v", name, n, told)
		}
	}
	return shown
}

func (w *world) createIndex(name string) {
	w.must(admin, wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: name, Name: []byte("fake")}, model.OK)
}

// TestAnIndexKeepsItsNumberForGood: across starts, from the log and from a checkpoint. No other
// index gets it, even after the newest index is dropped.
func TestAnIndexKeepsItsNumberForGood(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "first", 0)
	w.createIndex("second")
	w.createIndex("third")
	w.must(admin, wire.Request{Op: model.OpDropIndex, Collection: "c", Index: "third"}, model.OK)
	before := w.numbers()
	if before["first"] == 0 || before["second"] <= before["first"] {
		t.Fatalf("the numbers are %v, want two different ones", before)
	}
	for name, e := range map[string]*Engine{"the log": w.replay(nil), "a checkpoint": w.replay(w.checkpoint())} {
		w.start(e)
		w.settle()
		if after := w.numbers(); !maps.Equal(before, after) {
			t.Errorf("started from %s: numbers %v, before %v", name, after, before)
		}
		w.createIndex("fourth")
		if n := w.numbers()["fourth"]; n <= before["second"]+1 {
			t.Errorf("started from %s: the index that was made last has number %d, which the dropped one had", name, n)
		}
		w.must(admin, wire.Request{Op: model.OpDropIndex, Collection: "c", Index: "fourth"}, model.OK)
	}
}

// TestAnIndexFromBeforeNumbersGetsOne: the same at each start, and a checkpoint keeps it.
func TestAnIndexFromBeforeNumbersGetsOne(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "first", 0)
	w.createIndex("second")
	for i := range w.disk {
		if w.disk[i].Kind == seglog.KindCreateIndex {
			n, err := decodeDefinition(w.disk[i].Body)
			if err != nil {
				t.Fatal(err)
			}
			n.number = 0
			w.disk[i].Body = n.record(w.disk[i].Collection).Body
		}
	}
	w.boot()
	w.settle()
	before := w.numbers()
	if before["first"] == 0 || before["second"] == 0 || before["first"] == before["second"] {
		t.Fatalf("the numbers are %v, want two different ones", before)
	}
	for name, e := range map[string]*Engine{"the log": w.replay(nil), "a checkpoint": w.replay(w.checkpoint())} {
		w.start(e)
		w.settle()
		if after := w.numbers(); !maps.Equal(before, after) {
			t.Errorf("started from %s: numbers %v, before %v", name, after, before)
		}
	}
}
