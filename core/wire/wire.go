// Package wire is the protocol between clients and the Core: the uni-format
// request header that the Core reads (paper, section 5, "Query Handling"), the
// sub-query behind it that only a Task understands, and the replies.
//
// A request is a header of RequestHeaderSize bytes and a body of three parts,
// each of the length that the header names:
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
// Invariants: a length is checked against its limit before anything is
// allocated for it; each message has exactly one encoding; reserved bytes are
// zero; an unknown version is refused by name. docs/reference/wire-protocol.md
// is the full text, testdata/ holds a golden vector of every frame.
package wire

// Version is the only protocol version spoken; the magics are what requests and
// replies begin with.
const (
	Version      = 1
	RequestMagic = "MTRQ"
	ReplyMagic   = "MTRP"
)

// Sizes and limits, checked before anything is allocated.
const (
	RequestHeaderSize = 136 // bytes
	ReplyHeaderSize   = 64  // bytes

	MaxBatch      = 1024 // operations in one atomic batch: they become durable in one write
	MaxGetMany    = 256  // objects that one GETMANY asks for: they are decided under one lock
	MaxAttributes = 16   // of one PUT: one for each index that a collection can have
)

// Flags qualify an operation.
type Flags uint8

// Flags of requests. Bits that an operation does
// not list are refused.
const (
	FlagIfAbsent   Flags = 1 << 0 // put: only if the name is not in use
	FlagIfIdentity Flags = 1 << 1 // put, delete: only if the object's identity still is the header's
	FlagIDsOnly    Flags = 1 << 2 // search, list: identities without the objects
	FlagErase      Flags = 1 << 3 // remove principal: and all that it put, for good
)
