package sdk

import "runtime/debug"

// entries saves the entries of a Keeper in a log of blobs.
//
// A sweep goes round all values, in ascending order, again and again. Each blob has the entries
// that have changed, and then further entries at the sweep. When the sweep has gone round once
// since a blob was made, all that the blob holds is in later blobs, so the blob is dropped. The
// sweep goes as far as the changes demand: see sweepFactor.
//
// So the package needs no memory of which blob has which entry, and the next process reads most
// entries in the order of their values.
type entries struct {
	index Keeper
	held  *held
	quota int64

	dirty table // values that have changed since they were last saved
	stale int   // entries on the shelf that have changed since the last blob
	sweep sweep
	due   place // the sweep goes at least to here
	debt  int   // bytes that it must write beyond that; below 0: that it has written too early

	bytes, records int // of late: for the mean size of a record

	out  entriesWriter
	in   entriesReader
	load *loading // until the index has all entries
}

// sweepFactor is the number of bytes that the sweep writes for each byte of changed entries. The
// changes of one circle are then half as large as all entries. So the shelf takes about 1 + 1/2
// times the entries, and 1 + 2 bytes are written for each byte of a change.
const sweepFactor = 2

// dirtyFactor bounds the list of changed values: if more than one in dirtyFactor entries has
// changed, and more than minDirty, the sweep goes round once instead.
const (
	dirtyFactor = 4
	minDirty    = 1024
)

func newEntries(x Keeper, h *held, quota int64) *entries {
	k := &entries{index: x, held: h, quota: quota, dirty: table{untagged: true}, sweep: sweep{end: highest}}
	k.anew()
	return k
}

// anew makes the sweep go round once. So it comes to all values, and none is dirty.
func (k *entries) anew() {
	k.due = place{k.sweep.at.circle + 1, k.sweep.at.value}
	k.dirty.clear()
	k.stale, k.debt = 0, 0
}

func (k *entries) changed(v *Value, had bool) {
	comes := place{k.sweep.at.circle, *v}
	if comes.before(k.sweep.at) {
		comes.circle++
	} else if lessValue(&k.sweep.end, v) {
		return // the quota does not cover it
	}
	if comes.before(k.due) {
		return // the sweep saves it
	}
	var id Identity
	copy(id[:], v[:])
	if !k.dirty.put(&id) && had {
		k.stale++
	}
	if k.dirty.count > max(minDirty, (k.held.entries.count+k.held.voids.count)/dirtyFactor) {
		k.anew()
	}
}

func (k *entries) next(room int) ([]byte, place) {
	k.out.reset()
	if k.records > 0 {
		k.debt += sweepFactor * k.stale * k.bytes / k.records
	}
	k.stale = 0
	k.takeDirty(room)
	if k.dirty.count == 0 {
		k.goOn(room)
	}
	if k.out.empty() {
		return nil, place{}
	}
	return k.out.finish(&k.sweep), k.sweep.at
}

// superseded implements saver: the sweep has gone round since.
func (k *entries) superseded(b *blob) bool {
	return !k.sweep.at.before(place{b.place.circle + 1, b.place.value})
}

// takeDirty writes changed entries.
func (k *entries) takeDirty(room int) {
	var last *Value
	k.dirty.ascend(new(Value), func(v *Value, _ *tag) bool {
		if !k.write(v, room) {
			return false
		}
		last = v
		return true
	})
	if last != nil {
		done := *last
		k.dirty.dropThrough(&done)
	}
}

// goOn goes on with the sweep, as far as it is due. It also fills what the Core would pad.
func (k *entries) goOn(room int) {
	round := place{k.sweep.at.circle + 1, k.sweep.at.value}
	for k.sweep.at.before(round) {
		due := k.sweep.at.before(k.due) || k.debt > 0
		if !due && k.out.empty() {
			return
		}
		limit := room
		if !due {
			limit = min(room, class(len(k.out.p))-blobHead)
		}
		v, ok := k.held.atLeast(&k.sweep.at.value)
		if !ok || k.sweep.written > uint64(k.quota/2) {
			k.turn(v, ok)
			continue
		}
		before := len(k.out.p)
		if !k.write(&v, limit) {
			return
		}
		n := len(k.out.p) - before
		k.debt = max(-maxClass, k.debt-n)
		k.sweep.written += uint64(n)
		if k.sweep.at.value, ok = after(v); !ok {
			k.turn(v, false)
		}
	}
	k.debt = min(k.debt, 0) // all entries are in this blob
}

// turn begins a new circle, after all values, or before a value that the quota does not cover. A
// circle takes half of the quota at most; the rest is for the changes meanwhile.
func (k *entries) turn(next Value, covered bool) {
	k.sweep.end = highest
	if covered {
		k.sweep.end = next
	}
	k.sweep.at = place{circle: k.sweep.at.circle + 1}
	k.sweep.written = 0
}

// write writes what is held under a value, and returns false if it does not fit.
func (k *entries) write(v *Value, limit int) bool {
	before := len(k.out.p)
	g, void := k.held.voids.get(v)
	e, ok := k.entry(v)
	if !k.out.fits(len(e.Data), limit) {
		return false
	}
	switch {
	case void:
		k.out.void(join(v, &g))
	case ok:
		k.out.entry(&e)
	default:
		k.out.removal(v)
	}
	k.bytes, k.records = k.bytes+len(k.out.p)-before, k.records+1
	if k.records > 1<<16 {
		k.bytes, k.records = k.bytes/2, k.records/2
	}
	return true
}

// entry returns the entry under a value, unless it fits no blob: then it is left out.
func (k *entries) entry(v *Value) (e Entry, ok bool) {
	if !k.held.entries.has(v) {
		return e, false
	}
	e, ok = k.index.Entry(*v)
	if !ok || e.Identity.Value() != *v || entriesHead+maxRecordHead+len(e.Data) > k.longest() {
		return Entry{}, false
	}
	return e, true
}

// longest returns the length of the longest blob.
func (k *entries) longest() int {
	empty := shelf{quota: k.quota}
	return empty.room(maxClass)
}

// stored implements saver.
func (k *entries) stored(blob []byte) (place, bool) {
	if !k.in.open(blob) {
		return place{}, false
	}
	if k.load == nil {
		k.load = newLoading(k.index, k.held)
	}
	k.sweep, k.due = k.in.sweep, k.in.sweep.at
	var r record
	for k.in.next(&r) {
		k.load.add(&r)
	}
	return k.sweep.at, true
}

// ready implements saver.
func (k *entries) ready() (restored chan struct{}) {
	if k.load == nil {
		return nil
	}
	<-k.load.flush()
	for v := range k.load.refused {
		k.held.entries.drop(&v)
	}
	load := k.load
	k.load, restored = nil, make(chan struct{})
	go func() {
		if x, ok := k.index.(BulkKeeper); ok && load.called {
			x.Restored()
		}
		debug.SetGCPercent(load.garbage)
		close(restored)
	}()
	return restored
}
