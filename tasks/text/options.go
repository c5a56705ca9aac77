package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
	"motte/tasks/text/analysis"
	"motte/tasks/text/grammar"
)

// Limits of a configuration.
const (
	maxFields    = 16
	maxStopWords = 10_000
)

var errOptions = errors.New("the configuration does not make sense")

// options is the configuration. An unknown member, a null, or a member given twice is refused.
type options struct {
	Path      *string            `json:"path"`
	Fields    []string           `json:"fields"`
	Weights   map[string]float64 `json:"weights"`
	Language  *string            `json:"language"`
	StopWords json.RawMessage    `json:"stop_words"`
	Typos     bool               `json:"typos"`
}

// settings is what the configuration says.
type settings struct {
	fields   []field
	weights  []float64 // by field
	language analysis.Language
	stop     map[string]bool // folded words that are not indexed
	typos    bool            // long words of predicates may differ in letters
}

// field is a text of an input.
type field struct {
	name string
	path pointer.Pointer // nil: the whole input
}

func parseOptions(text []byte) (s settings, err error) {
	var o options
	if len(text) > 0 {
		if err := ijson.Decode(text, &o); err != nil {
			return s, fmt.Errorf("%w: %w", errOptions, err)
		}
	}
	s.typos = o.Typos
	if s.fields, err = o.fields(); err != nil {
		return s, err
	}
	if s.weights, err = o.weights(s.fields); err != nil {
		return s, err
	}
	if o.Language != nil {
		var ok bool
		if s.language, ok = analysis.NewLanguage(*o.Language); !ok {
			return s, fmt.Errorf("%w: language %q", errOptions, *o.Language)
		}
	}
	s.stop, err = o.stopWords(&s.language)
	return s, err
}

func (o *options) fields() (fields []field, err error) {
	switch {
	case o.Path != nil && o.Fields != nil:
		return nil, fmt.Errorf("%w: both path and fields", errOptions)
	case o.Path != nil:
		p, err := pointer.Parse(*o.Path)
		return []field{{grammar.SoleField, p}}, err
	case o.Fields == nil:
		return []field{{grammar.SoleField, nil}}, nil
	case len(o.Fields) == 0 || len(o.Fields) > maxFields:
		return nil, fmt.Errorf("%w: %d fields", errOptions, len(o.Fields))
	}
	for _, s := range o.Fields {
		p, err := pointer.Parse(s)
		if err != nil {
			return nil, err
		}
		if len(p) == 0 || !grammar.IsFieldName(p[len(p)-1]) {
			return nil, fmt.Errorf("%w: %q does not name a field", errOptions, s)
		}
		name := p[len(p)-1]
		if slices.ContainsFunc(fields, func(f field) bool { return f.name == name }) {
			return nil, fmt.Errorf("%w: two fields are called %q", errOptions, name)
		}
		fields = append(fields, field{name, p})
	}
	return fields, nil
}

// weights returns the weight of each field.
func (o *options) weights(fields []field) (weights []float64, err error) {
	given := 0
	for _, f := range fields {
		w, ok := o.Weights[f.name]
		if !ok {
			w = 1
		} else if given++; !(w >= 0 && w <= grammar.MaxWeight) {
			return nil, fmt.Errorf("%w: the weight of %q", errOptions, f.name)
		}
		weights = append(weights, w)
	}
	if given != len(o.Weights) {
		return nil, fmt.Errorf("%w: the weight of a field that the index does not have", errOptions)
	}
	return weights, nil
}

// stopWords returns the words that are not indexed: a list, or that of the language.
func (o *options) stopWords(l *analysis.Language) (stop map[string]bool, err error) {
	if o.StopWords == nil {
		return nil, nil
	}
	var words []string
	var code string
	if json.Unmarshal(o.StopWords, &code) == nil {
		words, err = stopWordsOf(code)
	} else {
		err = json.Unmarshal(o.StopWords, &words)
	}
	if err != nil || len(words) > maxStopWords {
		return nil, fmt.Errorf("%w: stop words", errOptions)
	}
	stop = make(map[string]bool)
	for _, w := range words {
		var terms []string
		analysis.Terms(l.Fold(w), func(term string, _ analysis.Run) { terms = append(terms, term) })
		if len(terms) == 1 {
			stop[terms[0]] = true // others are phrases, such as don't
		}
	}
	return stop, nil
}
