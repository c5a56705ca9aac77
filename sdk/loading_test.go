package sdk

import (
	"iter"
	"maps"
	"math/rand/v2"
	"testing"
)

// kept is a Keeper that holds the entries that it was given. It refuses entries without data.
type kept map[Value]string

func (x kept) Configure(Config) error { return nil }

func (x kept) Apply(changes []Change) {
	for i := range changes {
		delete(x, changes[i].Identity.Value())
	}
}

func (x kept) Search(Query) (iter.Seq[Identity], error) { return nil, nil }

func (x kept) Entry(v Value) (Entry, bool) { return Entry{Data: []byte(x[v])}, true }

func (x kept) Restore(e Entry) bool {
	v := e.Identity.Value()
	if delete(x, v); len(e.Data) > 0 {
		x[v] = string(e.Data)
	}
	return len(e.Data) > 0
}

// TestTheLastRecordOfAValueCounts, whatever other records come in between, and however many are
// gathered before they are restored.
func TestTheLastRecordOfAValueCounts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, most := range []int{0, 1000, 1 << 20} {
		x, want, h := kept{}, kept{}, &held{}
		l := newLoading(x, h)
		l.most = most
		for range 20_000 {
			r := record{kind: uint64(random.IntN(3))}
			n := random.IntN(500)
			r.Identity[0], r.Identity[1], r.Identity[31] = byte(n), byte(n>>8), byte(random.IntN(256))
			delete(want, r.Identity.Value())
			if r.kind == recordEntry {
				for range random.IntN(5) {
					r.Data = append(r.Data, byte(random.IntN(256)))
				}
				if len(r.Data) > 0 {
					want[r.Identity.Value()] = string(r.Data)
				}
			}
			l.add(&r)
		}
		<-l.flush()
		if len(want) < 100 || !maps.Equal(x, want) {
			t.Errorf("with %d bytes: the index has %d entries; want %d", most, len(x), len(want))
		}
		for v := range l.refused {
			h.entries.drop(&v)
		}
		for v := range want {
			if !h.entries.has(&v) {
				t.Errorf("with %d bytes: the entry %x is not held", most, v)
			}
		}
		if n := h.entries.count; n != len(want) {
			t.Errorf("with %d bytes: %d entries are held; want %d", most, n, len(want))
		}
	}
}
