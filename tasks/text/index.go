package main

import (
	"fmt"

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
	held     map[identity.Value]held // every document

	restoring restoring
	scratch   []byte // the data of the entry that Entry returned last
}

// held is an object that has a document.
type held struct {
	id    identity.ID
	owner sdk.Owner
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
	*x = index{fields: fields, ordered: c.Ordered, analyzer: m.AnalyzerNamed(m.DefaultAnalyzer), bleve: b, held: make(map[identity.Value]held)}
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
	x.flush()
	b := x.bleve.NewBatch()
	added := make(map[identity.Value]int) // bytes of text, by document
	for i := range changes {
		c := &changes[i]
		v := c.Identity.Value()
		delete(added, v)
		x.runs.drop(v)
		if _, ok := x.held[v]; ok {
			b.Delete(string(v[:]))
			delete(x.held, v)
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
			c.Skip()
			continue
		}
		panicOn(b.IndexAdvanced(x.document(v, c.Owner, d.texts)))
		x.held[v] = held{c.Identity, c.Owner}
		added[v] = d.size
	}
	panicOn(x.bleve.Batch(b))
	x.runs.add(added)
	x.runs.merge()
}

// panicOn ends the process after an error in which the index in memory may be wrong. The Core
// then builds the index again.
func panicOn(err error) {
	if err != nil {
		panic(err)
	}
}
