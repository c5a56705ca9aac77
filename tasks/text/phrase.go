package main

import (
	"context"
	"fmt"

	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search"
	"github.com/blevesearch/bleve/v2/search/query"
	bleveindex "github.com/blevesearch/bleve_index_api"
)

// phrase is Bleve's search for a phrase, except that it ends with its context. Bleve checks the
// context once in 1024 objects found. Between two found objects it may compare the positions of
// words in any number of objects.
type phrase struct{ *query.MatchPhraseQuery }

// Searcher implements query.Query.
func (p phrase) Searcher(ctx context.Context, r bleveindex.IndexReader, m mapping.IndexMapping, o search.SearcherOptions) (search.Searcher, error) {
	switch r := r.(type) {
	case *scorch.IndexSnapshot:
		return p.MatchPhraseQuery.Searcher(ctx, watched{r}, m, o)
	case narrowed: // its posting lists end with the context, too
		return p.MatchPhraseQuery.Searcher(ctx, r, m, o)
	}
	return nil, fmt.Errorf("searching a phrase: the index is a %T", r)
}

// watched is an index whose posting lists end with the context.
type watched struct{ *scorch.IndexSnapshot }

// TermFieldReader implements bleveindex.IndexReader.
func (w watched) TermFieldReader(ctx context.Context, word []byte, field string, frequencies, norms, places bool) (bleveindex.TermFieldReader, error) {
	r, err := w.IndexSnapshot.TermFieldReader(ctx, word, field, frequencies, norms, places)
	if err != nil {
		return nil, err
	}
	return watchedList{r, ctx}, nil
}

// watchedList is the posting list of a word.
type watchedList struct {
	bleveindex.TermFieldReader
	ctx context.Context
}

// Next implements bleveindex.TermFieldReader.
func (l watchedList) Next(into *bleveindex.TermFieldDoc) (*bleveindex.TermFieldDoc, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	return l.TermFieldReader.Next(into)
}

// Advance implements bleveindex.TermFieldReader.
func (l watchedList) Advance(to bleveindex.IndexInternalID, into *bleveindex.TermFieldDoc) (*bleveindex.TermFieldDoc, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	return l.TermFieldReader.Advance(to, into)
}

// Optimize implements bleveindex.Optimizable, by which Bleve intersects the posting lists of
// several words.
func (l watchedList) Optimize(kind string, o bleveindex.OptimizableContext) (bleveindex.OptimizableContext, error) {
	if r, ok := l.TermFieldReader.(bleveindex.Optimizable); ok {
		return r.Optimize(kind, o)
	}
	return nil, nil
}
