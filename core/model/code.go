package model

// Code is the outcome of a request, from a fixed enumeration. So an error holds no text,
// and no number that a Task chose.
type Code uint8

// The codes. With a code other than OK, the request changed nothing, unless
// docs/reference/wire-protocol.md says otherwise.
const (
	OK                  Code = 0
	Malformed           Code = 1  // the frame can't be decoded; the connection is closed
	UnsupportedVersion  Code = 2  // the connection is closed
	InvalidRequest      Code = 3  // the parts of the request do not fit its operation
	UnknownPrincipal    Code = 4  // the client's key is not registered; the connection is closed
	Denied              Code = 5  // the principal lacks the right
	NotFound            Code = 6  // there is no such object that the principal may read
	NoCollection        Code = 7  // there is no such collection in which the principal has a right
	NoIndex             Code = 8  // the collection has no such index
	NoTask              Code = 9  // no Task of that name is registered
	NoPrincipal         Code = 10 // no such principal is registered
	Exists              Code = 11 // a collection, index or principal has this name already
	PreconditionFailed  Code = 12 // the name is in use, or the identity is not the current one
	TooLarge            Code = 13 // an object, name or sub-query is over its limit; the connection is closed
	Expired             Code = 14 // the client read so slowly that an object of the answer is gone
	TooManyConnections  Code = 15 // the connection is closed
	LimitReached        Code = 16 // the catalogue is full
	IndexUnavailable    Code = 17 // the index is being built, restarted or rebuilt: try again
	QueryRefused        Code = 18 // the Task does not accept the predicate
	Damaged             Code = 19 // a stored record fails its check
	StorageFailed       Code = 20 // the disk refuses writes; reads still work
	LeakBudgetExhausted Code = 21 // a leak budget of the index does not cover the query or its answer
	ShuttingDown        Code = 22 // the Core stops: try again later
	Overloaded          Code = 23 // a queue is full: try again
	IndexViolated       Code = 24 // the Task broke its contract while answering: it is quarantined
	HistoryDiffers      Code = 25 // the head of a HEAD is not part of the log's history
	TooSlow             Code = 26 // the Task took too long over the query: try again
	DiskFull            Code = 27 // requests that make the store grow are refused: delete objects and COMPACT
	QuotaExceeded       Code = 28 // the write would make the collection exceed its quota
	ReadFailed          Code = 29 // the disk failed to read a stored record: try again
	TooExpensive        Code = 30 // the query takes the Task too much work: narrow it, or try again
	Gone                Code = 31 // the objects after which a page of a SEARCH should begin no longer exist

	LastCode = Gone // no code has a higher number
)
