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

// Limits of a predicate. A client chooses it, so they bound what one answer
// can cost.
const (
	maxPredicate = 8 << 10 // bytes
	maxClauses   = 256     // words and phrases
	maxPatterns  = 8       // of them those that stand for many words
	maxPattern   = 64      // bytes of one
	maxWild      = 4       // * and ? in it: with each the automaton that finds the words may grow twofold
	maxPhrases   = 1 << 10 // bytes of all phrases: the places of their words are all held at once
	maxWeight    = 1000    // what stands behind ^: over it, or if it is no number, there is no best match
	maxRanked    = 2048    // words that one pattern may stand for, to be ranked by them

	maxTime = 5 * time.Second // for one answer: well below the deadline, since searches wait for each other
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
	if c.refused || c.clauses > maxClauses || c.patterns > maxPatterns || c.phrases > maxPhrases {
		return nil, errPredicate
	}
	return b, nil
}

// checker goes over a parsed predicate.
type checker struct {
	fields   []field
	clauses  int
	patterns int
	phrases  int // bytes
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
		c.refused = c.refused || !(w.Boost() >= 0 && w.Boost() <= maxWeight) // NaN is neither
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
		q.Wildcard = strings.ToLower(q.Wildcard) // as all analyzers do with words
		c.pattern(q.Wildcard)
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

// pattern counts a pattern. It refuses a pattern for which Bleve would build an automaton of
// thousands of states.
func (c *checker) pattern(text string) {
	c.patterns++
	c.refused = c.refused || len(text) > maxPattern || strings.Count(text, "*")+strings.Count(text, "?") > maxWild
}

// field refuses a field that the index does not have: its name is misspelt.
func (c *checker) field(name string) {
	known := slices.ContainsFunc(c.fields, func(f field) bool { return f.name == name })
	c.refused = c.refused || name != "" && !known
}
