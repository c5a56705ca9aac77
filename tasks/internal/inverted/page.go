package inverted

import (
	"iter"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"motte/sdk"
)

// Scope returns the numbers of the objects among which a query looks: those of its owner, and its
// candidates. It is nil if these are all objects. The caller must not change it.
func (o *Objects[T]) Scope(q *sdk.Query) *roaring.Bitmap {
	switch {
	case len(q.Within) > 0:
		return o.candidates(q)
	case q.Owner == sdk.AllOwners:
		return nil
	}
	set := o.owners[q.Owner]
	if set == nil {
		return roaring.New()
	}
	return set.Bitmap()
}

// candidates returns the numbers of a query's candidates.
func (o *Objects[T]) candidates(q *sdk.Query) *roaring.Bitmap {
	var numbers []Number
	for _, id := range q.Within {
		n, ok := o.Find(id.Value())
		if !ok {
			continue
		}
		if object := o.At(n); object.ID == id && q.Wants(object.Owner) {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return roaring.BitmapOf(numbers...)
}

// Anchor returns the object behind which a page begins: the first of the identities before the
// page that the index holds in this version and that matches. It is nil if the page is the first.
// If there is no such object, the error is sdk.ErrGone.
func (o *Objects[T]) Anchor(q *sdk.Query, matches func(Number) (bool, error)) (*sdk.Value, error) {
	if len(q.After) == 0 {
		return nil, nil
	}
	for _, id := range q.After {
		n, ok := o.Find(id.Value())
		if !ok || o.At(n).ID != id {
			continue
		}
		found, err := matches(n)
		if err != nil {
			return nil, err
		}
		if v := id.Value(); found {
			return &v, nil
		}
	}
	return nil, sdk.ErrGone
}

// Page yields the numbers of a bitmap in the order of their identities: those behind the anchor,
// or all if it is nil. The caller takes some limit of them.
//
// There are two ways. The objects of the bitmap can be sorted. Or all objects can be gone through in
// their order; then the page passes about Len/found objects for each object that it has. Page
// takes the cheaper way.
func (o *Objects[T]) Page(found *roaring.Bitmap, behind *sdk.Value, limit int) iter.Seq[Number] {
	matching := int(found.GetCardinality())
	if passed := min(limit, matching) * (o.Len() / max(1, matching)); passed <= matching {
		return func(yield func(Number) bool) {
			for n := range o.order.behind(behind, o.valueOf) {
				if found.Contains(n) && !yield(n) {
					return
				}
			}
		}
	}
	return slices.Values(o.sorted(found, behind))
}

// sorted returns the numbers of a bitmap that are behind an anchor, in the order of their identities.
func (o *Objects[T]) sorted(found *roaring.Bitmap, behind *sdk.Value) []Number {
	var numbers []Number
	for n := range roaring.Values(found) {
		if v := o.valueOf(n); behind == nil || compareValues(*behind, v) < 0 {
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, func(a, b Number) int { return o.At(a).ID.Compare(o.At(b).ID) })
	return numbers
}

// Identities yields the identities of numbers.
func (o *Objects[T]) Identities(numbers iter.Seq[Number]) iter.Seq[sdk.Identity] {
	return func(yield func(sdk.Identity) bool) {
		for n := range numbers {
			if !yield(o.At(n).ID) {
				return
			}
		}
	}
}
