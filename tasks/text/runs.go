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
	documentCost = 256       // what a document counts beside its text
	maxMerge     = 512 << 10 // larger runs stay: bounds how long one merge takes
	fanout       = 8         // runs of about the same size that become one
)

// runs knows which documents lie in which of Bleve's segments, and merges small
// segments. Bleve's own merger works on files. Without one, each batch would
// stay a segment for ever, and every search would visit each of them.
//
// A run is the documents of one batch, and so of one segment. To merge runs is
// to index their documents again, in one batch: Bleve lets go of a segment
// when its last document has gone elsewhere. As in a log-structured merge tree
// a document moves a logarithmic number of times.
type runs struct {
	index *index
	list  []*run
	of    map[identity.Value]place
}

type run struct {
	values []identity.Value // as they were; some may have gone
	whole  int              // bytes, as it was
	live   int              // bytes, of what is left
}

type place struct {
	run  *run
	size int // bytes
}

func (r *runs) init(x *index) { r.index, r.of = x, make(map[identity.Value]place) }

// add notes the documents of a batch, with the bytes of their texts.
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

// drop notes that a document is gone from where it was.
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

// due returns runs to merge into one: a run of which more than half is gone, or fanout runs
// of one level.
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

// rewrite indexes the documents of some runs again, as one.
func (r *runs) rewrite(group []*run) {
	b := r.index.bleve.NewBatch()
	moved := make(map[identity.Value]int)
	for _, n := range group {
		for _, v := range n.values {
			p := r.of[v]
			if p.run != n {
				continue
			}
			must(b.IndexAdvanced(r.index.document(v, r.stored(v))))
			moved[v] = p.size
		}
	}
	for v := range moved {
		r.drop(v)
	}
	must(r.index.bleve.Batch(b))
	r.add(moved)
}

// stored returns the texts of a document as Bleve keeps them.
func (r *runs) stored(v identity.Value) map[string][]string {
	d, err := r.index.bleve.Document(string(v[:]))
	must(err)
	texts := make(map[string][]string, len(r.index.fields))
	d.VisitFields(func(f bleveindex.Field) {
		if f.Name() != "_id" {
			texts[f.Name()] = append(texts[f.Name()], string(f.Value()))
		}
	})
	return texts
}
