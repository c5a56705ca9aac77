// Package wire is the protocol between clients and the Core: the uni-format
// request header that the Core reads (paper, section 5, "Query Handling"), the
// sub-query behind it that only a Task understands, and the replies.
//
// A request is a header of RequestHeaderSize bytes and a body of three parts,
// each of the length that the header names:
//
//	magic "MTRQ" | version 1 | operation 1 | data type 1 | flags 1
//	number 8 | limit 4 | reserved 4 | collection 32 | index 32 | identity 32
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

	MaxObject     = 16 << 20 // bytes: an object is held in memory whole while it is sealed or opened
	MaxName       = 512      // bytes
	MaxSubQuery   = 1 << 20  // bytes: also the limit of a configuration and of all attributes of a PUT
	MaxBatch      = 1024     // operations in one atomic batch: they become durable in one write
	MaxIdentifier = 32       // bytes: the name of a collection, index or Task
	MaxLabel      = 64       // bytes: the label of a principal
	MaxAttributes = 16       // of one PUT: one for each index that a collection can have

	MaxResultsLimit = 1 << 20 // identities that a row lets a Task answer: 32 MiB
	MaxDeadline     = 600_000 // milliseconds that a row gives a Task
)

// Operation says what a request asks for.
type Operation uint8

// The operations. Which parts of the request each one uses is listed in
// docs/reference/wire-protocol.md; a part that is not used must be empty.
const (
	OpPut         Operation = 1 // name?, attributes, object → identity
	OpGet         Operation = 2 // name or identity → object
	OpSearch      Operation = 3 // index, predicate → objects or identities
	OpDelete      Operation = 4 // name or identity
	OpDeleteWhere Operation = 5 // index, predicate → count
	OpCount       Operation = 6 // index, predicate → count of checked identities
	OpList        Operation = 7 // → every object of the collection that the principal may read
	OpBatch       Operation = 8 // puts and deletes, all or none → identities

	OpCreateCollection Operation = 16
	OpDropCollection   Operation = 17
	OpCreateIndex      Operation = 18 // name: Task; sub-query: configuration
	OpDropIndex        Operation = 19
	OpRegisterTask     Operation = 20 // name: Task; sub-query: row of the API format table
	OpAddPrincipal     Operation = 21 // identity: principal; name: label
	OpRemovePrincipal  Operation = 22
	OpGrant            Operation = 23 // flags: rights; no collection: the server itself
	OpRevoke           Operation = 24
	OpQuota            Operation = 25 // sub-query: the most bytes and objects that the collection may hold

	OpStatus Operation = 32 // → status items
	OpAlerts Operation = 33 // → alerts
	OpHead   Operation = 34 // sub-query: a head to be found in the log's history, or nothing; also a ping

	OpCompact Operation = 35 // give back all space that nothing needs
	OpVerify  Operation = 36 // read every live record → objects, bytes, damaged ones

	OpRotatePrincipal Operation = 37 // identity: principal; sub-query: the principal of its next key

	LastOperation = OpRotatePrincipal // no operation has a higher number
)

// DataType says what an index's inputs and predicates hold. The Core compares
// it with the index's own and does nothing else with it.
type DataType uint8

// The data types. TypeAny in a request matches every index.
const (
	TypeAny DataType = iota
	TypeBytes
	TypeText
	TypeInt64
	TypeFloat64
	TypeString
	TypeTime // RFC 3339
	typeEnd
)

// Flags qualify an operation. OpGrant and OpRevoke carry rights instead.
type Flags uint8

// Flags of requests, and of the server in a status. Bits that an operation does
// not list are refused.
const (
	FlagIfAbsent   Flags = 1 << 0 // put: only if the name is not in use
	FlagIfIdentity Flags = 1 << 1 // put, delete: only if the object's identity still is the header's
	FlagIDsOnly    Flags = 1 << 2 // search, list: identities without the objects

	FlagOrdered   Flags = 1 << 0 // create index: the Task's order is kept
	FlagLazy      Flags = 1 << 1 // create index: a PUT does not wait for it
	FlagAttribute Flags = 1 << 2 // create index: fed the attribute of its name, not the object

	FlagErase Flags = 1 << 0 // remove principal: and all that it put, for good

	StatusKeyInStore Flags = 1 << 0 // the root key lies in the data directory: a stolen disk is readable
	StatusReadOnly   Flags = 1 << 1 // the disk refused a write
	StatusDiskFull   Flags = 1 << 2 // the reserve of the disk is used: see DiskFull
)

// Code is the outcome of a request: one of a fixed enumeration, so that no
// text, and no number that a Task chose, is ever part of an error.
type Code uint8

// The codes. A code other than OK means that nothing was changed, save where
// the comment says otherwise.
const (
	OK                  Code = 0
	Malformed           Code = 1  // the frame can't be decoded; the connection is closed
	UnsupportedVersion  Code = 2  // the connection is closed
	InvalidRequest      Code = 3  // decoded, but its parts do not fit its operation
	UnknownPrincipal    Code = 4  // the client's key is not registered; the connection is closed
	Denied              Code = 5  // the principal lacks the right
	NotFound            Code = 6  // no such object, or none that the principal may see
	NoCollection        Code = 7  // or none that the principal has a right in
	NoIndex             Code = 8  //
	NoTask              Code = 9  // no Task of that name is registered
	NoPrincipal         Code = 10 //
	Exists              Code = 11 // a collection, index or principal of that name is there already
	PreconditionFailed  Code = 12 // "if absent" or "if this identity is still current" does not hold
	TooLarge            Code = 13 // an object, name or sub-query is over its limit; the connection is closed
	Expired             Code = 14 // the answer was taken so slowly that something it was to show is gone
	TooManyConnections  Code = 15 // the connection is closed
	LimitReached        Code = 16 // the catalogue is full
	IndexUnavailable    Code = 17 // the index is being built, restarted or rebuilt: try again
	QueryRefused        Code = 18 // the Task does not accept the predicate
	Damaged             Code = 19 // a stored record fails its check
	StorageFailed       Code = 20 // the disk refuses writes: the Core only reads until it takes them again
	LeakBudgetExhausted Code = 21 // a leak budget of the index does not cover the question or its answer
	ShuttingDown        Code = 22 // try another time
	Overloaded          Code = 23 // a queue is full: try again
	IndexViolated       Code = 24 // the Task broke its contract while answering: it is quarantined
	HistoryDiffers      Code = 25 // the head asked about is not part of the log's history
	TooSlow             Code = 26 // the Task took too long over the query: try again
	DiskFull            Code = 27 // no request may make the store grow: delete, COMPACT, or make room
	QuotaExceeded       Code = 28 // the collection would hold more bytes or objects than its quota lets it
	ReadFailed          Code = 29 // the disk did not give a stored record back: try again

	LastCode = ReadFailed // no code has a higher number
)
