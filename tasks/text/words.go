package main

import (
	"slices"

	"github.com/blevesearch/bleve/v2/analysis"
	blevedocument "github.com/blevesearch/bleve/v2/document"
	bleveindex "github.com/blevesearch/bleve_index_api"

	"motte/core/identity"
	"motte/sdk"
)

// maxOccurrences bounds the positions that are stored of a word in one field of one object. To
// check a phrase, Bleve loads all positions of its words and compares each pair.
const maxOccurrences = 256

// Options of Bleve's fields. The texts are stored for merging, and the positions of words for
// phrases.
const (
	textOptions = bleveindex.IndexField | bleveindex.IncludeTermVectors | bleveindex.StoreField
	allOptions  = bleveindex.IndexField | bleveindex.IncludeTermVectors
	ownerOption = bleveindex.IndexField | bleveindex.SkipFreqNorm
)

// document returns the document for Bleve: the owner, the texts by field, and all texts together
// if there are several fields.
func (x *index) document(v identity.Value, owner sdk.Owner, texts map[string][]string) *blevedocument.Document {
	d := blevedocument.NewDocument(string(v[:]))
	d.AddField(blevedocument.NewTextFieldCustom(ownerField, nil, ownerTerm(owner), ownerOption, nil))
	for _, f := range x.fields {
		words := sparing{x.analyzer, make(map[string]int)}
		for i, text := range texts[f.name] {
			d.AddField(blevedocument.NewTextFieldCustom(f.name, []uint64{uint64(i)}, []byte(text), textOptions, words))
		}
	}
	if len(x.fields) > 1 {
		d.AddField(blevedocument.NewCompositeFieldWithIndexingOptions(allFields, true, nil, []string{ownerField}, allOptions))
	}
	return d
}

// sparing analyses the texts of one field of one object. It drops further occurrences of a word
// after maxOccurrences.
type sparing struct {
	analysis.Analyzer
	seen map[string]int
}

// Analyze implements analysis.Analyzer. Bleve analyses each document in one goroutine.
func (s sparing) Analyze(text []byte) analysis.TokenStream {
	return slices.DeleteFunc(s.Analyzer.Analyze(text), func(t *analysis.Token) bool {
		s.seen[string(t.Term)]++
		return s.seen[string(t.Term)] > maxOccurrences
	})
}
