package engine

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"motte/core/access"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/seglog"
)

// Cursor is a position in the order of all objects of the store, by collection and value:
// the position after the object that it names. The zero Cursor is the beginning.
type Cursor struct {
	Collection uint32
	Value      identity.Value
	last       uint32 // of a checkpoint: the highest number of a collection in its catalogue
}

// from returns the collections that a cursor has not passed, and moves the cursor to the
// first of them: the collection that it names, or, if that was dropped, the next.
func (e *Engine) from(c *Cursor) []*collection {
	i, _ := slices.BinarySearchFunc(e.collections, c.Collection, func(k *collection, id uint32) int {
		return cmp.Compare(k.id, id)
	})
	if i < len(e.collections) {
		c.enter(e.collections[i])
	}
	return e.collections[i:]
}

// enter moves a cursor to a collection.
func (c *Cursor) enter(k *collection) {
	if k.id != c.Collection {
		c.Collection, c.Value = k.id, identity.Value{}
	}
}

// Behind returns a cursor behind a share of all objects, about. Values are random, so the share of
// smaller values is known without a scan.
func (e *Engine) Behind(share float64) (c Cursor) {
	left := 0.0 // objects
	for _, k := range e.collections {
		left += share * float64(k.objects.Len())
	}
	for _, k := range e.collections {
		n := float64(k.objects.Len())
		if left < n {
			c.Collection = k.id
			binary.BigEndian.PutUint64(c.Value[:], uint64(left/n*(1<<64)))
			break
		}
		left -= n
	}
	return c
}

// Scan returns up to most objects after the cursor, and moves the cursor past them. An
// empty result is the end. An object that exists during all calls is returned once. Objects
// of erased owners are returned until they are removed.
func (e *Engine) Scan(c *Cursor, most int) (list []mapping.Entry) {
	for _, k := range e.from(c) {
		c.enter(k)
		for o := range k.objects.After(c.Value) {
			if len(list) == most {
				return list
			}
			list = append(list, o)
			c.Value = o.ID.Value()
		}
	}
	return list
}

// Checkpoint returns the position of a checkpoint, its first section, the catalogue, and
// the cursor of the other sections. Section returns these, at any later time: the records
// after the position hold the later changes of their objects.
func (e *Engine) Checkpoint() (at seglog.Position, catalogue []byte, rest Cursor) {
	w := codec.Writer(nil)
	add := func(rec seglog.Record) {
		w = w.U64(0).U8(byte(rec.Kind)).U32(rec.Collection).U32(uint32(len(rec.Body))).Bytes(rec.Body)
	}
	for _, next := range e.sections(access.Principal{}, true) {
		for !next(func(c *collection, n item) { add(n.record(c.id)) }) {
		}
	}
	for _, rec := range e.ledgerRecords() {
		add(rec)
	}
	for _, rec := range e.shelfRecords() {
		add(rec)
	}
	for _, erasing := range e.erase { // their data keys still exist
		add(principalRemoval{owner: erasing.owner, erase: true}.record(serverID))
	}
	for _, body := range e.alerts {
		add(seglog.Record{Kind: seglog.KindAlert, Body: body})
	}
	add(seglog.Record{Kind: seglog.KindCounters, Body: codec.Writer(nil).
		U32(e.lastOwner).U32(e.lastCollection).U64(e.alertCount).U64(uint64(e.cleanedAt)).U32(e.lastIndex)})
	return e.position, w, Cursor{last: e.lastCollection}
}

// Section returns the next section of a checkpoint, with at most most entries, and moves
// the cursor past it. An empty section is the end. A section is
//
//	collection 4 | entries, as package mapping packs them, in the order of their values …
//
// Sections are in the order of collections and values. A collection that was created after
// the catalogue was written has no section: all its records are after the position.
func (e *Engine) Section(c *Cursor, most int) []byte {
	for _, k := range e.from(c) {
		c.enter(k)
		if k.id > c.last {
			break
		}
		section, last := k.objects.Append(codec.Writer(nil).U32(k.id), c.Value, most)
		if last != c.Value {
			c.Value = last
			return section
		}
	}
	return nil
}

// Restore applies section i of a checkpoint. The sections come in their order.
func (e *Engine) Restore(i int, section []byte) (err error) {
	if i == 0 {
		return e.restoreCatalogue(section)
	}
	r := codec.NewReader(section)
	id := r.U32()
	c, entries := e.byID[id], r.Rest()
	if r.Done() != nil || c == nil || len(entries) == 0 || id < e.restored.Collection {
		return codec.ErrMalformed
	}
	e.restored.enter(c)
	e.restored.Value, err = c.objects.Load(entries, e.restored.Value)
	return err
}

// restoreCatalogue applies the first section, a list of
//
//	reserved 8 | kind 1 | collection 4 | length 4 | body …
func (e *Engine) restoreCatalogue(section []byte) error {
	r := codec.NewReader(section)
	for r.Len() > 0 {
		rec := seglog.Record{LSN: r.U64(), Kind: seglog.Kind(r.U8()), Collection: r.U32()}
		if rec.Body = bytes.Clone(r.Take(int(r.U32()))); rec.Kind == seglog.KindCounters {
			c := codec.NewReader(rec.Body)
			e.lastOwner, e.lastCollection = c.U32(), c.U32()
			e.alertCount, e.cleanedAt = c.U64(), int64(c.U64())
			e.lastIndex = max(e.lastIndex, c.U32()) // 0 in checkpoints from before indexes had numbers
		} else if rec.Kind < seglog.KindCreateCollection {
			return codec.ErrMalformed // objects are in the other sections
		} else if err := e.apply(&rec, seglog.Location{}, nil); err != nil {
			return err
		}
	}
	return r.Done()
}
