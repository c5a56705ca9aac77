// Package inverted has the parts that inverted indexes share. An inverted index holds, for each
// term, the set of objects that have the term.
//
//   - [Objects] numbers the objects of an index densely, and finds them by value and by owner.
//   - [Set] is the set of objects of a term, in few bytes whether they are one or a million.
//   - [Objects.Scope] says among which objects a query looks, and [Objects.Page] puts the objects
//     that match in order, from where a page begins.
//
// Invariants:
//
//  1. An object keeps its number until it is removed. Then a new object may get the number.
//  2. The order of an answer is that of the identities' bytes. So it does not depend on numbers.
//  3. The cost of a page follows the smaller of two numbers: the objects that match, and the
//     objects among which the page lies.
package inverted

import (
	"github.com/RoaringBitmap/roaring/v2"

	"motte/sdk"
)

// Number is the number of an object in an index.
type Number = uint32

// Object is an object of an index. Data is what the index keeps of it.
type Object[T any] struct {
	ID    sdk.Identity
	Owner sdk.Owner
	Data  T
}

// chunkSize is the number of objects by which a table grows, so that growing copies nothing.
const chunkSize = 1 << 10

// Objects numbers the objects of an index. The zero value has no objects.
type Objects[T any] struct {
	chunks [][]Object[T]
	next   Number // the first number that was never used
	free   []Number
	all    roaring.Bitmap
	owners map[sdk.Owner]*Set
	order  order
}

// Len returns the number of objects.
func (o *Objects[T]) Len() int { return o.order.count }

// All returns the numbers of all objects. The caller must not change them.
func (o *Objects[T]) All() *roaring.Bitmap { return &o.all }

// At returns the object with a number. It is valid until the object is removed.
func (o *Objects[T]) At(n Number) *Object[T] { return &o.chunks[n/chunkSize][n%chunkSize] }

// Find returns the number of the object with a value.
func (o *Objects[T]) Find(v sdk.Value) (n Number, ok bool) { return o.order.find(v, o.valueOf) }

// valueOf returns the value of an object.
func (o *Objects[T]) valueOf(n Number) sdk.Value { return o.At(n).ID.Value() }

// Add adds an object whose value has no object yet.
func (o *Objects[T]) Add(object Object[T]) Number {
	n := o.newNumber()
	*o.At(n) = object
	o.all.Add(n)
	if o.owners == nil {
		o.owners = make(map[sdk.Owner]*Set)
	}
	set := o.owners[object.Owner]
	if set == nil {
		set = new(Set)
		o.owners[object.Owner] = set
	}
	set.Add(n)
	o.order.add(object.ID.Value(), n, o.valueOf)
	return n
}

func (o *Objects[T]) newNumber() (n Number) {
	if last := len(o.free) - 1; last >= 0 {
		n = o.free[last]
		o.free = o.free[:last]
		return n
	}
	n = o.next
	if int(n/chunkSize) == len(o.chunks) {
		o.chunks = append(o.chunks, make([]Object[T], chunkSize))
	}
	o.next++
	return n
}

// Remove removes an object.
func (o *Objects[T]) Remove(n Number) {
	object := o.At(n)
	o.order.remove(object.ID.Value(), o.valueOf)
	o.all.Remove(n)
	set := o.owners[object.Owner]
	if set.Remove(n); set.Len() == 0 {
		delete(o.owners, object.Owner)
	}
	*object = Object[T]{} // its data may hold memory
	o.free = append(o.free, n)
}
