package client

import (
	"context"
	"iter"

	"motte/client/frames"
	"motte/core/model"
	"motte/core/wire"
)

// Query asks one index for the objects that match a predicate, or several for those that match
// an expression. It has either an Index and a Predicate, or Where.
type Query struct {
	Collection string
	Index      string
	Predicate  string // in the language of the index, 1 MiB at most

	// Where combines predicates of several indexes. Several leaves give an answer that is sorted
	// by identity, unless OrderBy names an index. A single leaf means the same as Index and
	// Predicate.
	Where Expression

	// OrderBy is only for searches with Where. It names an ordered index, which gives the order:
	// the first leaf that asks this index, and that every match satisfies, so that neither Or nor
	// Not is above it.
	OrderBy string

	Limit uint32 // most results; 0: the limit of the index, or the smallest limit of the indexes

	// After is only for searches. The answer begins after these objects: see [Page]. It has at
	// most 8 identities; more fail with ErrInvalidRequest.
	After []Identity
}

// Check returns the error with which a search fails before it is sent, often a [*QueryError].
func (q *Query) Check() error {
	r, _, err := q.request(model.OpSearch)
	if err != nil {
		return err
	}
	return check(r)
}

// request returns the request of a query, and the program of its expression if it has one.
func (q *Query) request(op model.Operation) (*wire.Request, *program, error) {
	if len(q.After) > model.MaxAfter {
		return nil, nil, ErrInvalidRequest
	}
	r := &wire.Request{Op: op, Collection: q.Collection, Index: q.Index, Limit: q.Limit,
		Query: []byte(q.Predicate), Object: frames.AppendIdentities(nil, q.After)}
	if q.Where.kind != emptyKind {
		g, err := q.program(r)
		return r, g, err
	}
	switch {
	case q.Index == "":
		// Without an index the Core would read the predicate as an expression.
		return nil, nil, invalid("the query has neither Index nor Where: one of them says which objects to find")
	case q.OrderBy != "":
		return nil, nil, invalid("OrderBy belongs to Where: an ordered index gives the order by itself")
	}
	return r, nil, nil
}

// program puts the expression of a query into its request.
func (q *Query) program(r *wire.Request) (g *program, err error) {
	switch {
	case q.Index != "" || q.Predicate != "":
		return nil, invalid("the query has both Where and an Index or a Predicate: make a Leaf of them")
	case q.OrderBy != "" && r.Op != model.OpSearch:
		return nil, invalid("OrderBy is for searches: a count or a deletion has no order")
	}
	if g, err = compile(q.Where, q.OrderBy); err != nil {
		return nil, err
	}
	r.Query, err = g.encode()
	return g, err
}

// Found is a number of objects. If Truncated is true, more objects match: the limit was
// reached, or the Core stopped before the index had named all objects.
type Found struct {
	Count     uint32
	Truncated bool
}

// Count returns how many objects match the predicate and may be read by the principal.
func (c *Client) Count(ctx context.Context, q Query) (Found, error) {
	return c.counted(ctx, q, model.OpCount)
}

// DeleteWhere removes the objects that match the predicate, and returns their number. If it
// fails or is interrupted, some of them may be gone. If the answer is truncated, repeat the
// call until it is not, or until it removes no object.
func (c *Client) DeleteWhere(ctx context.Context, q Query) (Found, error) {
	return c.counted(ctx, q, model.OpDeleteWhere)
}

func (c *Client) counted(ctx context.Context, q Query, op model.Operation) (Found, error) {
	r, _, err := q.request(op)
	if err != nil {
		return Found{}, err
	}
	p, err := c.do(ctx, r)
	return Found{p.Count, p.Flags&wire.ReplyTruncated != 0}, err
}

// Search yields the objects that match the predicate and may be read by the principal. An
// ordered index keeps the order of its Task. Any other order means nothing.
//
// If the answer is not complete, the last element is an error. It is a [*TruncatedError] if
// more objects match, and the answer has fewer objects than the Limit, or there is no Limit.
// It is a [*MissingError] if single objects could not be read; the sequence has all others.
// [errors.As] finds both if both are so. A search with a Limit that was reached has no error:
// [Client.SearchPage] also tells whether more objects match.
//
// With a Limit from 1 to 1000, an answer of up to 64 MiB uses the shared connection, and is
// kept in memory until the caller has read it. Any other answer uses a connection of its own,
// and the Core sends it no faster than the caller reads.
func (c *Client) Search(ctx context.Context, q Query) iter.Seq2[Object, error] {
	return c.SearchPage(q).Objects(ctx)
}

// SearchIdentities is like [Client.Search], but yields only the identities of the objects.
func (c *Client) SearchIdentities(ctx context.Context, q Query) iter.Seq2[Identity, error] {
	return c.SearchPage(q).Identities(ctx)
}

// SearchAll yields all objects that match the predicate, however many the index may give in
// one answer. It asks for one [Page] after the other, until no more objects match. The Limit
// is the size of a page; 0 stands for 1000.
//
// Other principals may change objects between two pages. An unchanged object is not shown
// twice. An object that was put, replaced or deleted meanwhile may be among those shown. Such
// a change may also shift the ranks of other objects, if the index computes a rank from all
// objects: then single objects may be left out, or shown twice.
//
// If single objects could not be read, the last element is a [*MissingError]. All other errors
// end the sequence early. It is [ErrGone] if so many objects were changed or deleted between
// two pages that the Core can't tell where the next page begins. It is a [*TruncatedError] if
// the Core stopped without saying where the next page begins.
func (c *Client) SearchAll(ctx context.Context, q Query) iter.Seq2[Object, error] {
	return allPages(ctx, c, q, objectResults)
}

// SearchAllIdentities is like [Client.SearchAll], but yields only the identities.
func (c *Client) SearchAllIdentities(ctx context.Context, q Query) iter.Seq2[Identity, error] {
	return allPages(ctx, c, q, identityResults)
}
