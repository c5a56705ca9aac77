package main

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/blevesearch/bleve/v2/search/query"
	"github.com/blevesearch/bleve/v2/search/searcher"
)

// Limits of a predicate, which a client chooses. They bound the cost of one answer.
const (
	maxPredicate = 8 << 10 // bytes
	maxClauses   = 256     // words and phrases
	maxPatterns  = 8       // words with wildcards, prefixes and misspellings
	maxPattern   = 64      // bytes of one pattern
	maxWild      = 4       // * and ? in one pattern: each may double the automaton that finds the words
	maxPhrases   = 1 << 10 // bytes of all phrases: all positions of their words are in memory together
	maxWeight    = 1000    // number after ^: with a larger weight, or one that is not a number, the ranking fails
	maxRanked    = 2048    // words that a pattern may stand for in a ranked answer

	maxTime = 5 * time.Second // of one answer: far below the deadline, since searches wait for each other
)

// errPredicate says that the Task does not accept a predicate.
var errPredicate = errors.New("not a predicate")

// parse parses Bleve's query string, and accepts only its documented part: words, phrases,
// wildcards and misspellings, each with or without a field, + and -, and weights. An empty
// predicate finds all objects.
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
	if c.refused || c.clauses > maxClauses || c.patterns > maxPatterns || c.phrases > maxPhrases {
		return nil, errPredicate
	}
	return b, nil
}

// checker checks a parsed predicate.
type checker struct {
	fields   []field
	clauses  int
	patterns int
	phrases  int // bytes of all phrases
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

// clause checks one clause and returns the clause to use instead.
func (c *checker) clause(q query.Query) query.Query {
	if w, ok := q.(query.BoostableQuery); ok {
		c.refused = c.refused || !(w.Boost() >= 0 && w.Boost() <= maxWeight) // false for NaN, too
	}
	switch q := q.(type) {
	case *query.MatchQuery:
		c.field(q.FieldVal)
		if q.Fuzziness > 0 {
			c.pattern(q.Match)
		}
		c.refused = c.refused || q.Fuzziness < 0 || q.Fuzziness > searcher.MaxFuzziness
		return q
	case *query.MatchPhraseQuery:
		c.field(q.FieldVal)
		c.phrases += len(q.MatchPhrase)
		return phrase{q}
	case *query.WildcardQuery:
		c.field(q.FieldVal)
		q.Wildcard = strings.ToLower(q.Wildcard) // as all analyzers do
		c.pattern(q.Wildcard)
		return q
	case *query.DisjunctionQuery:
		// A number. Bleve would search it as a word or in a numeric field. This index has no
		// numeric fields.
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

// pattern counts a pattern. It refuses a pattern whose automaton would have thousands of states.
func (c *checker) pattern(text string) {
	c.patterns++
	c.refused = c.refused || len(text) > maxPattern || strings.Count(text, "*")+strings.Count(text, "?") > maxWild
}

// field refuses an unknown field: its name is misspelt.
func (c *checker) field(name string) {
	known := slices.ContainsFunc(c.fields, func(f field) bool { return f.name == name })
	c.refused = c.refused || name != "" && !known
}
