package client

import (
	"context"
	"fmt"

	"motte/client/frames"
	"motte/core/codec"
	"motte/core/model"
	"motte/core/wire"
)

// Explanation says how the Core found the objects of a query.
type Explanation struct {
	// Leaves are in the order of writing, except that an And begins with its first argument that
	// is no Not.
	Leaves []LeafWork
	Found
}

// LeafWork is what the Core did for one leaf of an expression, or for the only index of a query.
type LeafWork struct {
	Index, Predicate string
	frames.LeafWork
}

// Explain makes a search, and returns what each leaf cost instead of the objects. It needs the
// right admin in the collection, since the numbers tell of objects that the principal may not read.
// The search is charged like any other.
func (c *Client) Explain(ctx context.Context, q Query) (Explanation, error) {
	if q.Where.kind == emptyKind && q.Index != "" { // a single leaf means the same
		q.Where, q.Index, q.Predicate = Leaf(q.Index, q.Predicate), "", ""
	}
	r, g, err := q.request(model.OpSearch)
	if err != nil {
		return Explanation{}, err
	}
	r.Flags |= wire.FlagExplain
	k, err := c.collect(ctx, r)
	if err != nil {
		return Explanation{}, err
	}
	defer k.reuse()
	end := k.parts[len(k.parts)-1]
	if err := failure(end.Code); err != nil {
		return Explanation{}, err
	}
	leaves, err := g.work(k.parts)
	if err != nil {
		return Explanation{}, fmt.Errorf("the Core's reply can't be decoded: %w", err)
	}
	return Explanation{leaves, Found{end.Count, end.Flags&wire.ReplyTruncated != 0}}, nil
}

// work reads what the Core did for each leaf from an answer of two frames.
func (g *program) work(answer []part) ([]LeafWork, error) {
	if len(answer) != 2 || answer[0].Kind != wire.KindExplain {
		return nil, codec.ErrMalformed
	}
	list, err := frames.DecodeExplain(answer[0].body)
	if err != nil || len(list) != len(g.leaves) {
		return nil, codec.ErrMalformed
	}
	leaves := make([]LeafWork, len(list))
	for i, w := range list {
		leaves[i] = LeafWork{g.leaves[i].index, g.leaves[i].predicate, w}
	}
	return leaves, nil
}
