package main

import (
	"slices"
	"strings"
)

// library is the demo's own copy of the collection. The demo compares answers with it.
type library map[string]symbol // by name

// where returns the names of the symbols for which is returns true, sorted.
func (l library) where(is func(symbol) bool) (names []string) {
	for name, s := range l {
		if is(s) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func everything(symbol) bool { return true }

// ofNetwork reports whether the principal "network" put the symbol.
func ofNetwork(s symbol) bool {
	return s.Package == "net" || strings.HasPrefix(s.Package, "net/")
}

// mentions returns a test whether a comment contains a text, in upper or lower case.
func mentions(text string) func(symbol) bool {
	return func(s symbol) bool { return strings.Contains(strings.ToLower(s.Doc), text) }
}

// namesOf returns the names of symbols, sorted.
func namesOf(list []symbol) (names []string) {
	for _, s := range list {
		names = append(names, s.Symbol)
	}
	slices.Sort(names)
	return names
}
