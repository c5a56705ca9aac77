package client

import (
	"errors"
	"fmt"
	"strconv"

	"motte/core/model"
)

// Error is an outcome other than OK in an answer of the Core. Compare it with [errors.Is] and
// the sentinels of this package.
type Error struct{ Code model.Code }

// The outcomes of the Core as errors. Unless a method says otherwise, a request that failed
// with one of them changed no data.
var (
	ErrInvalidRequest     = &Error{model.InvalidRequest}
	ErrUnknownPrincipal   = &Error{model.UnknownPrincipal}
	ErrDenied             = &Error{model.Denied}
	ErrNotFound           = &Error{model.NotFound}
	ErrNoCollection       = &Error{model.NoCollection}
	ErrNoIndex            = &Error{model.NoIndex}
	ErrNoTask             = &Error{model.NoTask}
	ErrNoPrincipal        = &Error{model.NoPrincipal}
	ErrExists             = &Error{model.Exists}
	ErrPreconditionFailed = &Error{model.PreconditionFailed}
	ErrTooLarge           = &Error{model.TooLarge}
	ErrTooManyConnections = &Error{model.TooManyConnections}
	ErrLimitReached       = &Error{model.LimitReached}
	ErrIndexUnavailable   = &Error{model.IndexUnavailable}
	ErrQueryRefused       = &Error{model.QueryRefused}
	ErrDamaged            = &Error{model.Damaged}
	ErrStorageFailed      = &Error{model.StorageFailed}
	ErrLeakBudget         = &Error{model.LeakBudgetExhausted}
	ErrShuttingDown       = &Error{model.ShuttingDown}
	ErrOverloaded         = &Error{model.Overloaded}
	ErrIndexViolated      = &Error{model.IndexViolated}
	ErrTooSlow            = &Error{model.TooSlow}
	ErrHistoryDiffers     = &Error{model.HistoryDiffers} // a *RolledBackError says more
	ErrExpired            = &Error{model.Expired}
	ErrReadFailed         = &Error{model.ReadFailed}
	ErrQuota              = &Error{model.QuotaExceeded}
	ErrDiskFull           = &Error{model.DiskFull}
	ErrTooExpensive       = &Error{model.TooExpensive}
	ErrGone               = &Error{model.Gone}
)

// RolledBackError says that the history of the Core's log lacks a head that the client saw.
// Either the store was rolled back, or it is a fork: two copies of one store were served. The
// client asks a Core like that only for its head. [errors.Is] finds [ErrHistoryDiffers] in it.
type RolledBackError struct {
	Remembered Head // the head that the Core, or another copy of it, said was durable
	Found      Head // the head of the Core's log now
}

// Error names both heads and says what to do.
func (e *RolledBackError) Error() string {
	what := "the store is a fork"
	if e.Found.LSN < e.Remembered.LSN {
		what = "the store was rolled back, or is a fork"
	}
	return fmt.Sprintf("%s: this client saw the log at %s. The server's log is at %s, and its history lacks that head. "+
		"Ask the operator; 'motte head accept' accepts the loss, and goes on with the store as it is",
		what, describe(e.Remembered), describe(e.Found))
}

// describe writes a head for people, with enough digits to tell two heads apart.
func describe(h Head) string {
	return fmt.Sprintf("%d (segment %x…, chain %x…)", h.LSN, h.Segment[:4], h.Chain[:4])
}

// Unwrap returns [ErrHistoryDiffers].
func (e *RolledBackError) Unwrap() error { return ErrHistoryDiffers }

// MissingError says that an answer lacks single objects and is otherwise whole. The record of
// a missing object is damaged, or could not be read, or was removed during the answer.
// [errors.Is] finds the Err of each of the Objects in it.
type MissingError struct {
	Objects []Missing // the first 1024 missing objects
	Count   int       // the number of all missing objects
}

// Missing is an object that an answer lacks. Err is [ErrDamaged], [ErrReadFailed] or
// [ErrExpired], and after [Client.GetAll] also [ErrNotFound].
type Missing struct {
	Identity Identity // zero if GetAll asked for a name that no object has
	Name     string   // the name that GetAll asked for; otherwise ""
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
		text += fmt.Sprintf("%s %s: %v", [...]string{":", ";"}[min(i, 1)], m.label(), m.Err)
	}
	return text
}

// label names the object to people.
func (m *Missing) label() string {
	if m.Name != "" {
		return strconv.Quote(m.Name)
	}
	return fmt.Sprintf("%x", m.Identity)
}

// Unwrap returns the errors of the objects. Damage comes first, since it is permanent.
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

// join adds the missing objects of another answer to e, which may be nil.
func (e *MissingError) join(other *MissingError) *MissingError {
	if e == nil {
		return other
	}
	space := max(0, maxMissing-len(e.Objects))
	e.Objects = append(e.Objects, other.Objects[:min(space, len(other.Objects))]...)
	e.Count += other.Count
	return e
}

// TruncatedError says that more objects match a query than its answer has. The objects of the
// answer are right. [errors.Is] finds [ErrTruncated] in it.
type TruncatedError struct {
	After []Identity // Query.After of the next page, as in [Page]; it may be empty
}

// Error returns the text of ErrTruncated.
func (e *TruncatedError) Error() string { return ErrTruncated.Error() }

// Unwrap returns [ErrTruncated].
func (e *TruncatedError) Unwrap() error { return ErrTruncated }

// Errors that the client finds itself.
var (
	ErrTruncated      = errors.New("the answer is truncated: more objects match")
	ErrClosed         = errors.New("the client is closed")
	ErrConnectionLost = errors.New("the connection was lost before the answer came: whether the request took effect is not known")
	ErrWrongCore      = errors.New("the server's key is not the one in the profile")
	ErrSlowReader     = errors.New("the answer is larger than the client keeps for a reader that does not read it")
)

var texts = map[model.Code]string{
	model.Malformed:           "the Core could not decode the request",
	model.UnsupportedVersion:  "the Core speaks another version of the protocol",
	model.InvalidRequest:      "the request is invalid",
	model.UnknownPrincipal:    "this key is not registered with the Core",
	model.Denied:              "the principal lacks the right",
	model.NotFound:            "no such object",
	model.NoCollection:        "no such collection",
	model.NoIndex:             "no such index",
	model.NoTask:              "no Task of that name is registered",
	model.NoPrincipal:         "no such principal",
	model.Exists:              "it exists already",
	model.PreconditionFailed:  "the precondition does not hold",
	model.TooLarge:            "over a limit of size",
	model.TooManyConnections:  "the Core has too many connections",
	model.LimitReached:        "the Core has the maximum number of these",
	model.IndexUnavailable:    "the index is being built or rebuilt; try again",
	model.QueryRefused:        "the index does not understand the predicate",
	model.Damaged:             "a stored record fails its check",
	model.StorageFailed:       "the Core's disk refused a write; until the disk takes writes again, the Core serves only reads",
	model.LeakBudgetExhausted: "a leak budget of this index does not cover the query or its answer",
	model.ShuttingDown:        "the Core is shutting down; try again",
	model.Overloaded:          "the Core is overloaded; try again",
	model.IndexViolated:       "the index broke its contract while answering and was quarantined; try again",
	model.TooSlow:             "the index took too long over the query; try again",
	model.HistoryDiffers:      "the store was rolled back, or is a fork",
	model.DiskFull:            "the Core's disk is full, and only deletions are accepted: delete objects and compact, or give it a larger disk",
	model.QuotaExceeded:       "the collection would exceed its quota: delete objects, or ask a server administrator for a larger quota",
	model.ReadFailed:          "the Core's disk did not return a stored record; try again",
	model.Expired:             "the answer was read so slowly that one of its objects was deleted meanwhile; try again",
	model.TooExpensive:        "the query takes the index too much work: narrow the predicate, or try again",
	model.Gone:                "the index no longer has the objects after which the page should begin: begin with the first page",
}

// Error returns the meaning of the code.
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

// Temporary reports whether the same call may succeed a little later.
func Temporary(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case model.IndexUnavailable, model.IndexViolated, model.TooSlow, model.Overloaded, model.ShuttingDown,
		model.TooManyConnections, model.Expired, model.ReadFailed, model.TooExpensive:
		return true
	}
	return false
}

func failure(code model.Code) error {
	if code == model.OK {
		return nil
	}
	return &Error{code}
}
