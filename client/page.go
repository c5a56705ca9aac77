package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"motte/client/frames"
	"motte/core/model"
	"motte/core/wire"
)

// Page is the answer to a search, and says where the next page begins. [Client.SearchPage]
// returns it. A loop over Objects or Identities sends the search. The end of the loop sets
// More and Next; a loop that is left early does not.
//
//	page := c.SearchPage(q)
//	for o, err := range page.Objects(ctx) {
//		...
//	}
//	if len(page.Next) > 0 {
//		q.After = page.Next // the next search shows the next page
//	}
type Page struct {
	// More is true if more objects match.
	More bool

	// Next are the objects after which the next page begins: those that the index named last
	// for this page, the last first, at most 8. One of them is enough; with the others the Core
	// can go on if some are deleted meanwhile. If all are, the next search fails with ErrGone.
	// Next is empty if no more objects match. It may also be empty although More is true: then
	// the Core can't continue the answer.
	Next []Identity

	client *Client
	query  Query
	alone  bool // the answer uses a connection of its own, even if the limit is small
	short  bool // the answer has fewer results than the limit, or there is no limit
}

// SearchPage prepares a search. It sends no request.
func (c *Client) SearchPage(q Query) *Page { return &Page{client: c, query: q} }

// Objects is like [Client.Search], and sets More and Next.
func (p *Page) Objects(ctx context.Context) iter.Seq2[Object, error] {
	return onePage(ctx, p, objectResults)
}

// Identities is like [Client.SearchIdentities], and sets More and Next.
func (p *Page) Identities(ctx context.Context) iter.Seq2[Identity, error] {
	return onePage(ctx, p, identityResults)
}

// results says how the answer to a search shows its results.
type results[T any] struct {
	flags wire.Flags
	each  func(f part, yield func(T, error) bool) error // yields the results of a frame
}

var (
	objectResults   = results[Object]{0, eachObject}
	identityResults = results[Identity]{wire.FlagIDsOnly, eachIdentity}
)

// eachIdentity yields the identities of a frame.
func eachIdentity(f part, yield func(Identity, error) bool) error {
	ids, err := frames.DecodeIdentities(f.body, f.Count)
	for _, id := range ids {
		if !yield(id, nil) {
			return errStopped
		}
	}
	return err
}

func onePage[T any](ctx context.Context, p *Page, r results[T]) iter.Seq2[T, error] {
	return sequence(func(yield func(T, error) bool) error {
		missing, err := fetch(ctx, p, r, yield)
		if err != nil {
			return err
		}
		return incomplete(missing, p.More && p.short, p.Next)
	})
}

// sequence yields the elements that run yields. The last element is the error of run, unless the
// caller has left the loop.
func sequence[T any](run func(yield func(T, error) bool) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := run(yield); err != nil && err != errStopped {
			var empty T
			yield(empty, err)
		}
	}
}

// fetch sends the search of a page and yields its results. It returns the objects that the
// answer lacks, or nil. A truncated answer is no error.
func fetch[T any](ctx context.Context, p *Page, r results[T], yield func(T, error) bool) (*MissingError, error) {
	p.More, p.Next = false, nil
	q, _, err := p.query.request(model.OpSearch)
	if err != nil {
		return nil, err
	}
	q.Flags |= r.flags
	shown := 0
	count := func(result T, err error) bool {
		shown++
		return yield(result, err)
	}
	stream := p.client.stream
	if p.alone {
		stream = p.client.streamAlone
	}
	end, err := stream(ctx, q, func(f part) error { return r.each(f, count) })
	var missing *MissingError
	if errors.As(err, &missing) {
		shown += missing.Count
	} else if err != nil {
		return nil, err
	}
	p.More = end.Flags&wire.ReplyTruncated != 0
	p.short = p.query.Limit == 0 || uint64(shown) < uint64(p.query.Limit)
	if p.Next, err = frames.DecodeNext(end.body, &end.ReplyHeader); err != nil {
		return nil, fmt.Errorf("the Core's reply can't be decoded: %w", err)
	}
	return missing, nil
}

// incomplete returns the error for an answer that lacks objects, or that was truncated.
func incomplete(missing *MissingError, truncated bool, after []Identity) error {
	switch {
	case truncated && missing != nil:
		return errors.Join(missing, &TruncatedError{After: after})
	case truncated:
		return &TruncatedError{After: after}
	case missing != nil:
		return missing
	}
	return nil
}

// defaultPage is the number of objects on a page of SearchAll. A page is a query of its own,
// which the Core charges and the Task answers. So it should not be small.
const defaultPage = 1000

// errRepeats says that a Task does not continue after the given object.
var errRepeats = errors.New("the index shows the same objects again instead of the next: its Task has a fault")

func allPages[T any](ctx context.Context, c *Client, q Query, r results[T]) iter.Seq2[T, error] {
	return sequence(func(yield func(T, error) bool) error { return eachPage(ctx, c, q, r, yield) })
}

// eachPage yields the results of all pages. Each answer uses a dedicated connection, so that
// objects of any size take little memory.
func eachPage[T any](ctx context.Context, c *Client, q Query, r results[T], yield func(T, error) bool) error {
	if q.Limit == 0 {
		q.Limit = defaultPage
	}
	var missing *MissingError
	for number := 1; ; number++ {
		page := &Page{client: c, query: q, alone: true}
		some, err := fetch(ctx, page, r, yield)
		switch {
		case errors.Is(err, ErrGone) && number > 1:
			return fmt.Errorf("page %d: %w", number, err)
		case err != nil:
			return err
		case some != nil:
			missing = missing.join(some)
		}
		if !page.More || len(page.Next) == 0 {
			return incomplete(missing, page.More, nil)
		}
		if len(q.After) > 0 && slices.Contains(page.Next, q.After[0]) {
			return errRepeats
		}
		q.After = page.Next
	}
}
