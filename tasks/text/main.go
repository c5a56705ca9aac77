// Command motte-task-text is the Task of full-text indexes: words, phrases, patterns, misspellings and
// boolean operators in any script, the best matches first if the index is declared ordered. It is an
// inverted index in memory.
//
// Configuration, in JSON, all of it optional:
//
//	"path"        JSON Pointer to the text in the input; the field is called "text"
//	"fields"      instead of path: JSON Pointers to several texts; each field is
//	              called as the last token of its pointer
//	"weights"     by name of field: how much a word in it counts, 1 if left out
//	"language"    words with the same stem in this language are the same word
//	"stop_words"  words that are not indexed: a list, or the code of a language
//	"typos"       true: long words of predicates may differ in letters
//
// Without path and fields the whole input is the text. docs/reference/tasks/text.md says what can be
// asked. Package grammar parses predicates, and package analysis divides texts into words; clients use both.
//
// Invariants:
//
//  1. For each identity value the index has at most one object: that of the identity inserted last.
//  2. The list of a term has exactly the objects whose texts have the term.
//  3. A change costs as many steps as the old and the new text have words, however large the index is.
//  4. The work for a predicate is counted in steps, never by a clock. So the answer does not depend on
//     the load.
//  5. All pages of an answer have each object once, if no change comes in between. If the index
//     is not ordered, an object that does not change is never on two pages. If it is ordered,
//     changes of other objects may change the ranks. Then only the last eight objects shown
//     are never shown again.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
