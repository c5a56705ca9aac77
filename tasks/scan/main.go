// Command motte-task-scan is the Task without an index: it keeps JSON objects, and evaluates a predicate
// over each of them. The predicates are expressions of the Common Expression Language (CEL), such as
//
//	object.size > 100 && object.tags.exists(t, t.startsWith("x"))
//
// Configuration, in JSON: "path" is a JSON Pointer (RFC 6901) to the value that is kept, in place of the whole
// input. docs/reference/tasks/scan.md is the full text.
//
// Invariants:
//
//  1. Under each identity value the index holds the text of at most one identity: the last that was
//     inserted. A text is JSON without white space.
//  2. An object matches if the predicate is true of it. A predicate that fails does not match.
//  3. An answer has the objects in the order of their identities, and only those of the owner
//     and of the candidates are evaluated.
//  4. All work of a query is counted in steps: the cost of CEL, and the bytes that are read to find
//     members.
package main

import (
	_ "time/tzdata" // CEL knows time zones, and a Task has no files

	"motte/sdk"
)

func main() { sdk.Serve(&index{}) }
