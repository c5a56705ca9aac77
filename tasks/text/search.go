package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"motte/core/identity"
	"motte/sdk"
)

// unscored tells Bleve not to rank.
const unscored = "none"

// Search implements sdk.Index.
func (x *index) Search(asked sdk.Query) (iter.Seq[sdk.Identity], error) {
	ctx, cancel := context.WithTimeout(context.Background(), maxTime)
	defer cancel()
	return x.search(ctx, asked)
}

// search is Search until the context ends.
func (x *index) search(ctx context.Context, asked sdk.Query) (iter.Seq[sdk.Identity], error) {
	q, err := parse(asked.Predicate, x.fields)
	if err != nil {
		return nil, err
	}
	if asked.Owner != sdk.AllOwners {
		q = ofOwner{q, asked.Owner}
	}
	found, err := x.find(ctx, q, asked, x.ordered)
	if err != nil && x.ordered && err != sdk.ErrGone && ctx.Err() == nil {
		// A prefix of too many words can't be ranked. Search again without ranking.
		found, err = x.find(ctx, q, asked, false)
	}
	switch {
	case err == nil, err == sdk.ErrGone:
		return slices.Values(found), err
	case ctx.Err() != nil:
		return nil, sdk.ErrTooExpensive
	}
	return nil, fmt.Errorf("searching: %w", err)
}

// find returns one object more than the limit, if there are so many. Ranked objects come in the
// order of their scores, and of their values if the scores are equal. Others come in the order
// of their values.
func (x *index) find(ctx context.Context, q query.Query, asked sdk.Query, ranked bool) ([]sdk.Identity, error) {
	// Changes since an earlier answer may have changed the ranks. So the objects of After may
	// be among those found.
	size := asked.Limit + 1 + len(asked.After)
	if len(asked.Within) > 0 {
		size = len(x.held) // of which the candidates count
	}
	r := bleve.NewSearchRequestOptions(q, min(size, len(x.held)), 0, false)
	if ranked {
		r.SortBy([]string{"-_score", "_id"})
	} else {
		r.SortBy([]string{"_id"})
		r.Score = unscored
	}
	if len(asked.After) > 0 {
		after, err := x.sortKey(ctx, q, asked.After, ranked)
		if err != nil {
			return nil, err
		}
		r.SearchAfter = after
	}
	result, err := x.bleve.SearchInContext(ctx, r)
	if err != nil {
		return nil, err
	}
	found := make([]sdk.Identity, 0, len(result.Hits))
	for _, hit := range result.Hits {
		id := x.held[identity.Value([]byte(hit.ID))].id
		if !slices.Contains(asked.After, id) {
			found = append(found, id)
		}
	}
	return found, nil
}

// sortKey returns Bleve's sort key of the first of these objects that the index holds in the
// same version. If ranked, the object must also match the query. If there is no such object,
// the error is sdk.ErrGone.
func (x *index) sortKey(ctx context.Context, q query.Query, after []sdk.Identity, ranked bool) ([]string, error) {
	var documents []string
	for _, id := range after {
		v := id.Value()
		if x.held[v].id == id {
			documents = append(documents, string(v[:]))
		}
	}
	if len(documents) == 0 {
		return nil, sdk.ErrGone
	}
	if !ranked {
		return documents[:1], nil
	}
	first, score, err := x.score(ctx, q, documents)
	switch {
	case err != nil:
		return nil, err
	case first == len(documents):
		return nil, sdk.ErrGone
	}
	return []string{strconv.FormatFloat(score, 'g', -1, 64), documents[first]}, nil
}

// errScored ends a search for scores.
var errScored = errors.New("the score is known")

// score returns the number and the score of the first of these documents that the query finds,
// or their count if it finds none of them.
//
// It makes the same search as find, up to this document. A search for the document alone would
// be quicker. But Bleve adds the scores of more than ten words in an order that depends on the
// documents found before. So the sum would differ in its last bits.
func (x *index) score(ctx context.Context, q query.Query, documents []string) (first int, score float64, err error) {
	first = len(documents)
	watch := func(s *search.SearchContext) (search.DocumentMatchHandler, bool, error) {
		var numbers []bleveindex.IndexInternalID
		for _, d := range documents {
			n, err := s.IndexReader.InternalID(d)
			if err != nil {
				return nil, false, err
			}
			numbers = append(numbers, n)
		}
		return func(d *search.DocumentMatch) error {
			if d == nil {
				return nil // the end
			}
			if i := slices.IndexFunc(numbers[:first], d.IndexInternalID.Equals); i >= 0 {
				first, score = i, d.Score
			}
			s.DocumentMatchPool.Put(d)
			if first == 0 {
				return errScored
			}
			return nil
		}, false, nil
	}
	ctx = context.WithValue(ctx, search.MakeDocumentMatchHandlerKey, search.MakeDocumentMatchHandler(watch))
	r := bleve.NewSearchRequestOptions(q, 1, 0, false)
	r.SortBy([]string{"-_score"})
	if _, err = x.bleve.SearchInContext(ctx, r); err == errScored {
		err = nil
	}
	return first, score, err
}
