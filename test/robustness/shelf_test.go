package robustness

import (
	"errors"
	"fmt"
	"testing"

	"motte/client"
	"motte/internal/testutil"
)

// Sizes of the test of shelves.
const (
	kept       = 20_000 // objects
	leastEntry = 32     // bytes of an entry of a shelf at least: the identity
)

// TestAKilledServerFeedsLittleAgain: after a kill of all processes, an index gets back what its Task
// saved. The Core feeds it at most a hundredth of the objects again.
func TestAKilledServerFeedsLittleAgain(t *testing.T) {
	s := start(t)
	c := s.dial()
	defer c.Close()
	s.create(c, collection, map[string]client.Index{eagerIndex: {}})
	s.serving(c, collection, eagerIndex)
	for from := 0; from < kept; from += 500 {
		var b client.Batch
		for i := from; i < from+500; i++ {
			b.Put(fmt.Appendf(nil, `{"n":%d}`, i), client.Name(fmt.Sprint(i)))
		}
		_, err := c.PutBatch(t.Context(), collection, &b)
		testutil.Must(t, err)
	}
	// A Task saves at times that the Core sets. So a kill may come before the last saving.
	feeds := func() error {
		testutil.Eventually(t, "a saving", func() error {
			status, err := c.Status(t.Context())
			if err == nil && status.Index(collection, eagerIndex).Shelf < kept*leastEntry {
				err = errors.New("the shelf is too small")
			}
			return err
		})
		s.kill(everything)
		s.serving(c, collection, eagerIndex)
		status, err := c.Status(t.Context())
		if err != nil {
			return err
		}
		x := status.Index(collection, eagerIndex)
		t.Logf("after a kill of all processes, %d of %d objects are fed; the shelf has %d bytes", x.Refed, kept, x.Shelf)
		found, err := c.Count(t.Context(), client.Query{Collection: collection, Index: eagerIndex, Predicate: "all"})
		switch {
		case err != nil:
			return err
		case found.Count != kept:
			t.Errorf("the index counts %d objects; want %d", found.Count, kept)
			return nil
		case x.Shelf == 0 || x.Refed > kept/100:
			return errors.New("too many objects are fed")
		}
		return nil
	}
	testutil.Eventually(t, "a start from the shelf", feeds)
}
