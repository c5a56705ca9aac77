package model

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
