package sdk_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"

	"motte/core/model"
	"motte/sdk"
)

// lengths is an index that finds texts by their number of bytes.
type lengths struct {
	held map[sdk.Value]text
}

type text struct {
	id     sdk.Identity
	length int
}

// Configure makes the empty index. This index takes no configuration.
func (x *lengths) Configure(c sdk.Config) error {
	if len(c.Options) > 0 {
		return errors.New("this index takes no configuration")
	}
	x.held = make(map[sdk.Value]text)
	return nil
}

// Apply keeps one text under each value: the text of the last change.
func (x *lengths) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i] // not a copy, since Refuse marks the change itself
		delete(x.held, c.Identity.Value())
		switch {
		case c.Remove:
		case len(c.Input) == 0:
			c.Refuse()
		default:
			x.held[c.Identity.Value()] = text{c.Identity, len(c.Input)}
		}
	}
}

// Search takes a decimal number.
func (x *lengths) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	length, err := strconv.Atoi(string(q.Predicate))
	if err != nil {
		return nil, err
	}
	var found []sdk.Identity
	for _, t := range x.held {
		if t.length == length {
			found = append(found, t.id)
		}
	}
	return sdk.Sorted(found, q.After)
}

// A whole index. The main function of its Task is one line:
//
//	func main() { sdk.Serve(&lengths{}) }
//
// Here the example calls the index as Serve does.
func Example() {
	x := &lengths{}
	if err := x.Configure(sdk.Config{Type: model.TypeText, MaxResults: 10}); err != nil {
		fmt.Println(err)
		return
	}
	motte, keep, tower := sdk.Identity{1}, sdk.Identity{2}, sdk.Identity{3}
	x.Apply([]sdk.Change{
		{Identity: motte, Input: []byte("motte")},
		{Identity: keep, Input: []byte("keep")},
		{Identity: tower, Input: []byte("tower")},
	})
	five := sdk.Query{Predicate: []byte("5"), Limit: 10}
	answer, err := x.Search(five)
	fmt.Println(slices.Equal(slices.Collect(answer), []sdk.Identity{motte, tower}), err)

	five.After = []sdk.Identity{motte} // the next page
	answer, err = x.Search(five)
	fmt.Println(slices.Equal(slices.Collect(answer), []sdk.Identity{tower}), err)

	x.Apply([]sdk.Change{{Identity: motte, Remove: true}})
	_, err = x.Search(five)
	fmt.Println(err == sdk.ErrGone)
	// Output:
	// true <nil>
	// true <nil>
	// true
}

// An index of numbers that survives a restart. Beside the methods of an index, it has two of ten
// lines together.
func ExampleKeeper() {
	before := &ages{held: make(map[sdk.Value]age)}
	before.Apply([]sdk.Change{{Identity: sdk.Identity{1}, Owner: 7, Input: []byte("36")}})
	saved, ok := before.Entry(sdk.Identity{1}.Value())
	fmt.Println(saved.Data, ok)

	after := &ages{held: make(map[sdk.Value]age)} // in the next process
	fmt.Println(after.Restore(saved), after.held[saved.Identity.Value()].years)
	// Output:
	// [36] true
	// true 36
}

// ages is an index of ages, from 0 to 255.
type ages struct {
	held map[sdk.Value]age
}

type age struct {
	id    sdk.Identity
	owner sdk.Owner
	years uint8
}

func (x *ages) Entry(v sdk.Value) (sdk.Entry, bool) {
	a, ok := x.held[v]
	return sdk.Entry{Identity: a.id, Owner: a.owner, Data: []byte{a.years}}, ok
}

func (x *ages) Restore(e sdk.Entry) bool {
	delete(x.held, e.Identity.Value())
	if len(e.Data) != 1 {
		return false
	}
	x.held[e.Identity.Value()] = age{e.Identity, e.Owner, e.Data[0]}
	return true
}

func (x *ages) Configure(sdk.Config) error { return nil }

func (x *ages) Apply(changes []sdk.Change) {
	for i := range changes {
		c := &changes[i]
		delete(x.held, c.Identity.Value())
		if c.Remove {
			continue
		}
		years, err := strconv.ParseUint(string(c.Input), 10, 8)
		if err != nil {
			c.Refuse()
			continue
		}
		x.held[c.Identity.Value()] = age{c.Identity, c.Owner, uint8(years)}
	}
}

func (x *ages) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	var found []sdk.Identity
	for _, a := range x.held {
		if fmt.Sprint(a.years) == string(q.Predicate) {
			found = append(found, a.id)
		}
	}
	return sdk.Sorted(found, q.After)
}

// An index that keeps its entries in order begins a page in the middle. It needs neither Sorted
// nor After, and looks at no more entries than the answer names.
func ExampleIndex() {
	x := &journal{}
	for i := range 5 {
		x.Apply([]sdk.Change{{Identity: sdk.Identity{byte(i)}}})
	}
	answer, err := x.Search(sdk.Query{Limit: 2, After: []sdk.Identity{{2}}})
	for id := range answer {
		fmt.Print(id[0], " ")
	}
	fmt.Println(err)
	// Output:
	// 3 4 <nil>
}

// journal is an index that finds all objects, the first that was put first.
type journal struct {
	entries []sdk.Identity
}

func (x *journal) Configure(sdk.Config) error { return nil }

func (x *journal) Apply(changes []sdk.Change) {
	for _, c := range changes {
		same := func(id sdk.Identity) bool { return id.Value() == c.Identity.Value() }
		x.entries = slices.DeleteFunc(x.entries, same)
		if !c.Remove {
			x.entries = append(x.entries, c.Identity)
		}
	}
}

func (x *journal) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	if len(q.After) == 0 {
		return slices.Values(x.entries), nil
	}
	for _, last := range q.After {
		if i := slices.Index(x.entries, last); i >= 0 {
			return slices.Values(x.entries[i+1:]), nil
		}
	}
	return nil, sdk.ErrGone
}

func ExampleAfter() {
	a, b, c, d := sdk.Identity{1}, sdk.Identity{2}, sdk.Identity{3}, sdk.Identity{4}
	all := slices.Values([]sdk.Identity{d, a, c}) // b matches no more

	page, err := sdk.After(all, []sdk.Identity{b, a})
	fmt.Println(slices.Equal(slices.Collect(page), []sdk.Identity{c}), err)

	_, err = sdk.After(all, []sdk.Identity{b})
	fmt.Println(err)
	// Output:
	// true <nil>
	// the index holds none of the objects before the page
}

func ExampleSorted() {
	a, b, c := sdk.Identity{1}, sdk.Identity{2}, sdk.Identity{3}
	page, err := sdk.Sorted([]sdk.Identity{c, a, b}, []sdk.Identity{a})
	fmt.Println(slices.Equal(slices.Collect(page), []sdk.Identity{b, c}), err)
	// Output:
	// true <nil>
}
