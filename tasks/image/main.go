// Command motte-task-image is the Task of similar pictures: it keeps a perceptual hash of each picture, and
// answers predicates such as
//
//	similar "iVBORw0KGgo…" within 10
//	near p:c3d2a5b4e1f08796
//
// with the pictures whose hashes differ in the fewest bits, the most similar first.
//
// Configuration, in JSON: "path" is the JSON Pointer (RFC 6901) to a string with the picture in base64;
// without it the whole input is the picture. docs/reference/tasks/image.md is the full text.
//
// The decoders of pictures read what any client sends. An attacker who takes one over is confined like
// the rest of the Task.
//
// Invariants:
//
//  1. Under each identity value the index holds the hash of at most one identity: the last that was
//     inserted.
//  2. A picture is decoded only if its declared size is within limits. So its memory and its time are
//     bounded before it is decoded.
//  3. An answer is exact: a search compares all hashes that it may name.
package main

import "motte/sdk"

func main() { sdk.Serve(&index{}) }
