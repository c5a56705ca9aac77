package inverted

import (
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
)

// Most numbers that a Set keeps as a list. A bitmap takes some 200 bytes even with one number. The
// two differ, so that a set at the limit does not change its form with each change.
const (
	mostFew   = 32
	leastMany = 16
)

// Set is a set of numbers. Most terms belong to a few objects, so a set keeps few numbers as a sorted
// list, and more as a compressed bitmap. The zero value is empty.
type Set struct {
	few  []Number
	many *roaring.Bitmap // nil: the numbers are in few
}

// NewSet returns the set of some numbers, which ascend.
func NewSet(numbers []Number) (s Set) {
	s.Append(numbers)
	return s
}

// Append adds numbers, which ascend and are larger than all members.
func (s *Set) Append(numbers []Number) {
	if s.many == nil && len(s.few)+len(numbers) <= mostFew {
		s.few = append(s.few, numbers...)
		return
	}
	if s.many == nil {
		s.many = roaring.BitmapOf(s.few...)
		s.few = nil
	}
	s.many.AddMany(numbers)
}

// Len returns the number of members.
func (s *Set) Len() int {
	if s.many != nil {
		return int(s.many.GetCardinality())
	}
	return len(s.few)
}

// Contains reports whether a number is a member.
func (s *Set) Contains(n Number) bool {
	if s.many != nil {
		return s.many.Contains(n)
	}
	_, ok := slices.BinarySearch(s.few, n)
	return ok
}

// Add adds a number.
func (s *Set) Add(n Number) {
	if s.many != nil {
		s.many.Add(n)
		return
	}
	at, ok := slices.BinarySearch(s.few, n)
	if ok {
		return
	}
	if s.few = slices.Insert(s.few, at, n); len(s.few) > mostFew {
		s.many = roaring.New()
		s.many.AddMany(s.few)
		s.few = nil
	}
}

// Remove removes a number.
func (s *Set) Remove(n Number) {
	if s.many == nil {
		if at, ok := slices.BinarySearch(s.few, n); ok {
			s.few = slices.Delete(s.few, at, at+1)
		}
		return
	}
	s.many.Remove(n)
	if s.many.GetCardinality() < leastMany {
		s.few, s.many = s.many.ToArray(), nil
	}
}

// Bitmap returns the members. The caller must not change them.
func (s *Set) Bitmap() *roaring.Bitmap {
	if s.many != nil {
		return s.many
	}
	return roaring.BitmapOf(s.few...)
}

// Union returns the numbers of a scope that are in at least one of some sets; see Scope. The caller must
// not change them.
func Union(sets []*Set, scope *roaring.Bitmap) *roaring.Bitmap {
	var few []Number
	var many []*roaring.Bitmap
	for _, s := range sets {
		switch {
		case s.many == nil:
			few = append(few, s.few...)
		case scope == nil:
			many = append(many, s.many)
		default:
			many = append(many, roaring.And(scope, s.many))
		}
	}
	if scope != nil {
		few = slices.DeleteFunc(few, func(n Number) bool { return !scope.Contains(n) })
	}
	if len(few) > 0 {
		slices.Sort(few)
		many = append(many, roaring.BitmapOf(few...))
	}
	if len(many) == 1 {
		return many[0]
	}
	return roaring.FastOr(many...)
}

// Work returns the steps that it takes to go through the members at most: one for each, or one for
// each word of a bitmap.
func (s *Set) Work() int {
	if s.many != nil {
		return Work(s.many)
	}
	return len(s.few)
}

// Work returns the steps that it takes to go through a bitmap at most.
func Work(b *roaring.Bitmap) int {
	const containerBits, words = 16, 1 << 10 // a container of a bitmap has this many words at most
	if b.IsEmpty() {
		return 0
	}
	containers := int(b.Maximum()>>containerBits) + 1
	return min(int(b.GetCardinality()), containers*words)
}

// Only returns a bitmap of one number.
func Only(n Number) *roaring.Bitmap { return roaring.BitmapOf(n) }
