// Command motte-task-ordered is the Task of typed range indexes: it keeps
// values of one type in order and answers predicates such as
//
//	>= 30 and < 40
//	prefix "Ly" order desc
//
// Configuration, in JSON: "path" is the JSON Pointer (RFC 6901) to the value
// in the input; without it the whole input is the value, as text. "type" is
// int64, float64, string, time or bool; it may be left out if the index declares its
// data type. "keys" are the components of a composite key instead, "fold" ignores case, and
// "missing" indexes objects without a value. docs/reference/tasks/ordered.md is the full text.
//
// Invariants:
//
//  1. Under each identity value the index holds the keys of at most one identity: the
//     last that was inserted.
//  2. A predicate is a set of keys (see set). A search finds an object once if at least
//     one of its keys is in the set.
//  3. An input without a value is neither indexed nor refused. It is not JSON, or has no
//     value at the path, or null. With "missing" a JSON text is indexed all the same. A value of
//     another type is refused.
//  4. All pages of an answer have each object once. If changes come in between, an object that
//     does not change is never on two pages.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
