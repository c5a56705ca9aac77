package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"motte/client/frames"
	"motte/core/codec"
	"motte/core/model"
	"motte/core/wire"
)

// GetAll yields the objects with these names, in the order of the names. It sends one request
// for each 256 names, and each request sees the collection at one moment. If objects are
// missing, the last element is a [*MissingError] that names them. Its error for a name is
// [ErrNotFound] if the principal may read no object of that name.
func (c *Client) GetAll(ctx context.Context, collection string, names ...string) iter.Seq2[Object, error] {
	return getAll(ctx, c, collection, names, wantedName)
}

// GetAllIdentities is like [Client.GetAll], but takes identities.
func (c *Client) GetAllIdentities(ctx context.Context, collection string, ids ...Identity) iter.Seq2[Object, error] {
	return getAll(ctx, c, collection, ids, wantedIdentity)
}

// wanted is an object that the caller asks for.
type wanted struct {
	encoded []byte  // its entry in the request
	missing Missing // its entry in a MissingError
	err     error   // why it can't be requested; nil: it can
}

func wantedName(name string) (w wanted) {
	if name == "" {
		w.err = ErrInvalidRequest
	} else {
		w.err = checkLength([]byte(name), model.MaxName)
	}
	w.encoded = frames.AppendWantedName(nil, []byte(name))
	w.missing.Name = name
	return w
}

func wantedIdentity(id Identity) (w wanted) {
	if id == (Identity{}) {
		w.err = ErrInvalidRequest
	}
	w.encoded = frames.AppendWantedIdentity(nil, id)
	w.missing.Identity = id
	return w
}

// is reports whether o is the wanted object.
func (w *wanted) is(o *Object) bool {
	if w.missing.Name != "" {
		return o.Name == w.missing.Name
	}
	return o.Identity == w.missing.Identity
}

// getAll asks for objects in groups that one request takes.
func getAll[T any](ctx context.Context, c *Client, collection string, keys []T, want func(T) wanted) iter.Seq2[Object, error] {
	return sequence(func(yield func(Object, error) bool) error {
		var missing *MissingError
		for group := range slices.Chunk(keys, wire.MaxGetMany) {
			list := make([]wanted, len(group))
			for i, key := range group {
				list[i] = want(key)
			}
			var some *MissingError
			err := c.getMany(ctx, collection, list, yield)
			if errors.As(err, &some) {
				missing = missing.join(some)
			} else if err != nil {
				return err
			}
		}
		return incomplete(missing, false, nil)
	})
}

// getMany sends one request. The answer has the objects in the order asked, so those that
// are passed over are the missing ones.
func (c *Client) getMany(ctx context.Context, collection string, list []wanted, yield func(Object, error) bool) error {
	r := &wire.Request{Op: model.OpGetMany, Collection: collection}
	for i := range list {
		if err := list[i].err; err != nil {
			return err
		}
		r.Query = append(r.Query, list[i].encoded...)
	}
	var passed []Missing
	malformed := fmt.Errorf("the Core's reply can't be decoded: %w", codec.ErrMalformed)
	unasked := false
	_, err := c.objects(ctx, r, func(o Object, err error) bool {
		for len(list) > 0 && !list[0].is(&o) {
			passed, list = append(passed, list[0].missing), list[1:]
		}
		if unasked = len(list) == 0; unasked {
			return false
		}
		list = list[1:]
		return yield(o, err)
	})
	for _, w := range list {
		passed = append(passed, w.missing)
	}
	var missing *MissingError
	switch whole := errors.As(err, &missing); {
	case unasked, err == nil && len(passed) > 0, whole && len(passed) != missing.Count:
		return malformed
	case !whole:
		return err
	}
	for i := range missing.Objects {
		missing.Objects[i].Name = passed[i].Name
	}
	return missing
}
