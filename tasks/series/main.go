// Command motte-task-series is the Task of time series: it keeps the times of objects, in series, and
// answers predicates such as
//
//	series = "zurich" and from 2024-05-01T00:00:00Z to 2024-06-01T00:00:00Z
//	series prefix "zu" and value >= 30 every 1h last
//	last 5 order desc
//
// Configuration, in JSON: "time" is the JSON Pointer (RFC 6901) to the time in the input, a string of
// RFC 3339. With "unit" it is a number: of s, ms, us or ns since 1970. "series" is a pointer, or a list of
// pointers, to the key of the series. "value" is the pointer to a number.
// docs/reference/tasks/series.md is the full text.
//
// # How it works
//
// A series has the objects of one owner with one key: a client that may see its own objects alone
// learns nothing of those of others. A series is a list of chunks in the order of time. A chunk has up to
// 128 objects: their identities, and a text with their times and values, coded as differences. A hash table
// finds the chunk of an identity.
//
// # Invariants
//
//  1. Under each identity value the index holds at most one identity: the last that was inserted.
//  2. Chunks of a series are not empty, and ascend by time and value of the identity, like the objects in
//     them.
//  3. An answer has the order of key, owner, time and value, or the reverse. So an object that does not
//     change is never on two pages.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
