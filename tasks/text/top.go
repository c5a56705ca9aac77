package main

import (
	"container/heap"
	"slices"

	"motte/sdk"
)

// hit is an object that was found.
type hit struct {
	slot  slot
	score float64 // 0 without order
}

// top keeps the best hits, up to a size. It is a heap with the worst of them first, once it is full.
type top struct {
	index *index
	size  int
	hits  []hit
}

// better orders hits: by score, and by identity if the scores are equal.
func (t *top) better(a, b hit) bool {
	if a.score != b.score {
		return a.score > b.score
	}
	all := t.index.documents.all
	return all[a.slot].id.Compare(all[b.slot].id) < 0
}

func (t *top) add(h hit) {
	switch {
	case len(t.hits) < t.size:
		t.hits = append(t.hits, h)
		if len(t.hits) == t.size {
			heap.Init(t)
		}
	case t.better(h, t.hits[0]):
		t.hits[0] = h
		heap.Fix(t, 0)
	}
}

// identities returns the best hits, the best first, except those that were shown before.
func (t *top) identities(shown []sdk.Identity) []sdk.Identity {
	slices.SortFunc(t.hits, func(a, b hit) int {
		if t.better(a, b) {
			return -1
		}
		return 1
	})
	ids := make([]sdk.Identity, 0, len(t.hits))
	for _, h := range t.hits {
		if id := t.index.documents.all[h.slot].id; !slices.Contains(shown, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (t *top) Len() int           { return len(t.hits) }
func (t *top) Less(i, j int) bool { return t.better(t.hits[j], t.hits[i]) }
func (t *top) Swap(i, j int)      { t.hits[i], t.hits[j] = t.hits[j], t.hits[i] }
func (t *top) Push(any)           { panic("the heap has a fixed size") }
func (t *top) Pop() any           { panic("the heap has a fixed size") }
