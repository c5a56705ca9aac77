package main

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/search/query"
	"github.com/blevesearch/bleve/v2/search/searcher"
)

// Limits of a predicate. A client chooses it, so they bound what one answer
// can cost.
const (
	maxPredicate = 8 << 10 // bytes
	maxClauses   = 256     // words and phrases
	maxPatterns  = 8       // of them those that stand for many words
	maxRanked    = 2048    // words that one pattern may stand for, to be ranked by them
)

// errPredicate says that a predicate is not one that the Task answers.
var errPredicate = errors.New("not a predicate")

// parse reads Bleve's query string and lets through what is documented: words,
// phrases, wildcards and misspellings, each with or without a field, + and -
// and boosts. An empty predicate finds everything.
func parse(predicate []byte, fields []field) (query.Query, error) {
	text := strings.TrimSpace(string(predicate))
	if len(predicate) > maxPredicate || !utf8.ValidString(text) {
		return nil, errPredicate
	}
	if text == "" || text == "*" {
		return query.NewMatchAllQuery(), nil
	}
	q, err := query.NewQueryStringQuery(text).Parse()
	if err != nil {
		return nil, errPredicate
	}
	b, ok := q.(*query.BooleanQuery)
	if !ok {
		return nil, errPredicate
	}
	c := checker{fields: fields}
	for _, part := range []query.Query{b.Must, b.Should, b.MustNot} {
		c.group(part)
	}
	if c.refused || c.clauses > maxClauses || c.patterns > maxPatterns {
		return nil, errPredicate
	}
	return b, nil
}

// checker goes over a parsed predicate.
type checker struct {
	fields   []field
	clauses  int
	patterns int
	refused  bool
}

// group checks the clauses that must, should or must not match.
func (c *checker) group(q query.Query) {
	switch q := q.(type) {
	case nil:
	case *query.ConjunctionQuery:
		c.list(q.Conjuncts)
	case *query.DisjunctionQuery:
		c.list(q.Disjuncts)
	default:
		c.refused = true
	}
}

func (c *checker) list(list []query.Query) {
	c.clauses += len(list)
	for i, q := range list {
		list[i] = c.clause(q)
	}
}

// clause checks one clause and returns what takes its place.
func (c *checker) clause(q query.Query) query.Query {
	switch q := q.(type) {
	case *query.MatchQuery:
		c.field(q.FieldVal)
		if q.Fuzziness > 0 {
			c.pattern()
		}
		c.refused = c.refused || q.Fuzziness < 0 || q.Fuzziness > searcher.MaxFuzziness
		return q
	case *query.MatchPhraseQuery:
		c.field(q.FieldVal)
		return q
	case *query.WildcardQuery:
		c.field(q.FieldVal)
		c.pattern()
		q.Wildcard = strings.ToLower(q.Wildcard) // as all analyzers do with words
		return q
	case *query.DisjunctionQuery:
		// A number: Bleve would look for it as a word or as a numeric field. We
		// have none of those.
		if len(q.Disjuncts) == 2 {
			if word, ok := q.Disjuncts[0].(*query.MatchQuery); ok {
				word.BoostVal = q.BoostVal
				return c.clause(word)
			}
		}
	}
	c.refused = true // a regular expression, a comparison
	return q
}

func (c *checker) pattern() { c.patterns++ }

// field refuses a field that the index does not have: its name is misspelt.
func (c *checker) field(name string) {
	known := slices.ContainsFunc(c.fields, func(f field) bool { return f.name == name })
	c.refused = c.refused || name != "" && !known
}
