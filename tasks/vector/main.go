// Command motte-task-vector is the Task of nearest neighbours: it keeps vectors, and answers predicates
// such as
//
//	near [0.1, -0.5, 2] within 0.3
//
// with the objects whose vectors are nearest, the nearest first.
//
// Configuration, in JSON: "dimensions" is the length of each vector, and must be given. "path" is the
// JSON Pointer (RFC 6901) to the vector in the input; without it the whole input is the vector, as
// bytes. "metric", "element", "m", "ef_construction" and "ef" have defaults.
// docs/reference/tasks/vector.md is the full text.
//
// Up to some 20,000 objects an answer compares all vectors. Beyond, it walks through a graph: a
// hierarchical navigable small world (HNSW).
//
// Invariants:
//
//  1. Under each identity value the index holds the vector of at most one identity: the last that was
//     inserted.
//  2. Each object that matches is named once, also far down: an answer widens its walk, and in the end
//     compares all vectors. Only the order of an answer is approximate.
//  3. Each link of the graph is known at both of its ends. So a removed vector leaves no link behind.
//  4. A change takes a bounded number of distances. Vectors that are not in the graph yet are compared
//     by each search.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
