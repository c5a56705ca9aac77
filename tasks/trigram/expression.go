package main

import (
	"bytes"
	"regexp"

	"motte/sdk"
)

// maxWork bounds the work of one query, in steps. Comparing a byte of a text with a substring takes a
// step, and comparing it with a regular expression one for each instruction of its program. They take a few
// seconds, and ten at worst.
const maxWork = 1 << 30

// evaluation is the evaluation of one query.
type evaluation struct {
	index *index
	work  int   // the steps that are left
	err   error // sdk.ErrTooExpensive if there are none
}

// spend takes steps. It returns false if too few are left.
func (run *evaluation) spend(steps int) bool {
	if run.work -= steps; run.work < 0 {
		run.err = sdk.ErrTooExpensive
	}
	return run.err == nil
}

// expression is a parsed predicate, or a part of it.
type expression interface {
	// need returns a condition that the trigrams of each matching object satisfy.
	need() need

	// matches reports whether an object with these texts matches. After an error the result has no
	// meaning.
	matches(run *evaluation, t texts) bool
}

// everything matches all objects.
type everything struct{}

func (everything) need() need                      { return need{} }
func (everything) matches(*evaluation, texts) bool { return true }

// not matches the objects that an expression does not match.
type not struct{ expression }

func (not) need() need                              { return need{} }
func (e not) matches(run *evaluation, t texts) bool { return !e.expression.matches(run, t) }

// and matches the objects that all of its expressions match.
type and []expression

func (e and) need() (n need) {
	for _, part := range e {
		n = both(n, part.need())
	}
	return n
}

func (e and) matches(run *evaluation, t texts) bool {
	for _, part := range e {
		if !part.matches(run, t) {
			return false
		}
	}
	return true
}

// or matches the objects that at least one of its expressions matches.
type or []expression

func (e or) need() need {
	var parts []need
	for _, part := range e {
		parts = append(parts, part.need())
	}
	return either(parts)
}

func (e or) matches(run *evaluation, t texts) bool {
	for _, part := range e {
		if part.matches(run, t) {
			return true
		}
	}
	return false
}

// allFields is the number that stands for every field.
const allFields = -1

// part matches the objects of which a text contains a part, in the given case.
type part struct {
	field  int
	text   []byte
	prefix bool // the text begins with the part
	suffix bool // the text ends with the part
}

func (e part) need() need { return needOfPart(string(e.text)) }

func (e part) matches(run *evaluation, t texts) bool {
	for field, text := range t.all() {
		if e.field != allFields && e.field != field {
			continue
		}
		if !run.spend(1 + len(text)) {
			return false
		}
		if e.isIn(text) {
			return true
		}
	}
	return false
}

func (e part) isIn(text []byte) bool {
	switch {
	case e.prefix && e.suffix:
		return bytes.Equal(text, e.text)
	case e.prefix:
		return bytes.HasPrefix(text, e.text)
	case e.suffix:
		return bytes.HasSuffix(text, e.text)
	}
	return bytes.Contains(text, e.text)
}

// pattern matches the objects of which a text matches a regular expression.
type pattern struct {
	field  int
	regexp *regexp.Regexp
	size   int // about the instructions of its program
	needed need
}

func (e *pattern) need() need { return e.needed }

func (e *pattern) matches(run *evaluation, t texts) bool {
	for field, text := range t.all() {
		if e.field != allFields && e.field != field {
			continue
		}
		if !run.spend((1 + len(text)) * e.size) {
			return false
		}
		if e.regexp.Match(text) {
			return true
		}
	}
	return false
}
