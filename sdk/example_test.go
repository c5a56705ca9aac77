package sdk_test

import (
	"errors"
	"fmt"
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
	motte, keep := sdk.Identity{1}, sdk.Identity{2}
	x.Apply([]sdk.Change{
		{Identity: motte, Input: []byte("motte")},
		{Identity: keep, Input: []byte("keep")},
	})
	answer, err := x.Search(sdk.Query{Predicate: []byte("5"), Limit: 10})
	found := slices.Collect(answer)
	fmt.Println(len(found), found[0] == motte, err)

	x.Apply([]sdk.Change{{Identity: motte, Remove: true}})
	answer, err = x.Search(sdk.Query{Predicate: []byte("5"), Limit: 10})
	fmt.Println(len(slices.Collect(answer)), err)
	// Output:
	// 1 true <nil>
	// 0 <nil>
}
