package main

import (
	"maps"
	"math/bits"
	"slices"

	bleveindex "github.com/blevesearch/bleve_index_api"

	"motte/core/identity"
)

// Sizes of runs, in bytes of text.
const (
	documentCost = 256       // added to the text of each document
	maxMerge     = 512 << 10 // larger runs are not merged: bounds the time of one merge
	fanout       = 8         // number of runs of similar size that are merged into one
)

// runs records which document is in which segment of Bleve, and merges small segments. Bleve's
// own merger needs files. Without merging, each batch would remain a segment, and every search
// would visit all of them.
//
// A run is the set of documents of one batch, and so of one segment. To merge runs, their
// documents are indexed again in one batch. Bleve drops a segment once all of its documents are
// elsewhere. As in a log-structured merge tree, a document moves a logarithmic number of times.
type runs struct {
	index *index
	list  []*run
	of    map[identity.Value]place
}

type run struct {
	values []identity.Value // documents of the batch; some may have moved or been deleted
	whole  int              // bytes of all documents of the batch
	live   int              // bytes of the documents that are left
}

type place struct {
	run  *run
	size int // bytes of text
}

func (r *runs) init(x *index) { r.index, r.of = x, make(map[identity.Value]place) }

// add records a run of the documents of a batch, with the bytes of their texts.
func (r *runs) add(documents map[identity.Value]int) {
	if len(documents) == 0 {
		return
	}
	n := &run{values: slices.Collect(maps.Keys(documents))}
	for v, size := range documents {
		r.of[v] = place{n, size}
		n.live += size + documentCost
	}
	n.whole = n.live
	r.list = append(r.list, n)
}

// drop removes a document from its run.
func (r *runs) drop(v identity.Value) {
	if p, ok := r.of[v]; ok {
		p.run.live -= p.size + documentCost
		delete(r.of, v)
	}
}

// merge rewrites runs until no more are due.
func (r *runs) merge() {
	for {
		r.list = slices.DeleteFunc(r.list, func(n *run) bool { return n.live == 0 })
		group := r.due()
		if group == nil {
			return
		}
		r.rewrite(group)
	}
}

// due returns the runs to merge next: a run that has lost more than half, or fanout runs of one
// level.
func (r *runs) due() []*run {
	levels := make(map[int][]*run)
	for _, n := range r.list {
		if n.live < n.whole/2 {
			return []*run{n}
		}
		if n.live >= maxMerge {
			continue
		}
		level := bits.Len(uint(n.live)) / bits.Len(fanout-1)
		levels[level] = append(levels[level], n)
		if len(levels[level]) == fanout {
			return levels[level]
		}
	}
	return nil
}

// rewrite indexes the documents of some runs again, as one run.
func (r *runs) rewrite(group []*run) {
	b := r.index.bleve.NewBatch()
	moved := make(map[identity.Value]int)
	for _, n := range group {
		for _, v := range n.values {
			p := r.of[v]
			if p.run != n {
				continue
			}
			panicOn(b.IndexAdvanced(r.index.document(v, r.index.held[v].owner, r.stored(v))))
			moved[v] = p.size
		}
	}
	for v := range moved {
		r.drop(v)
	}
	panicOn(r.index.bleve.Batch(b))
	r.add(moved)
}

// stored returns the texts of a document that Bleve has stored.
func (r *runs) stored(v identity.Value) map[string][]string {
	d, err := r.index.bleve.Document(string(v[:]))
	panicOn(err)
	texts := make(map[string][]string, len(r.index.fields))
	d.VisitFields(func(f bleveindex.Field) {
		if f.Name() != "_id" {
			texts[f.Name()] = append(texts[f.Name()], string(f.Value()))
		}
	})
	return texts
}
