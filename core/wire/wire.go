// Package wire is the protocol between clients and the Core: requests with the uni-format
// header (paper, section 5, "Query Handling"), and replies. It encodes replies and decodes
// requests; package client/frames is the client's half.
//
// A request is a header of RequestHeaderSize bytes and a body of three parts. The header
// gives the length of each part:
//
//	magic "MTRQ" | version 1 | operation 1 | data type 1 | flags 1
//	number 8 | limit 4 | rights 1 | index options 1 | reserved 2
//	collection 32 | index 32 | identity 32
//	len(name) 4 | len(sub-query) 4 | len(object) 4 | reserved 4
//	name … | sub-query … | object …
//
// A reply is one frame or a stream of frames, the last of which has ReplyLast:
//
//	magic "MTRP" | version 1 | kind 1 | code 1 | flags 1
//	number 8 | len(body) 4 | count 4 | head 40
//	body …
//
// Invariants:
//
//  1. A length is checked against its limit before memory is allocated for it.
//  2. Each message has exactly one encoding, and reserved bytes are zero.
//  3. A message of another version is refused with a code of its own.
//
// docs/reference/wire-protocol.md describes the protocol in full; testdata/ has a golden
// vector of every frame.
package wire

// Version is the only protocol version spoken. A request and a reply begin with their magic.
const (
	Version      = 1
	RequestMagic = "MTRQ"
	ReplyMagic   = "MTRP"
)

// Sizes and limits.
const (
	RequestHeaderSize = 136 // bytes
	ReplyHeaderSize   = 64  // bytes

	MaxBatch      = 1024 // operations in one atomic batch: they become durable in one write
	MaxGetMany    = 256  // objects that one GETMANY asks for: they are decided under one lock
	MaxAttributes = 16   // of one PUT: one for each index that a collection can have
)

// Flags qualify an operation.
type Flags uint8

// Flags of requests. A flag that does not belong to the operation is refused.
const (
	FlagIfAbsent   Flags = 1 << 0 // put: only if the name is not in use
	FlagIfIdentity Flags = 1 << 1 // put, delete: only if the object has the identity in the header
	FlagIDsOnly    Flags = 1 << 2 // search, list: identities without the objects
	FlagErase      Flags = 1 << 3 // remove principal: and destroy the objects that it put
	FlagExplain    Flags = 1 << 4 // search, count: how an expression was computed, instead of the objects
)
