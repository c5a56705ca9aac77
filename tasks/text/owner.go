package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"motte/sdk"
)

// ownerField is the field of each document that holds its owner. No predicate can name it.
const ownerField = "_owner"

func ownerTerm(o sdk.Owner) []byte { return binary.BigEndian.AppendUint64(nil, uint64(o)) }

// ofOwner finds the objects that a query finds, but only those of one owner. Their scores are
// the same.
//
// It narrows the posting list of each word, so the search visits no object of another owner. A
// filter on the result would visit all objects that match. A clause of its own would change the
// scores.
type ofOwner struct {
	query.Query
	owner sdk.Owner
}

// Searcher implements query.Query.
func (q ofOwner) Searcher(ctx context.Context, r bleveindex.IndexReader, m mapping.IndexMapping, o search.SearcherOptions) (search.Searcher, error) {
	snapshot, ok := r.(*scorch.IndexSnapshot)
	if !ok {
		return nil, fmt.Errorf("searching the objects of an owner: the index is a %T", r)
	}
	numbers, err := numbersOf(ctx, snapshot, q.owner)
	if err != nil {
		return nil, err
	}
	count, err := snapshot.DocCount()
	if err != nil {
		return nil, err
	}
	if uint64(len(numbers)) == count { // all objects are this owner's
		return q.Query.Searcher(ctx, r, m, o)
	}
	return q.Query.Searcher(ctx, narrowed{snapshot, numbers}, m, o)
}

// numbersOf returns Bleve's numbers of an owner's documents, in ascending order.
func numbersOf(ctx context.Context, snapshot *scorch.IndexSnapshot, owner sdk.Owner) (numbers []uint64, err error) {
	list, err := snapshot.TermFieldReader(ctx, ownerTerm(owner), ownerField, false, false, false)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	for {
		d, err := list.Next(nil)
		if err != nil || d == nil {
			return numbers, err
		}
		numbers = append(numbers, d.ID.Value())
	}
}

// narrowed is an index of which only some documents are seen. Its statistics, and so all scores,
// are those of the whole index. Its posting lists end with the context of their search.
type narrowed struct {
	*scorch.IndexSnapshot
	numbers []uint64 // of the documents, in ascending order
}

// TermFieldReader implements bleveindex.IndexReader.
func (n narrowed) TermFieldReader(ctx context.Context, word []byte, field string, frequencies, norms, places bool) (bleveindex.TermFieldReader, error) {
	r, err := n.IndexSnapshot.TermFieldReader(ctx, word, field, frequencies, norms, places)
	if err != nil {
		return nil, err
	}
	return &narrowedList{TermFieldReader: r, ctx: ctx, numbers: n.numbers}, nil
}

// DocIDReaderAll implements bleveindex.IndexReader.
func (n narrowed) DocIDReaderAll() (bleveindex.DocIDReader, error) {
	return &numberReader{numbers: n.numbers}, nil
}

// narrowedList is the part of a posting list that a narrowed index sees.
type narrowedList struct {
	bleveindex.TermFieldReader
	ctx     context.Context
	numbers []uint64
	at      int // of the next number
}

// Next implements bleveindex.TermFieldReader. It looks for the next number in the posting list,
// and for the next entry of the posting list among the numbers, until the two meet.
func (l *narrowedList) Next(into *bleveindex.TermFieldDoc) (*bleveindex.TermFieldDoc, error) {
	for l.at < len(l.numbers) {
		if err := l.ctx.Err(); err != nil {
			return nil, err
		}
		d, err := l.TermFieldReader.Advance(bleveindex.NewIndexInternalID(nil, l.numbers[l.at]), into)
		if err != nil || d == nil {
			return nil, err
		}
		found := d.ID.Value()
		l.seek(l.at, found)
		if l.at < len(l.numbers) && l.numbers[l.at] == found {
			l.at++
			return d, nil
		}
		into = d
	}
	return nil, nil
}

// Advance implements bleveindex.TermFieldReader.
func (l *narrowedList) Advance(to bleveindex.IndexInternalID, into *bleveindex.TermFieldDoc) (*bleveindex.TermFieldDoc, error) {
	l.seek(0, to.Value())
	return l.Next(into)
}

// seek moves to the first number, from a place on, that is not below the given number.
func (l *narrowedList) seek(from int, number uint64) {
	n, _ := slices.BinarySearch(l.numbers[from:], number)
	l.at = from + n
}

// Optimize implements bleveindex.Optimizable, by which Bleve unites the posting lists of many
// words. The union is narrowed in the place of the lists.
func (l *narrowedList) Optimize(kind string, o bleveindex.OptimizableContext) (bleveindex.OptimizableContext, error) {
	r, ok := l.TermFieldReader.(bleveindex.Optimizable)
	if !ok || kind != "disjunction:unadorned" {
		return nil, nil
	}
	if n, ok := o.(narrowedUnion); ok {
		o = n.OptimizableContext
	}
	o, err := r.Optimize(kind, o)
	if err != nil || o == nil {
		return nil, err
	}
	return narrowedUnion{o, l}, nil
}

// narrowedUnion is the union of several posting lists, of which the list is one.
type narrowedUnion struct {
	bleveindex.OptimizableContext
	list *narrowedList
}

// Finish implements bleveindex.OptimizableContext.
func (u narrowedUnion) Finish() (bleveindex.Optimized, error) {
	o, err := u.OptimizableContext.Finish()
	if r, ok := o.(bleveindex.TermFieldReader); ok && err == nil {
		return &narrowedList{TermFieldReader: r, ctx: u.list.ctx, numbers: u.list.numbers}, nil
	}
	return nil, err
}

// numberReader reads the documents of a narrowed index.
type numberReader struct {
	numbers []uint64
	at      int // of the next number
}

// Next implements bleveindex.DocIDReader.
func (r *numberReader) Next() (bleveindex.IndexInternalID, error) {
	if r.at == len(r.numbers) {
		return nil, nil
	}
	r.at++
	return bleveindex.NewIndexInternalID(nil, r.numbers[r.at-1]), nil
}

// Advance implements bleveindex.DocIDReader.
func (r *numberReader) Advance(to bleveindex.IndexInternalID) (bleveindex.IndexInternalID, error) {
	r.at, _ = slices.BinarySearch(r.numbers, to.Value())
	return r.Next()
}

// Size implements bleveindex.DocIDReader. The numbers belong to the index.
func (r *numberReader) Size() int { return 0 }

// Close implements bleveindex.DocIDReader.
func (r *numberReader) Close() error { return nil }
