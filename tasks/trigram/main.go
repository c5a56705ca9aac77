// Command motte-task-trigram is the Task of substrings and regular expressions: it finds texts by any
// part of them. It answers predicates such as
//
//	"sub string" and not ^"lib"
//	title:/colou?r/i or /^[a-z]+-dev$/
//
// Configuration, in JSON: "path" is the JSON Pointer (RFC 6901) to the text in the input, or "fields" is
// an array of several; without them the whole input is the text. docs/reference/tasks/trigram.md is the
// full text.
//
// A trigram is three bytes of a folded text that follow each other. The index has the set of objects of
// each trigram. A pattern says which trigrams a text must have. The texts of the objects with these
// trigrams, the candidates, are then compared with the pattern.
//
// Invariants:
//
//  1. Under each identity value the index holds the texts of at most one identity: the last that was
//     inserted.
//  2. The set of a trigram has the numbers of exactly the objects of which a folded text has it.
//  3. The candidates of a predicate are at least all objects that match it.
//  4. An answer has the objects in the order of their identities.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
