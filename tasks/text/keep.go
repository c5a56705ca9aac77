package main

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2"

	"motte/core/identity"
	"motte/sdk"
)

// An entry on the shelf has the texts of an object, for each field in turn: their number, and the
// length and the bytes of each. Numbers and lengths are varints. The words and their places would
// take more bytes.

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	x.flush()
	h, ok := x.held[v]
	if !ok {
		return e, false
	}
	texts := x.runs.stored(v)
	x.scratch = x.scratch[:0]
	for _, f := range x.fields {
		x.scratch = binary.AppendUvarint(x.scratch, uint64(len(texts[f.name])))
		for _, text := range texts[f.name] {
			x.scratch = append(binary.AppendUvarint(x.scratch, uint64(len(text))), text...)
		}
	}
	return sdk.Entry{Identity: h.id, Owner: h.owner, Data: x.scratch}, true
}

// restoring is a batch of restored documents.
type restoring struct {
	batch *bleve.Batch
	added map[identity.Value]int // bytes of text, by document
	size  int
}

// Restore implements sdk.Keeper. It gathers documents up to the size of a run that is not merged
// any more. So each document is indexed once.
func (x *index) Restore(e sdk.Entry) bool {
	v := e.Identity.Value()
	d, ok := x.saved(e.Data)
	if !ok {
		x.Apply([]sdk.Change{{Identity: e.Identity, Remove: true}})
		return false
	}
	r := &x.restoring
	if r.batch == nil {
		*r = restoring{batch: x.bleve.NewBatch(), added: make(map[identity.Value]int)}
	}
	x.runs.drop(v)
	panicOn(r.batch.IndexAdvanced(x.document(v, e.Owner, d.texts)))
	x.held[v] = held{e.Identity, e.Owner}
	r.added[v] = d.size
	r.size += d.size + documentCost
	if r.size >= maxMerge {
		x.flush()
	}
	return true
}

// Restored implements sdk.BulkKeeper.
func (x *index) Restored() {
	x.flush()
	x.runs.merge()
}

// flush indexes the documents of Restore.
func (x *index) flush() {
	r := x.restoring
	if r.batch == nil {
		return
	}
	x.restoring = restoring{}
	panicOn(x.bleve.Batch(r.batch))
	x.runs.add(r.added)
}

// saved reads an entry. It has at least one text.
func (x *index) saved(p []byte) (d document, ok bool) {
	d.texts = make(map[string][]string, len(x.fields))
	for _, f := range x.fields {
		count, width := binary.Uvarint(p)
		if width <= 0 || count > uint64(len(p)) {
			return d, false
		}
		p = p[width:]
		for range count {
			size, width := binary.Uvarint(p)
			if width <= 0 || size > uint64(len(p)-width) {
				return d, false
			}
			text := p[width:][:size]
			if !utf8.Valid(text) {
				return d, false
			}
			d.add(f.name, string(text))
			p = p[width+int(size):]
		}
	}
	return d, len(p) == 0 && len(d.texts) > 0
}
