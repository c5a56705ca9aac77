// Command motte-task-filter is the Task of exact matches over many fields: it keeps, for each value of
// each field of JSON objects, the set of objects that have it. It answers predicates such as
//
//	section = "devel" and priority in ("optional", "extra") and not tags has "x"
//	exists /homepage and missing /address/city
//
// Configuration, in JSON: "fields" is an array of JSON Pointers (RFC 6901) to the values. Without it,
// all members of all objects are fields. docs/reference/tasks/filter.md is the full text.
//
// Invariants:
//
//  1. Under each identity value the index holds the terms of at most one identity: the last that was
//     inserted. A term is a field with one of its values, or the mark that a field has a value.
//  2. A set of a term has the numbers of exactly the objects with the term. A term that no object
//     has is forgotten.
//  3. An answer has the objects in the order of their identities.
//  4. An input that is not JSON is neither indexed nor refused. An object without any field is
//     indexed, since "missing" finds it.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
