package conformance_test

import (
	"context"
	"fmt"
	"iter"

	"motte/sdk"
	"motte/sdk/conformance"
)

// exact is an index that finds the texts equal to the predicate.
type exact struct{ texts map[sdk.Value]sdk.Change }

func (x *exact) Configure(c sdk.Config) error {
	x.texts = make(map[sdk.Value]sdk.Change)
	if len(c.Options) > 0 {
		return fmt.Errorf("%q: this index has no configuration", c.Options)
	}
	return nil
}

func (x *exact) Apply(changes []sdk.Change) {
	for i := range changes {
		c := changes[i]
		delete(x.texts, c.Identity.Value())
		switch {
		case c.Remove || len(c.Input) == 0:
		case len(c.Input) > 4096:
			changes[i].Refuse()
		default:
			c.Input = append([]byte(nil), c.Input...)
			x.texts[c.Identity.Value()] = c
		}
	}
}

func (x *exact) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	var found []sdk.Identity
	for _, c := range x.texts {
		if string(c.Input) == string(q.Predicate) && q.Wants(c.Owner) {
			found = append(found, c.Identity)
		}
	}
	return sdk.Sorted(found, q.After)
}

// A test of an index runs it in its own process. A test may also start the executable, with
// package confined.
func Example() {
	c, err := conformance.BuiltIn("exact")
	if err != nil {
		fmt.Println(err)
		return
	}
	err = conformance.Run(context.Background(), conformance.Options{
		Case:  c,
		Start: conformance.Index(func() sdk.Index { return &exact{} }),
		Shelf: 1 << 20,
		Report: func(r conformance.Result) {
			if r.Outcome == conformance.Failed {
				fmt.Println(r.Check, r.Problem)
			}
		},
	})
	fmt.Println(err)
	// Output: <nil>
}
