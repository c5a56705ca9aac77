package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/simple"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/standard"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/blevesearch/bleve/v2/search/searcher"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"motte/core/identity"
	"motte/core/model"
	"motte/sdk"
)

// index is the Task: a Bleve index in memory, and the identities of its documents.
type index struct {
	fields   []field
	ordered  bool
	analyzer analysis.Analyzer
	bleve    bleve.Index
	runs     runs
	ids      map[identity.Value]identity.ID // of every document
}

// Configure implements sdk.Index.
func (x *index) Configure(c sdk.Config) error {
	switch c.Type {
	case model.TypeAny, model.TypeText, model.TypeString:
	default:
		return fmt.Errorf("%w: data type %d is not text", errOptions, c.Type)
	}
	o, fields, err := parseOptions(c.Options)
	if err != nil {
		return err
	}
	analyzer := "standard"
	if o.Analyzer != nil {
		analyzer = *o.Analyzer
	}
	m, err := newMapping(fields, analyzer)
	if err != nil {
		return err
	}
	searcher.DisjunctionMaxClauseCount = maxRanked
	// Without a path Scorch keeps every segment in memory and opens no file.
	b, err := bleve.NewUsing("", m, scorch.Name, scorch.Name, nil)
	if err != nil {
		return fmt.Errorf("opening the index: %w", err)
	}
	*x = index{fields: fields, ordered: c.Ordered, analyzer: m.AnalyzerNamed(m.DefaultAnalyzer), bleve: b, ids: make(map[identity.Value]identity.ID)}
	x.runs.init(x)
	return nil
}

// allFields is Bleve's name for all fields together.
const allFields = "_all"

// newMapping returns the mapping by which Bleve parses predicates. The method document decides
// what Bleve stores of an object.
func newMapping(fields []field, analyzer string) (*mapping.IndexMappingImpl, error) {
	m := bleve.NewIndexMapping()
	m.ScoringModel = bleveindex.BM25Scoring
	m.DefaultMapping.Dynamic = false
	m.DefaultField = allFields
	if len(fields) == 1 {
		m.DefaultField = fields[0].name
	}
	switch analyzer {
	case "standard":
		m.DefaultAnalyzer = standard.Name
	case "simple":
		m.DefaultAnalyzer = simple.Name
	case "en":
		m.DefaultAnalyzer = en.AnalyzerName
	default:
		return nil, fmt.Errorf("%w: analyzer %q", errOptions, analyzer)
	}
	return m, nil
}

// Apply implements sdk.Index. All changes go into one segment, so a large batch costs little
// more than a single change.
func (x *index) Apply(changes []sdk.Change) {
	b := x.bleve.NewBatch()
	added := make(map[identity.Value]int) // bytes of text, by document
	for i := range changes {
		c := &changes[i]
		v := c.Identity.Value()
		delete(added, v)
		x.runs.drop(v)
		if _, ok := x.ids[v]; ok {
			b.Delete(string(v[:]))
			delete(x.ids, v)
		}
		if c.Remove {
			continue
		}
		d, err := read(x.fields, c.Input)
		if err != nil {
			c.Refuse()
			continue
		}
		if len(d.texts) == 0 {
			continue
		}
		panicOn(b.IndexAdvanced(x.document(v, d.texts)))
		x.ids[v] = c.Identity
		added[v] = d.size
	}
	panicOn(x.bleve.Batch(b))
	x.runs.add(added)
	x.runs.merge()
}

// Search implements sdk.Index.
func (x *index) Search(asked sdk.Query) (iter.Seq[sdk.Identity], error) {
	q, err := parse(asked.Predicate, x.fields)
	if err != nil {
		return nil, err
	}
	size := len(x.ids)
	if len(asked.After) == 0 {
		size = min(size, asked.Limit+1) // one more than the limit shows whether more match
	}
	r := bleve.NewSearchRequestOptions(q, size, 0, false)
	r.SortBy([]string{"-_score", "_id"})
	if !x.ordered {
		r.Score = unscored
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxTime)
	defer cancel()
	result, err := x.bleve.SearchInContext(ctx, r)
	if err != nil && x.ordered && ctx.Err() == nil {
		// A prefix of too many words can't be ranked. Search again without ranking.
		r.Score = unscored
		result, err = x.bleve.SearchInContext(ctx, r)
	}
	if err != nil {
		return nil, fmt.Errorf("searching: %w", err)
	}
	found := make([]sdk.Identity, len(result.Hits))
	for i, hit := range result.Hits {
		v := identity.Value([]byte(hit.ID))
		found[i] = x.ids[v]
	}
	return sdk.Behind(slices.Values(found), asked.After)
}

// unscored tells Bleve not to rank.
const unscored = "none"

// panicOn ends the process after an error in which the index in memory may be wrong. The Core
// then builds the index again.
func panicOn(err error) {
	if err != nil {
		panic(err)
	}
}
