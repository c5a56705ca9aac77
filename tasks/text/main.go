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
// Without path and fields the whole input is the text. docs/reference/predicates.md
// says what can be asked.
//
// Invariants:
//
//  1. Under each identity value there is one document, of the identity that was
//     last inserted, or none.
//  2. Nothing is written outside the memory of the process: Bleve's segments
//     are merged here (see runs), since Bleve itself would do it in files.
//  3. What one predicate can cost is bounded before it is asked; in any case it
//     ends in time.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
