package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"motte/client/frames"
	"motte/core/model"
	"motte/core/wire"
)

// Object is a stored object.
type Object struct {
	Identity Identity
	Name     string // "" if it was put without a name
	Data     []byte
}

// Result describes a write that succeeded.
type Result struct {
	Identity   Identity // of the object that was put or deleted
	NotIndexed bool     // the object is stored, but at least one index refused its input
	Replaced   bool     // the object replaced an older one with the same name
}

// PutOption qualifies a [Client.Put] or [Batch.Put].
type PutOption func(*put)

// put is a Put with its options.
type put struct {
	wire.Request
	attributes []attribute
	err        error // of an option that can't be encoded
}

// attribute is an input for the index of that name.
type attribute struct {
	index string
	data  []byte
}

func newPut(data []byte, options []PutOption) *put {
	o := &put{Request: wire.Request{Op: model.OpPut, Object: data}}
	for _, f := range options {
		f(o)
	}
	// The Core accepts attributes only in the order of their index names.
	slices.SortStableFunc(o.attributes, func(a, b attribute) int { return strings.Compare(a.index, b.index) })
	for _, a := range o.attributes {
		o.Query = frames.AppendAttribute(o.Query, a.index, a.data)
	}
	return o
}

// Name gives the object a name of 1 to 512 bytes. A later Put under that name replaces the
// object. An empty name fails with [ErrInvalidRequest].
func Name(name string) PutOption {
	return func(o *put) {
		if o.Name = []byte(name); name == "" {
			o.err = cmp.Or(o.err, error(ErrInvalidRequest))
		}
	}
}

// Attribute gives data to the index of that name as its input. Other indexes get the object.
// An index takes attributes if it was created with [Index].Attribute.
func Attribute(index string, data []byte) PutOption {
	return func(o *put) {
		if o.err = cmp.Or(o.err, checkIdentifier(index), checkLength(data, model.MaxSubQuery)); o.err == nil {
			o.attributes = append(o.attributes, attribute{index, data})
		}
	}
}

// IfAbsent makes the Put fail with [ErrPreconditionFailed] if the name is in use.
func IfAbsent() PutOption { return func(o *put) { o.Flags |= wire.FlagIfAbsent } }

// IfIdentity makes the Put fail with [ErrPreconditionFailed] unless the object under the name
// has this identity.
func IfIdentity(id Identity) PutOption {
	return func(o *put) { o.Flags, o.Identity = o.Flags|wire.FlagIfIdentity, id }
}

// Put stores an object of 16 MiB at most. [Name], [Attribute], [IfAbsent] and [IfIdentity]
// qualify it. When Put returns, the object is durable, and every index that is not lazy finds
// it.
func (c *Client) Put(ctx context.Context, collection string, data []byte, options ...PutOption) (Result, error) {
	o := newPut(data, options)
	if o.err != nil {
		return Result{}, o.err
	}
	o.Collection = collection
	results, err := c.write(ctx, &o.Request, 1)
	if err != nil {
		return Result{}, err
	}
	return results[0], nil
}

// Batch collects puts and deletes of one collection. [Client.PutBatch] makes all of them or
// none. A batch has 1024 operations at most, of 16 MiB together. If an operation can't be
// encoded, PutBatch returns an error and sends no request.
type Batch struct {
	ops []byte
	n   int
	err error // of the first operation that could not be added
}

// Put adds a Put.
func (b *Batch) Put(data []byte, options ...PutOption) { b.add(newPut(data, options)) }

// Delete adds the deletion of the object with the name.
func (b *Batch) Delete(name string) {
	b.add(&put{Request: wire.Request{Op: model.OpDelete, Name: []byte(name)}})
}

// DeleteIdentity adds the deletion of an object by identity.
func (b *Batch) DeleteIdentity(id Identity) {
	b.add(&put{Request: wire.Request{Op: model.OpDelete, Identity: id}})
}

// add appends an operation and checks its lengths. A length that did not fit its field would
// make the Core read the rest as other operations.
func (b *Batch) add(o *put) {
	if b.err = cmp.Or(b.err, o.err, checkParts(o.Name, o.Query, o.Object)); b.err == nil {
		b.ops, b.n = frames.AppendBatchOp(b.ops, &o.Request), b.n+1
	}
}

// Len returns the number of operations.
func (b *Batch) Len() int { return b.n }

// Size returns the length of the encoded batch in bytes.
func (b *Batch) Size() int { return len(b.ops) }

// PutBatch makes all changes of a batch or none. It returns one Result for each operation, in
// order. The Result of a deletion has the identity of the deleted object.
func (c *Client) PutBatch(ctx context.Context, collection string, b *Batch) ([]Result, error) {
	switch {
	case b.err != nil:
		return nil, b.err
	case b.n > wire.MaxBatch:
		return nil, ErrTooLarge
	case b.n == 0:
		return nil, nil
	}
	return c.write(ctx, &wire.Request{Op: model.OpBatch, Collection: collection, Object: b.ops}, b.n)
}

// write sends a request whose answer has one result for each operation.
func (c *Client) write(ctx context.Context, r *wire.Request, operations int) ([]Result, error) {
	p, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	list, err := frames.DecodeResults(p.body, &p.ReplyHeader, r.Op == model.OpBatch)
	if err == nil && len(list) != operations {
		err = fmt.Errorf("%d results of %d operations", len(list), operations)
	}
	if err != nil {
		return nil, fmt.Errorf("the Core's reply can't be decoded: %w", err)
	}
	results := make([]Result, len(list))
	for i, r := range list {
		results[i] = Result{r.Identity, r.Flags&wire.ReplyNotIndexed != 0, r.Flags&wire.ReplyReplaced != 0}
	}
	return results, nil
}

// Get returns the object with the name. The error is [ErrNotFound] if there is no object of
// that name, or the principal may not read it.
func (c *Client) Get(ctx context.Context, collection, name string) (Object, error) {
	return c.get(ctx, &wire.Request{Op: model.OpGet, Collection: collection, Name: []byte(name)})
}

// GetIdentity returns an object by identity.
func (c *Client) GetIdentity(ctx context.Context, collection string, id Identity) (Object, error) {
	return c.get(ctx, &wire.Request{Op: model.OpGet, Collection: collection, Identity: id})
}

func (c *Client) get(ctx context.Context, r *wire.Request) (Object, error) {
	p, err := c.do(ctx, r)
	if err != nil {
		return Object{}, err
	}
	return decodeObject(p.body)
}

func decodeObject(p []byte) (Object, error) {
	o, err := frames.DecodeObject(p)
	if err != nil {
		return Object{}, fmt.Errorf("the Core's reply can't be decoded: %w", err)
	}
	return Object{o.Identity, string(o.Name), o.Data}, nil
}

// Delete removes the object with the name.
func (c *Client) Delete(ctx context.Context, collection, name string) error {
	return c.delete(ctx, &wire.Request{Collection: collection, Name: []byte(name)})
}

// DeleteIdentity removes an object by identity.
func (c *Client) DeleteIdentity(ctx context.Context, collection string, id Identity) error {
	return c.delete(ctx, &wire.Request{Collection: collection, Identity: id})
}

// DeleteIf removes the object with the name if it still has the identity. The error is
// [ErrPreconditionFailed] if it has another identity.
func (c *Client) DeleteIf(ctx context.Context, collection, name string, id Identity) error {
	return c.delete(ctx, &wire.Request{Name: []byte(name),
		Collection: collection, Identity: id, Flags: wire.FlagIfIdentity})
}

func (c *Client) delete(ctx context.Context, r *wire.Request) error {
	r.Op = model.OpDelete
	_, err := c.do(ctx, r)
	return err
}

// List yields every object of the collection that the principal may read, in no particular
// order. Objects put or deleted meanwhile may be among them. If single objects could not be
// read, the last element is a [*MissingError].
func (c *Client) List(ctx context.Context, collection string) iter.Seq2[Object, error] {
	return sequence(func(yield func(Object, error) bool) error {
		// The Core lists in parts. Each answer ends with the identity after which the next
		// part begins.
		r := &wire.Request{Op: model.OpList, Collection: collection}
		var missing *MissingError
		for again := true; again; again = r.Identity != (Identity{}) {
			end, err := c.objects(ctx, r, yield)
			var some *MissingError
			if errors.As(err, &some) {
				missing = missing.join(some)
			} else if err != nil {
				return err
			}
			next, err := frames.DecodeIdentities(end.body, 1)
			if err != nil {
				return err
			}
			r.Identity = next[0]
		}
		return incomplete(missing, false, nil)
	})
}

func (c *Client) objects(ctx context.Context, r *wire.Request, yield func(Object, error) bool) (end part, err error) {
	return c.stream(ctx, r, func(p part) error { return eachObject(p, yield) })
}

// eachObject yields the object of a frame.
func eachObject(p part, yield func(Object, error) bool) error {
	o, err := decodeObject(p.body)
	if err == nil && !yield(o, nil) {
		err = errStopped
	}
	return err
}

// errStopped says that the caller has left the loop over an answer.
var errStopped = errors.New("stopped")

// smallLimit is the highest limit of a search that uses the shared connection.
const smallLimit = 1000

// stream sends a request and hands each frame of its answer to take, until take returns an
// error. It returns the last frame, which is an End if the whole answer came. Then the error
// may be a *MissingError.
func (c *Client) stream(ctx context.Context, r *wire.Request, take func(part) error) (end part, err error) {
	if r.Op == model.OpGetMany || r.Op == model.OpSearch && r.Limit > 0 && r.Limit <= smallLimit {
		k, err := c.collect(ctx, r)
		if errors.Is(err, ErrSlowReader) {
			return c.streamAlone(ctx, r, take) // few objects, but large ones; take has seen none
		}
		if err != nil {
			return end, err
		}
		defer k.reuse()
		a := answer{take: take}
		for _, p := range k.parts {
			if done, err := a.next(p); done || err != nil {
				return p, err
			}
		}
		return end, nil
	}
	return c.streamAlone(ctx, r, take)
}

// streamAlone does the same on a dedicated connection, no faster than take returns.
func (c *Client) streamAlone(ctx context.Context, r *wire.Request, take func(part) error) (end part, err error) {
	l, err := c.dedicated(ctx)
	if err != nil {
		return end, err
	}
	defer func() { c.release(l, end.Kind == wire.KindEnd) }()
	k := newStream() // takes no slot: the connection has only this call
	defer k.drop()
	if err := l.start(r, k); err != nil {
		return end, err
	}
	a := answer{take: take}
	for {
		p, err := k.next(ctx)
		if err != nil {
			return end, err
		}
		if done, err := a.next(p); done || err != nil {
			return p, err
		}
	}
}

// answer is the state of an answer of several frames.
type answer struct {
	take    func(part) error
	missing *MissingError // objects that the answer lacks so far; nil: no object
}

// next takes a frame. If done is true it was the last frame, and err is the error of the
// whole answer.
func (a *answer) next(p part) (done bool, err error) {
	switch p.Kind {
	case wire.KindMissing:
		id, code, err := frames.DecodeMissing(p.body)
		if err != nil {
			return false, fmt.Errorf("the Core's reply can't be decoded: %w", err)
		}
		a.missing = a.missing.join(&MissingError{Objects: []Missing{{Identity: id, Err: &Error{code}}}, Count: 1})
		return false, nil
	case wire.KindEnd:
		err = failure(p.Code)
		if a.missing != nil && err != nil {
			err = a.missing
		}
		return true, err
	}
	return false, a.take(p)
}
