package sdk

import (
	"fmt"

	"motte/core/codec"
	"motte/core/taskwire"
)

// keeping is what the package knows of an index whose row has a shelf: what is held, and what the
// shelf has of it.
type keeping struct {
	index Index
	held  held
	saver saver // nil if the index saves nothing
	shelf shelf

	isReady  bool
	restored chan struct{} // closed when the index has all entries; nil: it has them
	gone     bool          // no more runs come: the tags are freed
	from     Value         // the next runs begin here
	ended    bool          // the runs have come to the highest value
}

// minQuota is the smallest quota of use: a few of the smallest blobs.
const minQuota = 4 * minClass

// newKeeping returns nil if the index has no shelf.
func newKeeping(x Index, quota int64) *keeping {
	if quota == 0 {
		return nil
	}
	k := &keeping{index: x, shelf: shelf{quota: quota}}
	switch x := x.(type) {
	case Keeper:
		k.saver = newEntries(x, &k.held, quota)
	case Snapshotter:
		k.saver = &snapshots{index: x, held: &k.held, quota: quota}
	}
	if quota < minQuota {
		k.saver = nil
	}
	return k
}

// stored takes a blob of an earlier process.
func (k *keeping) stored(number uint64, blob []byte) {
	at, ok := place{}, false
	if k.saver != nil {
		at, ok = k.saver.stored(blob)
	}
	k.shelf.stored(number, len(blob), at, ok)
}

// ready comes before the first frame that is not a Stored, and at the end.
func (k *keeping) ready() {
	if !k.isReady && k.saver != nil && len(k.shelf.blobs) > 0 {
		k.restored = k.saver.ready()
	}
	k.isReady = true
}

// wait waits until the index may be used. Meanwhile the Core compares what is held.
func (k *keeping) wait() {
	if k != nil && k.restored != nil {
		<-k.restored
		k.restored = nil
	}
}

// note notes changes that the index has applied.
func (k *keeping) note(changes []Change) {
	if k.gone && k.saver == nil {
		return
	}
	for i := range changes {
		c := &changes[i]
		had := k.held.note(c)
		if v := c.Identity.Value(); k.saver != nil {
			k.saver.changed(&v, had)
		}
	}
}

// compared comes before each Search. The Core compares before the first, and not after it.
func (k *keeping) compared() {
	if k.gone {
		return
	}
	k.gone = true
	if k.saver == nil {
		k.held.entries.clear()
		k.held.voids.clear()
	}
	k.held.entries.dropTags()
}

// runs returns a bit for each run, set if the index does not hold the run's objects. It returns
// false if a run does not follow the runs before.
func (k *keeping) runs(runs []taskwire.Run) (differ []byte, ok bool) {
	differ = make([]byte, (len(runs)+7)/8)
	for i := range runs {
		r := &runs[i]
		if k.ended || lessValue(&r.Last, &k.from) {
			return nil, false
		}
		if mine := k.held.run(&k.from, &r.Last); mine.Count != r.Count || mine.Sum != r.Sum {
			setBit(differ, i)
		}
		next, ok := after(r.Last)
		k.from, k.ended = next, !ok
	}
	return differ, true
}

// list drops what the index holds in a range beside the listed identities. It returns a bit for
// each of these, set if the index does not hold it.
func (k *keeping) list(first, last Value, ids []Identity) (lacks []byte) {
	var drop []Change
	for _, id := range k.held.entries.unlisted(&first, &last, ids) {
		drop = append(drop, Change{Identity: id, Remove: true})
	}
	if len(drop) > 0 {
		k.wait()
		k.index.Apply(drop)
	}
	for _, id := range k.held.voids.unlisted(&first, &last, ids) {
		drop = append(drop, Change{Identity: id, Remove: true})
	}
	k.note(drop)
	lacks = make([]byte, (len(ids)+7)/8)
	for i := range ids {
		if !k.held.holds(&ids[i]) {
			setBit(lacks, i)
		}
	}
	return lacks
}

func setBit(bits []byte, i int) { bits[i/8] |= 0x80 >> (i % 8) }

// save returns a blob of at most room bytes and its number; or, if there is nothing more to save,
// no blob, and the numbers of those that are dropped.
func (k *keeping) save(room int, anew bool) (blob []byte, number uint64, dropped []uint64, changed bool) {
	k.wait()
	if anew {
		k.shelf.anew()
		if k.saver != nil {
			k.saver.anew()
		}
	}
	if k.saver == nil {
		return nil, 0, nil, false
	}
	if n := k.shelf.room(room); n > 0 {
		if p, at := k.saver.next(n); p != nil {
			k.shelf.add(k.shelf.last+1, len(p), at)
			return p, k.shelf.last, nil, false
		}
	}
	changed = k.shelf.unset > 0
	dropped = k.shelf.drop(k.saver)
	return nil, 0, dropped, changed || len(dropped) > 0
}

// shelf handles a frame of the shelf.
func (s *server) shelf(t taskwire.Type, payload []byte) error {
	if s.keep == nil {
		return fmt.Errorf("%w: frame of type %d without a shelf", errProtocol, t)
	}
	if t == taskwire.Stored {
		return s.stored(payload)
	}
	s.apply()
	if t != taskwire.Save && s.keep.gone {
		return fmt.Errorf("%w: frame of type %d after a query", errProtocol, t)
	}
	switch t {
	case taskwire.Save:
		return s.save(payload)
	case taskwire.Runs:
		differ, ok := s.keep.runs(decodeRuns(payload))
		if !ok {
			return fmt.Errorf("%w: runs that do not ascend", errProtocol)
		}
		return s.reply(taskwire.Differ, differ)
	default:
		first, last, ids, err := decodeList(payload)
		if err != nil {
			return fmt.Errorf("%w: list: %w", errProtocol, err)
		}
		return s.reply(taskwire.Lacks, s.keep.list(first, last, ids))
	}
}

// stored takes a blob of an earlier process. These frames follow the configuration.
func (s *server) stored(payload []byte) error {
	number := codec.NewReader(payload).U64()
	if s.keep.isReady || number <= s.keep.shelf.last {
		return fmt.Errorf("%w: blob %d after %d", errProtocol, number, s.keep.shelf.last)
	}
	s.keep.stored(number, payload[storedHead:])
	s.applied = s.seq
	return nil
}

// save answers a Save with a blob or a set.
func (s *server) save(payload []byte) error {
	room, anew, err := decodeSave(payload)
	if err != nil {
		return fmt.Errorf("%w: save: %w", errProtocol, err)
	}
	blob, number, dropped, changed := s.keep.save(room, anew)
	if blob != nil {
		return s.reply(taskwire.Blob, codec.Writer(nil).U64(number), blob)
	}
	w := codec.Writer(nil).Bool(changed)
	for _, n := range dropped {
		w = w.U64(n)
	}
	return s.reply(taskwire.Set, w)
}

// reply writes a frame that answers the present frame.
func (s *server) reply(t taskwire.Type, parts ...[]byte) error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	s.out = taskwire.AppendHeader(s.out, taskwire.Header{Type: t, Len: n, Seq: s.seq})
	for _, p := range parts {
		s.out = append(s.out, p...)
	}
	if len(s.out) >= writeSize {
		return s.flush()
	}
	return nil
}
