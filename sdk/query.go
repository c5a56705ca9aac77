package sdk

import (
	"errors"
	"iter"
	"slices"

	"motte/core/taskwire"
)

// Query is a question to an index. [Index.Search] gets it.
type Query struct {
	Predicate []byte // in the language of the index; valid until the sequence of the answer ends
	Limit     int    // most identities in the answer, at least 1

	// Owner is a hint. If it is not AllOwners, the client may see only the objects of this
	// owner. The answer may name others, but the Core leaves them out. See Wants.
	Owner Owner

	// After asks for the next page: the rest of the whole answer to this predicate. It holds
	// the identities before the page, the last one first, at most 8. The page begins after
	// the first of them that still matches. If none of them does, the error is ErrGone. The
	// Core also asks for the next page itself, to fill an answer after it left objects out.
	// See After.
	After []Identity

	// Within is a hint. If it is not empty, the client wants only the matches among these, the
	// candidates. They ascend. The package leaves out other identities, whatever the answer names,
	// so an index may ignore Within. But an index that ends its answer at Limit must count the
	// candidates alone. The page still begins after an object of After, which may be no candidate.
	// See Candidate and Candidates.
	Within []Identity
}

// Wants reports whether the answer should name the objects of an owner.
func (q *Query) Wants(o Owner) bool { return q.Owner == AllOwners || q.Owner == o }

// Candidate reports whether the answer may name an identity: it has no candidates, or this is one
// of them. It reports true for the identities of After, too, so that [After] and [Sorted] find the
// place of the page; the package leaves them out.
func (q *Query) Candidate(id Identity) bool {
	return len(q.Within) == 0 || isAmong(q.Within, id) || slices.Contains(q.After, id)
}

// Candidates returns the identities for which Candidate reports true, each once, if the query has
// candidates. An index looks each of them up, and need not look at its other objects.
func (q *Query) Candidates() iter.Seq[Identity] {
	return func(yield func(Identity) bool) {
		for _, id := range q.Within {
			if !yield(id) {
				return
			}
		}
		for i, id := range q.After {
			if !isAmong(q.Within, id) && !slices.Contains(q.After[:i], id) && !yield(id) {
				return
			}
		}
	}
}

func isAmong(ids []Identity, id Identity) bool {
	_, found := slices.BinarySearchFunc(ids, id, Identity.Compare)
	return found
}

// among returns the identities of a sequence that are candidates. It ends at the last of them.
func among(within []Identity, found iter.Seq[Identity]) iter.Seq[Identity] {
	return func(yield func(Identity) bool) {
		left := len(within)
		for id := range found {
			if !isAmong(within, id) {
				continue
			}
			left--
			if !yield(id) || left == 0 {
				return
			}
		}
	}
}

// Owner is a random number that stands for an owner of objects. It is the same in every process
// of an index. In another index the same owner has another number. No owner is AllOwners.
type Owner = taskwire.Owner

// AllOwners in a query asks for the objects of all owners.
const AllOwners = taskwire.AllOwners

// Errors of [Index.Search] that do not refuse the predicate. An error may also wrap them.
var (
	ErrTooExpensive = errors.New("the query takes too much work")
	ErrGone         = errors.New("the index holds none of the objects before the page")
)

// Sorted returns a page of an answer, in the order of the identities' bytes. It sorts found,
// the whole answer; after is the field After of the [Query]. It suits an index that finds all
// identities before it names the first, and has no order of its own.
func Sorted(found, after []Identity) (iter.Seq[Identity], error) {
	slices.SortFunc(found, Identity.Compare)
	return After(slices.Values(found), after)
}

// After returns a page of an answer. The whole answer is all, and after is the field After of the
// [Query]. The page begins behind the first identity of after that is in all. If after is empty,
// After returns the whole sequence. Otherwise After goes through the sequence to find the place,
// and the page goes through it again from the start. An index that can begin in the middle needs
// no After.
func After(all iter.Seq[Identity], after []Identity) (iter.Seq[Identity], error) {
	if len(after) == 0 {
		return all, nil
	}
	first := len(after)
	for id := range all {
		if i := slices.Index(after[:first], id); i >= 0 {
			first = i
		}
		if first == 0 {
			break
		}
	}
	if first == len(after) {
		return nil, ErrGone
	}
	return func(yield func(Identity) bool) {
		behind := false
		for id := range all {
			if behind && !yield(id) {
				return
			}
			behind = behind || id == after[first]
		}
	}, nil
}
