package client

import (
	"errors"
	"fmt"

	"motte/core/wire"
)

// Error is an outcome other than OK that the Core answered with. Compare with
// errors.Is and the sentinels below.
type Error struct{ Code wire.Code }

// The Core's outcomes as errors. Where nothing else is said, nothing was
// changed.
var (
	ErrInvalidRequest     = &Error{wire.InvalidRequest}
	ErrUnknownPrincipal   = &Error{wire.UnknownPrincipal}
	ErrDenied             = &Error{wire.Denied}
	ErrNotFound           = &Error{wire.NotFound}
	ErrNoCollection       = &Error{wire.NoCollection}
	ErrNoIndex            = &Error{wire.NoIndex}
	ErrNoTask             = &Error{wire.NoTask}
	ErrNoPrincipal        = &Error{wire.NoPrincipal}
	ErrExists             = &Error{wire.Exists}
	ErrPreconditionFailed = &Error{wire.PreconditionFailed}
	ErrTooLarge           = &Error{wire.TooLarge}
	ErrTooManyConnections = &Error{wire.TooManyConnections}
	ErrLimitReached       = &Error{wire.LimitReached}
	ErrIndexUnavailable   = &Error{wire.IndexUnavailable}
	ErrQueryRefused       = &Error{wire.QueryRefused}
	ErrDamaged            = &Error{wire.Damaged}
	ErrStorageFailed      = &Error{wire.StorageFailed}
	ErrLeakBudget         = &Error{wire.LeakBudgetExhausted}
	ErrShuttingDown       = &Error{wire.ShuttingDown}
	ErrOverloaded         = &Error{wire.Overloaded}
	ErrIndexViolated      = &Error{wire.IndexViolated}
	ErrTooSlow            = &Error{wire.TooSlow}
	ErrHistoryDiffers     = &Error{wire.HistoryDiffers} // a *RolledBackError says more
	ErrExpired            = &Error{wire.Expired}
	ErrReadFailed         = &Error{wire.ReadFailed}
	ErrQuota              = &Error{wire.QuotaExceeded}
	ErrDiskFull           = &Error{wire.DiskFull}
)

// RolledBackError says that the Core's log does not have a head in its history
// that the client saw: the store went back to an older state, or it is a branch,
// as when two copies of a store were run. Nothing was sent to that Core but the
// question. errors.Is finds ErrHistoryDiffers in it.
type RolledBackError struct {
	Remembered Head // what the Core, or another copy of it, said was durable
	Found      Head // what it has now
}

// Error says which states, and what can be done.
func (e *RolledBackError) Error() string {
	what := "the store is another branch of its history"
	if e.Found.LSN < e.Remembered.LSN {
		what = "the store went back, or is another branch of its history"
	}
	return fmt.Sprintf("%s: this client saw the log at %s, and the server, whose log is at %s, does not have that in its history. "+
		"Ask the operator; 'motte head accept' goes on with the store as it is, if what is missing was lost and that is accepted",
		what, describe(e.Remembered), describe(e.Found))
}

// describe writes a head for people: enough of it to tell two apart.
func describe(h Head) string {
	return fmt.Sprintf("%d (segment %x…, chain %x…)", h.LSN, h.Segment[:4], h.Chain[:4])
}

// Unwrap returns the Core's answer.
func (e *RolledBackError) Unwrap() error { return ErrHistoryDiffers }

// MissingError says that single objects are not in an answer that is otherwise whole:
// their records are damaged, or could not be read, or went while the answer was taken.
// errors.Is finds the outcome of each of the Objects in it.
type MissingError struct {
	Objects []Missing // the first maxMissing of them
	Count   int       // how many there are
}

// Missing is an object that is not in an answer, and why: ErrDamaged, ErrReadFailed or
// ErrExpired.
type Missing struct {
	Identity Identity
	Err      error
}

// maxMissing bounds the objects that a MissingError names.
const maxMissing = 1024

// Error names the first objects.
func (e *MissingError) Error() string {
	const named = 3
	text := "an object is missing in the answer"
	if e.Count != 1 {
		text = fmt.Sprintf("%d objects are missing in the answer", e.Count)
	}
	for i, m := range e.Objects {
		if i == named {
			return text + fmt.Sprintf("; and %d more", e.Count-named)
		}
		text += fmt.Sprintf("%s %x: %v", [...]string{":", ";"}[min(i, 1)], m.Identity, m.Err)
	}
	return text
}

// Unwrap returns what is said of the objects, damage first: it is for good.
func (e *MissingError) Unwrap() []error {
	var damaged, others []error
	for _, m := range e.Objects {
		if errors.Is(m.Err, ErrDamaged) {
			damaged = append(damaged, m.Err)
		} else {
			others = append(others, m.Err)
		}
	}
	return append(damaged, others...)
}

// join adds to e, which may be nil, what another answer lacks.
func (e *MissingError) join(other *MissingError) *MissingError {
	if e == nil {
		return other
	}
	room := max(0, maxMissing-len(e.Objects))
	e.Objects = append(e.Objects, other.Objects[:min(room, len(other.Objects))]...)
	e.Count += other.Count
	return e
}

// Errors of the client's own.
var (
	ErrClosed         = errors.New("the client is closed")
	ErrConnectionLost = errors.New("the connection was lost before the answer came: whether the request took effect is not known")
	ErrWrongCore      = errors.New("the server's key is not the one in the profile")
	ErrSlowReader     = errors.New("the answer is larger than the client keeps for a reader that does not read it")
)

var texts = map[wire.Code]string{
	wire.Malformed:           "the Core could not decode the request",
	wire.UnsupportedVersion:  "the Core speaks another version of the protocol",
	wire.InvalidRequest:      "the request makes no sense",
	wire.UnknownPrincipal:    "this key is not registered with the Core",
	wire.Denied:              "the principal lacks the right",
	wire.NotFound:            "no such object",
	wire.NoCollection:        "no such collection",
	wire.NoIndex:             "no such index",
	wire.NoTask:              "no Task of that name is registered",
	wire.NoPrincipal:         "no such principal",
	wire.Exists:              "it exists already",
	wire.PreconditionFailed:  "the precondition does not hold",
	wire.TooLarge:            "over a limit of size",
	wire.TooManyConnections:  "the Core has too many connections",
	wire.LimitReached:        "the Core has as many of these as it can have",
	wire.IndexUnavailable:    "the index is being built or rebuilt; try again",
	wire.QueryRefused:        "the index does not understand the predicate",
	wire.Damaged:             "a stored record fails its check",
	wire.StorageFailed:       "the Core's disk refused a write; it only reads until the disk takes writes again",
	wire.LeakBudgetExhausted: "a leak budget of this index does not cover the question or its answer",
	wire.ShuttingDown:        "the Core is shutting down; try again",
	wire.Overloaded:          "the Core is overloaded; try again",
	wire.IndexViolated:       "the index broke its contract while answering and was quarantined; try again",
	wire.TooSlow:             "the index took too long over the query; try again",
	wire.HistoryDiffers:      "the store went back, or is another branch of its history",
	wire.DiskFull:            "the Core's disk is full: what deletes is still done; delete objects and compact, or give it a larger disk",
	wire.QuotaExceeded:       "the collection would hold more than its quota lets it: delete objects, or ask a server administrator for more",
	wire.ReadFailed:          "the Core's disk did not give a stored record back; try again",
	wire.Expired:             "the answer was taken so slowly that something it was to show is gone; try again",
}

// Error says what the code means.
func (e *Error) Error() string {
	if t, ok := texts[e.Code]; ok {
		return t
	}
	return fmt.Sprintf("code %d", e.Code)
}

// Is makes errors.Is compare codes.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code
}

// Temporary reports whether the same request may succeed a little later.
func Temporary(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case wire.IndexUnavailable, wire.IndexViolated, wire.TooSlow, wire.Overloaded, wire.ShuttingDown,
		wire.TooManyConnections, wire.Expired, wire.ReadFailed:
		return true
	}
	return false
}

func failure(code wire.Code) error {
	if code == wire.OK {
		return nil
	}
	return &Error{code}
}
