package sdk

import (
	"encoding/binary"
	"runtime/debug"
)

// loading restores the records of blobs. Many of them are changes, whose values lie far apart, and a
// later record of a value replaces the earlier ones. So it gathers the records in groups, by the first
// bits of their values. Then it sorts one group after the other, and restores the last record of each
// value, in ascending order of the values. So each access to memory is close to the one before.
type loading struct {
	index   Keeper
	held    *held
	groups  [1 << groupBits]group
	count   int            // records in all groups
	bytes   int            // of all groups
	most    int            // bytes, beyond which the groups are restored
	called  bool           // Restore was called
	refused map[Value]bool // the last entry of this value was not restored
	removal [1]Change
	garbage int // percentage that starts a garbage collection otherwise
}

// Bytes of gathered records, at most. The index takes several times more, so its memory has room for
// them.
const (
	mostGathered = 1 << 30
	gatheredPart = 4 // of the memory
)

// loadGarbage is the percentage of garbage that starts a garbage collection while entries are loaded.
// There is little garbage then, and the runtime keeps the limit of memory nevertheless.
const loadGarbage = 200

func newLoading(x Keeper, h *held) *loading {
	memory := debug.SetMemoryLimit(-1) // reads the limit
	return &loading{index: x, held: h, most: int(min(mostGathered, memory/gatheredPart)),
		refused: make(map[Value]bool), garbage: debug.SetGCPercent(loadGarbage)}
}

// add takes the next record of an earlier process.
func (l *loading) add(r *record) {
	first := binary.BigEndian.Uint16(r.Identity[:]) >> (16 - groupBits)
	l.bytes += l.groups[first].add(r)
	l.count++
	if l.bytes > l.most {
		<-l.flush()
	}
}

// groupsAhead is the number of sorted groups that wait for the index, at most. Their lists are used again:
// memory that is new costs more time than the sorting.
const groupsAhead = 4

// flush restores all records that were added. It returns when they are held. The index gets them in a
// goroutine of its own, which closes done at its end.
func (l *loading) flush() (done chan struct{}) {
	done = make(chan struct{})
	sorted, free := make(chan sortedGroup, groupsAhead), make(chan []inGroup, groupsAhead)
	go func() {
		defer close(done)
		for g := range sorted {
			g.each(l.restore)
			select {
			case free <- g.order:
			default:
			}
		}
	}()
	l.held.entries.reserve(l.count)
	var other []inGroup
	for i := range l.groups {
		var list []inGroup
		select {
		case list = <-free:
		default:
		}
		if g := l.groups[i].sort(list, &other); len(g.order) > 0 {
			l.groups[i] = group{}
			sorted <- g
			g.each(l.held.record)
		}
	}
	close(sorted)
	l.count, l.bytes = 0, 0
	return done
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
