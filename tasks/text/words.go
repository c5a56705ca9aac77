package main

import (
	"slices"

	"github.com/blevesearch/bleve/v2/analysis"
	blevedocument "github.com/blevesearch/bleve/v2/document"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"motte/core/identity"
)

// maxOccurrences is how often a word is kept in one field of one object. To
// check a phrase, Bleve loads all places of its words and compares each with
// each.
const maxOccurrences = 256

// Options of Bleve's fields: the texts themselves are kept for merging, the
// places of words for phrases.
const (
	textOptions = bleveindex.IndexField | bleveindex.IncludeTermVectors | bleveindex.StoreField
	allOptions  = bleveindex.IndexField | bleveindex.IncludeTermVectors
)

// document returns what Bleve is to index: the texts by field, and all of them
// together if there are several fields.
func (x *index) document(v identity.Value, texts map[string][]string) *blevedocument.Document {
	d := blevedocument.NewDocument(string(v[:]))
	for _, f := range x.fields {
		words := sparing{x.analyzer, make(map[string]int)}
		for i, text := range texts[f.name] {
			d.AddField(blevedocument.NewTextFieldCustom(f.name, []uint64{uint64(i)}, []byte(text), textOptions, words))
		}
	}
	if len(x.fields) > 1 {
		d.AddField(blevedocument.NewCompositeFieldWithIndexingOptions(allFields, true, nil, nil, allOptions))
	}
	return d
}

// sparing analyses the texts of one field of one object, and leaves out a word
// that it has seen too often.
type sparing struct {
	analysis.Analyzer
	seen map[string]int
}

// Analyze implements analysis.Analyzer. Bleve analyses a document in one
// goroutine.
func (s sparing) Analyze(text []byte) analysis.TokenStream {
	return slices.DeleteFunc(s.Analyzer.Analyze(text), func(t *analysis.Token) bool {
		s.seen[string(t.Term)]++
		return s.seen[string(t.Term)] > maxOccurrences
	})
}
