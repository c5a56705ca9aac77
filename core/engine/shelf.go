package engine

import (
	"encoding/binary"
	"maps"
	"math/bits"
	"slices"
	"time"

	"motte/core/codec"
	"motte/core/identity"
	"motte/core/leak"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
)

// A shelf is what the Core keeps of a Task's memory for the next process of the same index
// (design, section 5). It is a set of blobs, and only a cache: whatever differs from the
// collection is found by reconciliation, see reconcile.go.
//
// The blobs of an index are objects of a collection of their own, which has no name. So the log
// seals them, compaction relocates them, and checkpoints have their locations. They belong to an
// owner number of their own, the shelf's generation. To destroy the data key of a generation
// makes all its blobs unreadable, in every old copy of the log, too.
//
// Invariants:
//
//  1. A Task gets back only the blobs of the last Set of an earlier process of the same index,
//     with the same executable. A Set takes effect as a whole, since it is one group of records.
//  2. No blob is made between the decision to erase an owner and the removal of the owner's
//     objects from the Task. When the erasure is acknowledged, the data key of each generation
//     that may hold the owner's data is destroyed.
//  3. The Core decides when a Task saves. The size of a blob's record is one of six.
//  4. The ledger of the index pays for each saving. When its budget is used up, no saving begins.

// Limits of shelves.
const (
	maxBlobs       = 1 << 16             // of one index: each has an entry in memory
	maxShelfOwners = 1 << 12             // owners told apart; with more, each erasure renews the shelf
	maxShelfAge    = 30 * 24 * time.Hour // then the index is built from nothing: it may be poisoned
	maxLoads       = 2                   // processes that may end in a row before they serve
	savesPerTick   = 8                   // Save frames
	saveLatest     = time.Minute         // after which even a single change is saved
	savePart       = 128                 // of the entries, one in so many changes begins a saving
	leastClass     = 4 << 10             // bytes of the smallest class of blobs
	mostClass      = 128 << 10           // bytes of the largest
	blobFront      = 4                   // bytes before a blob in its record: its length
	blobCost       = 256                 // bytes of a blob's record beside its class, at most
)

// shelfNumbers bounds the numbers of collections and owners that shelves take. The other half of all
// numbers is left to collections and principals, which only server administrators make.
const shelfNumbers = mapping.Limit / 2

// pace says when Tasks save, and in what steps they are compared with their collections.
type pace struct {
	saveEvery   time.Duration // from the start of a saving to the next, at least
	saveChanges int           // changes, at least, that begin a saving before saveLatest
	runObjects  int           // objects of a run
	runsFrame   int           // runs of a frame: one event looks at so many runs
	listObjects int           // identities of a List
}

// Where one object in 200 differs, as after a kill, three quarters of the runs are equal. Of runs of
// 1024 objects hardly one would be, so that all objects would be listed.
var usualPace = pace{saveEvery: time.Second, saveChanges: 1000, runObjects: 64, runsFrame: 1024,
	listObjects: taskwire.MaxListed}

// shelfState is the state of a shelf in the log.
type shelfState struct {
	measurement [32]byte // of the executable whose Tasks made the blobs
	begun       int64    // Unix time at which the shelf was begun with nothing
	generation  uint32   // owner number of the blobs; 0: there are none
	epoch       uint32   // of the blobs that count: see blobValue
	highest     uint64   // number of the newest blob of the last Set
	owners      ownerSet // owners whose data any blob of the generation may hold

	setAside []identity.ID // inputs over which this executable ended, in ascending order
}

// shelf is the shelf of an index, over all its processes.
type shelf struct {
	c         *collection    // of the blobs
	logged    shelfState     // as the durable records say
	now       shelfState     // as all records say
	dirty     bool           // blobs may hold objects that were changed or removed since
	loads     int            // processes in a row that got blobs and ended before they served
	cleans    bool           // blobs that count no more are being removed
	cleanedTo identity.Value // up to this value
	failed    bool           // writes were lost: blobs that the Task believes to be stored may be missing
}

// saving is the state of a shelf with one Task process.
type saving struct {
	stored     []uint64 // numbers of the blobs that the process must still get
	reconcile  bool     // the process got blobs, so that its entries are compared
	runsQueued bool     // a Runs is queued, and not sent
	held       ownerSet // owners whose data the process may hold
	unlogged   bool     // held has owners that the log lacks

	anew      bool          // the next Save says that the shelf is empty
	active    bool          // a saving is under way
	saveOpen  bool          // a Save is queued or sent
	storing   bool          // the blob of the last Save is not durable yet: see room
	saves     int           // Saves since the last tick
	began     time.Duration // when the last saving began, by the clock of the engine
	changed   int           // changes sent since then
	last      uint64        // number of the newest blob of this process, or of the shelf
	unsettled []uint64      // blobs since the last Set
}

// ownerSet is a set of owner numbers. If it becomes too large, it is the set of all owners.
type ownerSet struct {
	all  bool
	list map[uint32]struct{}
}

// add adds an owner, and reports whether it was missing.
func (s *ownerSet) add(owner uint32) bool {
	if s.has(owner) {
		return false
	}
	if s.list == nil {
		s.list = make(map[uint32]struct{})
	}
	s.list[owner] = struct{}{}
	if len(s.list) > maxShelfOwners {
		*s = ownerSet{all: true}
	}
	return true
}

func (s *ownerSet) has(owner uint32) bool {
	_, ok := s.list[owner]
	return s.all || ok
}

func (s *ownerSet) clone() ownerSet { return ownerSet{s.all, maps.Clone(s.list)} }

// union returns the owners of both sets.
func (s *ownerSet) union(other ownerSet) ownerSet {
	if s.all || other.all {
		return ownerSet{all: true}
	}
	both := s.clone()
	for owner := range other.list {
		both.add(owner)
	}
	return both
}

// record makes the record of a shelf:
//
//	name of the index 32 | measurement 32 | begun 8 | generation 4 | epoch 4 | highest 8
//	count 1 | inputs that are set aside of 32 … | all 1 | owners of 4 …
func (s *shelfState) record(x *index) seglog.Record {
	w := codec.Writer(nil).Text(x.name, model.MaxIdentifier).Bytes(s.measurement[:]).U64(uint64(s.begun))
	w = w.U32(s.generation).U32(s.epoch).U64(s.highest).U8(byte(len(s.setAside)))
	for i := range s.setAside {
		w = w.Bytes(s.setAside[i][:])
	}
	w = w.Bool(s.owners.all)
	for _, owner := range slices.Sorted(maps.Keys(s.owners.list)) {
		w = w.U32(owner)
	}
	return seglog.Record{Kind: seglog.KindShelf, Collection: x.c.id, Body: w}
}

// applyShelf applies a durable record of a shelf. Its index may be gone.
func (e *Engine) applyShelf(c *collection, body []byte) error {
	var s shelfState
	r := codec.NewReader(body)
	name := r.Text(model.MaxIdentifier)
	r.Copy(s.measurement[:])
	s.begun, s.generation, s.epoch, s.highest = int64(r.U64()), r.U32(), r.U32(), r.U64()
	for range r.U8() {
		s.setAside = append(s.setAside, identity.ID(r.Take(identity.Size)))
	}
	for s.owners.all = r.Bool(); r.Len() > 0; {
		s.owners.add(r.U32())
	}
	x := c.index(name)
	if err := r.Done(); err != nil || x == nil {
		return err
	}
	e.lastOwner = max(e.lastOwner, s.generation)
	if x.shelf.logged = s; e.lsn == 0 { // before the start; later, now may be ahead of the log
		x.shelf.now, x.shelf.dirty = s, s.generation != 0
	}
	return nil
}

// blobValue returns the value of a blob. The reversed number spreads the values as a mapping needs
// it. The collection makes the value unique in the store.
func (s *shelf) blobValue(number uint64) (v identity.Value) {
	binary.BigEndian.PutUint64(v[:], bits.Reverse64(number))
	binary.BigEndian.PutUint32(v[8:], s.c.id)
	binary.BigEndian.PutUint32(v[12:], s.now.epoch)
	return v
}

// blobOf returns the number of a blob. It returns false if the blob is of an earlier epoch.
func (s *shelf) blobOf(v identity.Value) (number uint64, counts bool) {
	return bits.Reverse64(binary.BigEndian.Uint64(v[:])), binary.BigEndian.Uint32(v[12:]) == s.now.epoch
}

// blobClass returns the size in which a blob is stored, with its length.
func blobClass(blob int) int {
	class := leastClass
	for class < blobFront+blob {
		class *= 2
	}
	return class
}

// blobData returns the content of the record of a blob: its length, the blob, and zeros up to its
// class.
func blobData(blob []byte) []byte {
	w := make(codec.Writer, 0, blobClass(len(blob)))
	w = w.U32(uint32(len(blob))).Bytes(blob)
	return w.Zero(cap(w) - len(w))
}

// decodeBlob returns the blob of a record.
func decodeBlob(data []byte) (blob []byte, err error) {
	r := codec.NewReader(data)
	blob = r.Take(int(r.U32()))
	r.Zero(r.Len())
	return blob, r.Done()
}

// openShelf decides, at the start of a process, whether it gets the blobs of the shelf. It begins
// to remove the blobs that count no more.
func (e *Engine) openShelf(x *index) {
	s := x.shelf
	age := time.Duration(e.Now.Unix()-s.now.begun) * time.Second
	foreign := s.now.begun == 0 || s.now.measurement != x.row.Measurement
	if foreign || s.failed || x.row.Shelf == 0 || age > maxShelfAge || s.loads >= maxLoads {
		e.emptyShelf(x)
	}
	for o := range s.c.objects.After(identity.Value{}) {
		n, counts := s.blobOf(o.ID.Value())
		if counts && n <= s.now.highest && !e.erased[o.Owner] {
			x.stored = append(x.stored, n)
		}
	}
	slices.Sort(x.stored)
	x.last, x.began, x.anew = 0, e.uptime, true
	if n := len(x.stored); n > 0 {
		x.last = x.stored[n-1] // all that the process can know: newer blobs may have been dropped
		x.reconcile, x.anew, x.held = true, false, s.now.owners.clone()
		s.loads++
	}
	e.cleanShelf(x)
}

// emptyShelf begins a shelf with nothing. The blobs count no more, and are removed.
func (e *Engine) emptyShelf(x *index) {
	s := x.shelf
	had := s.now.generation != 0
	s.now.begun, s.now.highest, s.now.epoch = e.Now.Unix(), 0, s.now.epoch+1
	if x.row != nil && x.row.Measurement != s.now.measurement {
		s.now.measurement, s.now.setAside = x.row.Measurement, nil
	}
	s.loads, s.failed = 0, e.readOnly // then the log must still say it
	x.stored, x.unsettled, x.active, x.last, x.anew, x.unlogged = nil, nil, false, 0, true, true
	if had {
		e.append(nil, s.now.record(x))
		e.cleanShelf(x)
	}
}

// forget lets the next process get no blobs.
func (s *shelf) forget() {
	s.now.measurement, s.logged.measurement = [32]byte{}, [32]byte{}
}

// cleanShelf removes, in steps, the blobs that count no more. No saving begins before it ends.
func (e *Engine) cleanShelf(x *index) {
	s := x.shelf
	if s.cleanedTo = (identity.Value{}); s.cleans {
		return
	}
	s.cleans = true
	e.later(func() (more bool) {
		var group seglog.Group
		looked := 0
		for o := range s.c.objects.After(s.cleanedTo) {
			if looked++; looked > e.stride {
				break
			}
			s.cleanedTo = o.ID.Value()
			n, counts := s.blobOf(s.cleanedTo)
			if _, pending := e.pending[s.cleanedTo]; !pending && (!counts || n > max(s.now.highest, x.last)) {
				group = append(group, deletion(o))
			}
		}
		if len(group) > 0 && e.byID[s.c.id] == s.c {
			e.append(nil, group...)
		}
		more = looked > e.stride
		s.cleans = more
		return more
	})
}

// maySave reports whether blobs may be made now. They may not while objects of an owner are being
// erased: the Task may still hold them.
func (e *Engine) maySave() bool {
	ready := !e.changing && e.erasingObjects == 0 && !e.renewing
	return ready && !e.readOnly && !e.diskFull && e.nextOwner() < shelfNumbers
}

// save begins a saving if one is due, and asks for its next step. Tick calls it.
func (e *Engine) save(x *index) {
	x.saves = 0
	if x.state != model.IndexServing || x.row.Shelf == 0 || x.late || !e.maySave() {
		return
	}
	if x.shelf.failed {
		e.emptyShelf(x)
	}
	if !x.active && !x.saveOpen && e.savingIsDue(x) && e.leftFor(x, nil) >= leak.Saving {
		e.beginSaving(x)
	}
	e.continueSaving(x)
}

// savingIsDue reports whether enough has changed since the last saving.
func (e *Engine) savingIsDue(x *index) bool {
	since := e.uptime - x.began
	most := max(e.saveChanges, x.c.objects.Len()/savePart)
	switch {
	case since < e.saveEvery || x.shelf.cleans:
		return false
	case x.anew:
		return x.c.objects.Len() > 0 || x.shelf.now.generation != 0
	}
	return x.changed >= most || x.changed > 0 && since >= saveLatest
}

// beginSaving begins a saving. Before the first blob, the log says which owners' data the blobs may
// hold.
func (e *Engine) beginSaving(x *index) {
	if x.shelf.now.generation == 0 {
		e.lastGeneration = e.nextOwner()
		x.shelf.now.generation, x.unlogged = e.lastGeneration, true
	}
	x.active, x.began, x.changed = true, e.uptime, 0
	e.draw(x, nil, leak.Saving, 0) // its record comes before the blobs
	e.logOwners(x)
}

// holds notes that the process gets data of an owner.
func (x *index) holds(owner uint32) {
	if x.row.Shelf > 0 {
		x.unlogged = x.held.add(owner) || x.unlogged
	}
}

// logOwners appends the owners whose data the process holds, if the log lacks some of them. The
// owners of earlier blobs stay: an old copy of the log has these blobs.
func (e *Engine) logOwners(x *index) {
	if !x.unlogged {
		return
	}
	x.unlogged, x.shelf.now.owners = false, x.shelf.now.owners.union(x.held)
	e.append(nil, x.shelf.now.record(x))
}

// continueSaving asks for the next step of a saving, if none is asked for.
func (e *Engine) continueSaving(x *index) {
	if !x.active || x.saveOpen || x.storing || x.saves >= savesPerTick || !e.maySave() {
		return
	}
	x.saveOpen = true
	x.saves++
	e.enqueue(x, &delivery{kind: taskwire.Save})
	e.pump(x)
}

// room returns the most bytes that the next blob of an index may have. All earlier blobs are durable,
// so they are counted.
func (x *index) room() int {
	left := int64(x.row.Shelf) - int64(x.shelf.c.bytes)
	if x.shelf.c.objects.Len() >= maxBlobs {
		return 0
	}
	class := int64(mostClass)
	for class+blobCost > left {
		if class /= 2; class < leastClass {
			return 0
		}
	}
	return min(int(class)-blobFront, taskwire.MaxBlob)
}

// sendSave makes the frame of a Save.
func (x *index) sendSave(d *delivery) []byte {
	d.room = x.room()
	anew := x.anew
	x.anew = anew && !x.active // without a saving, the answer has no effect
	return taskwire.AppendSave(nil, d.seq, uint32(d.room), anew)
}

// saved takes the answer to a Save: a blob, or the set of blobs that count from now on. If the
// shelf was emptied since the Save was sent, the answer has no effect.
func (e *Engine) saved(x *index, a taskwire.Answer) model.Reason {
	i := slices.IndexFunc(x.sent, func(d *delivery) bool { return d.seq == a.Seq && d.kind == taskwire.Save })
	if i < 0 {
		return model.ReasonUnasked
	}
	d := x.sent[i]
	if a.Type == taskwire.Blob && (len(a.Blob) > d.room || a.Number <= x.last) {
		return model.ReasonBadFrame
	}
	if x.active && !e.onShelf(x, a.Dropped) {
		return model.ReasonBadFrame
	}
	e.ackDeliveries(x, func(d *delivery) bool { return d.seq == a.Seq })
	x.saveOpen = false
	if x.active && (e.erasing || e.erasingObjects > 0) {
		x.active, x.shelf.failed = false, true // the blob may hold what is being erased
	}
	if !x.active {
		return 0
	}
	if a.Type == taskwire.Blob {
		e.addBlob(x, a)
	} else {
		e.settle(x, a)
	}
	instance := x.instance
	x.storing = true
	e.afterDurable(func(model.Code) {
		if x.instance == instance {
			x.storing = false
			e.continueSaving(x)
		}
	})
	return 0
}

// onShelf reports whether all numbers are those of blobs.
func (e *Engine) onShelf(x *index, numbers []uint64) bool {
	for _, n := range numbers {
		if _, there := e.expected(x.shelf.c, x.shelf.blobValue(n)); !there || n > x.last {
			return false
		}
	}
	return true
}

// addBlob stores a blob. It counts from the next Set on.
func (e *Engine) addBlob(x *index, a taskwire.Answer) {
	s := x.shelf
	e.logOwners(x)
	x.last = a.Number
	x.unsettled = append(x.unsettled, a.Number)
	data := blobData(a.Blob)
	x.shelved += uint64(len(data))
	id := e.Maker.ID(s.c.id, s.now.generation, s.blobValue(a.Number), identity.Digest(nil, data))
	e.append(nil, seglog.Record{Kind: seglog.KindPut, Collection: s.c.id, Owner: s.now.generation,
		ID: id, Body: appendObject(nil, nil, data)})
}

// settle ends a saving: it removes the blobs that a Set drops, and lets the others count.
func (e *Engine) settle(x *index, a taskwire.Answer) {
	s := x.shelf
	x.active = false
	drop := x.unsettled
	if x.unsettled = nil; a.Changed {
		drop = a.Dropped
		s.now.highest = x.last
	}
	var group seglog.Group
	for _, n := range drop {
		o, there := e.expected(s.c, s.blobValue(n))
		if there {
			group = append(group, deletion(o))
		}
	}
	if a.Changed {
		group = append(group, s.now.record(x)) // with at most MaxDropped deletions
		e.append(nil, group...)
		return
	}
	for part := range slices.Chunk(group, stride) {
		e.append(nil, part...)
	}
}

// recoverShelf takes over a shelf at the end of a replay. If an older copy of the log was put back,
// its generation may be gone, which the log does not say.
func (e *Engine) recoverShelf(x *index) {
	if e.erased[x.shelf.now.generation] {
		x.shelf.now.generation, x.shelf.now.owners = 0, ownerSet{}
		x.shelf.logged, x.shelf.dirty = x.shelf.now, false // lost writes bring logged back
	}
}

// endShelf returns the record that destroys the blobs of an index for good: their generation ends
// as an owner is erased. Else an owner that is erased later would have data in old copies of them.
func (e *Engine) endShelf(x *index) seglog.Group {
	s := x.shelf
	ends := principalRemoval{owner: s.now.generation, erase: true}
	if s.now.generation == 0 {
		return nil
	}
	s.now = shelfState{measurement: s.now.measurement, begun: s.now.begun, epoch: s.now.epoch + 1,
		setAside: s.now.setAside}
	s.dirty = false // the Task removes changed objects before it saves anew
	x.stored, x.unsettled, x.active, x.last, x.anew, x.unlogged = nil, nil, false, 0, true, true
	return seglog.Group{ends.record(serverID)}
}

// renewShelf returns the records that end the shelf of an index. The Task saves everything anew
// under another generation.
func (e *Engine) renewShelf(x *index) seglog.Group {
	return append(e.endShelf(x), x.shelf.now.record(x))
}

// renewShelvesOf returns the records that renew each shelf that may hold data of an owner. A Task
// that holds such data may be putting it into a blob now, or a write with such a blob may have
// failed.
func (e *Engine) renewShelvesOf(owner uint32) (group seglog.Group) {
	for _, x := range e.indexes {
		may := x.shelf.now.owners.has(owner) || x.held.has(owner)
		if may && x.shelf.now.generation != 0 {
			group = append(group, e.renewShelf(x)...)
		}
	}
	return group
}

// heldNoMore notes that no Task holds data of an owner any more: its objects were removed.
func (e *Engine) heldNoMore(owner uint32) {
	for _, x := range e.indexes {
		delete(x.held.list, owner)
	}
}

// renewDirtyShelves renews each shelf that may hold objects that were changed or removed, once for
// each cleaning pass. It reports whether the pass must wait for that. Only the COMPACT requests
// that wait now are answered at the end of that pass: renewedFor.
func (e *Engine) renewDirtyShelves() (wait bool) {
	switch {
	case e.renewed:
		return e.renewing
	case e.readOnly: // no pass can begin
		e.CompactionDone(len(e.compact), model.StorageFailed)
		return true
	}
	e.renewed, e.renewedFor = true, len(e.compact)
	var group seglog.Group
	for _, x := range e.indexes {
		if x.shelf.dirty && x.shelf.now.generation != 0 {
			group = append(group, e.renewShelf(x)...)
		}
	}
	if len(group) > 0 {
		e.renewing = true
		e.append(&write{}, group...)
		e.afterDurable(func(code model.Code) { // if OK, the erasures are in e.erase
			e.renewing, e.renewed = false, code == model.OK
		})
	}
	return e.renewing
}

// loading reports whether an index is coming back from its shelf. It returns false when that takes
// very long.
func (e *Engine) loading() bool {
	return e.uptime < loadWithin && slices.ContainsFunc(e.indexes, func(x *index) bool {
		comes := x.state == model.IndexStarting || x.state == model.IndexBuilding
		return comes && x.shelf.now.highest > 0
	})
}

// shelfLost handles a blob that can't be read. The index begins anew, at once, without the shelf.
func (e *Engine) shelfLost(x *index) {
	e.emptyShelf(x)
	e.stopIndex(x, model.IndexUnavailable)
	x.state, x.retryAt = model.IndexStarting, time.Time{}
}

// shelvesFailed handles lost writes. The next saving of each Task begins with an empty shelf.
func (e *Engine) shelvesFailed() {
	for _, x := range e.indexes {
		x.shelf.now, x.shelf.failed = x.shelf.logged, true
		x.shelf.dirty = x.shelf.now.generation != 0
		x.active = false
	}
}

// Shelves returns the collections of these entries that hold blobs, and not objects of clients.
func (e *Engine) Shelves(entries []mapping.Entry) map[uint32]bool {
	of := make(map[uint32]bool)
	for i := range entries {
		c := e.byID[entries[i].Collection]
		of[entries[i].Collection] = c != nil && c.isShelf()
	}
	return of
}

// shelfRecords makes the records of all shelves for a checkpoint.
func (e *Engine) shelfRecords() (list []seglog.Record) {
	for _, x := range e.indexes {
		if x.shelf.logged.begun != 0 {
			list = append(list, x.shelf.logged.record(x))
		}
	}
	return list
}

// logSetAside appends the inputs that are set aside, for the next start of the Core. Those of a
// successor are logged when it takes over.
func (e *Engine) logSetAside(x *index) {
	if x.replaces != nil {
		return
	}
	x.shelf.now.setAside = slices.SortedFunc(maps.Keys(x.setAside), identity.ID.Compare)
	e.append(nil, x.shelf.now.record(x))
}

// recallSetAside sets the inputs aside that the log says, at the first start of a process after that
// of the Core.
func (e *Engine) recallSetAside(x *index) {
	if s := &x.shelf.now; s.measurement == x.row.Measurement {
		for _, id := range s.setAside {
			if o, there := x.c.objects.Get(id.Value()); there && o.ID == id {
				x.setAside[id] = struct{}{}
			}
		}
	}
}
