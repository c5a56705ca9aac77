package sdk

import (
	"encoding/binary"
	"runtime/debug"
)

// loading restores the records of blobs. Many of them are changes, whose values lie far apart. So it
// gathers records by the first bits of their values, and then restores one group after the other: what
// a group needs of the index fits the processor's caches. Records of one value keep their order.
type loading struct {
	index   Keeper
	held    *held
	groups  [1 << groupBits][]byte // records, each: number v | identity 32 | owner 8 | data
	bytes   int                    // of all groups
	most    int                    // bytes, beyond which the groups are restored
	called  bool                   // Restore was called
	refused map[Value]bool         // the last entry of this value was not restored
	removal [1]Change
}

// groupBits is the number of bits of a value that determine its group.
const groupBits = 10

// Bytes of gathered records. The groups take up to twice as many, beside an index that takes several
// times more. A small memory must have room for them, too.
const (
	mostGathered = 256 << 20
	gatheredPart = 16 // of the memory
)

func newLoading(x Keeper, h *held) *loading {
	memory := debug.SetMemoryLimit(-1) // reads the limit
	return &loading{index: x, held: h, most: int(min(mostGathered, memory/gatheredPart)), refused: make(map[Value]bool)}
}

// add takes the next record of an earlier process. A later record of the same value replaces it.
func (l *loading) add(r *record) {
	g := &l.groups[binary.BigEndian.Uint16(r.Identity[:])>>(16-groupBits)]
	before := len(*g)
	*g = binary.AppendUvarint(*g, r.kind+uint64(len(r.Data)))
	*g = append(*g, r.Identity[:]...)
	*g = binary.BigEndian.AppendUint64(*g, uint64(r.Owner))
	*g = append(*g, r.Data...)
	if l.bytes += len(*g) - before; l.bytes > l.most {
		l.flush()
	}
}

// flush restores all records that were added. The index gets them in a goroutine of its own.
func (l *loading) flush() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range l.groups {
			each(l.groups[i], l.restore)
		}
	}()
	for i := range l.groups {
		each(l.groups[i], l.held.record)
	}
	<-done
	for i := range l.groups {
		l.groups[i] = l.groups[i][:0]
	}
	l.bytes = 0
}

// each visits the records of a group. Their data alias it.
func each(group []byte, visit func(*record)) {
	var r record
	for len(group) > 0 {
		n, width := binary.Uvarint(group)
		r.kind = min(n, recordEntry)
		group = group[width:]
		group = group[copy(r.Identity[:], group):]
		r.Owner, group = Owner(binary.BigEndian.Uint64(group)), group[8:]
		size := n - r.kind
		r.Data, group = group[:size:size], group[size:]
		visit(&r)
	}
}

// restore restores a record in the index.
func (l *loading) restore(r *record) {
	if r.kind != recordEntry {
		l.removal[0] = Change{Identity: r.Identity, Remove: true}
		l.index.Apply(l.removal[:])
		return
	}
	l.called = true
	switch {
	case !l.index.Restore(r.Entry):
		l.refused[r.Identity.Value()] = true
	case len(l.refused) > 0:
		delete(l.refused, r.Identity.Value())
	}
}
