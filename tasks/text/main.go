// Command motte-task-text is the Task of full-text indexes: words, phrases,
// prefixes, misspellings and boolean operators, the best matches first if the
// index is declared ordered. It is Bleve, in memory.
//
// Configuration, in JSON, all of it optional:
//
//	"path"      JSON Pointer to the text in the input; the field is called "text"
//	"fields"    instead of path: JSON Pointers to several texts; each field is
//	            called as the last token of its pointer
//	"analyzer"  "standard" (words, in lower case, without common English ones;
//	            the default), "en" (stemmed English), "simple" (letters only)
//
// Without path and fields the whole input is the text. docs/reference/tasks/text.md
// says what can be asked.
//
// Invariants:
//
//  1. For each identity value the index has at most one document: that of the identity
//     inserted last.
//  2. The Task writes only to its own memory. It merges Bleve's segments itself (see
//     runs), since Bleve would do that in files.
//  3. The cost of a predicate is bounded before the search begins, and so is its time.
//  4. All pages of an answer have each object once, if no change comes in between. If the index
//     is not ordered, an object that does not change is never on two pages. If it is ordered,
//     changes of other objects may change the ranks. Then only the last eight objects shown
//     are never shown again.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
