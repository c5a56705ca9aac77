package client

import (
	"context"
	"fmt"

	"motte/client/frames"
	"motte/core/codec"
	"motte/core/model"
	"motte/core/wire"
)

// Types of other packages, for programs that import this package alone.
type (
	Rights   = model.Rights
	DataType = model.DataType
	Row      = model.Row
	Status   = frames.Status
	Alert    = model.Alert
	Quota    = model.Quota
)

// admin sends a request that is answered by a code alone.
func (c *Client) admin(ctx context.Context, r wire.Request) error {
	_, err := c.do(ctx, &r)
	return err
}

// CreateCollection makes a collection, in which the caller gets all rights.
// Collections, indexes and Tasks are named by 1 to 32 of a–z, 0–9, '_' and
// '-', a letter first.
func (c *Client) CreateCollection(ctx context.Context, collection string) error {
	return c.admin(ctx, wire.Request{Op: model.OpCreateCollection, Collection: collection})
}

// DropCollection removes a collection with all of its objects and indexes.
func (c *Client) DropCollection(ctx context.Context, collection string) error {
	return c.admin(ctx, wire.Request{Op: model.OpDropCollection, Collection: collection})
}

// SetQuota sets the most that a collection may hold. A write that would let it grow beyond
// fails with ErrQuota; what is over a lowered quota stays, and can be deleted. Only for
// server administrators. Status shows the quota, and what counts against it.
func (c *Client) SetQuota(ctx context.Context, collection string, q Quota) error {
	return c.admin(ctx, wire.Request{Op: model.OpQuota, Collection: collection, Query: model.AppendQuota(nil, q)})
}

// Index describes an index to be made.
type Index struct {
	Task      string   // as registered
	Config    []byte   // for the Task alone
	Type      DataType // of its inputs
	Ordered   bool     // keep the Task's order in answers
	Lazy      bool     // Put does not wait for it; Search does
	Attribute bool     // fed the attribute of its name instead of the object
}

// CreateIndex makes an index. It is built in the background; see Status.
func (c *Client) CreateIndex(ctx context.Context, collection, index string, x Index) error {
	var o model.IndexOptions
	for option, on := range map[model.IndexOptions]bool{model.OptionOrdered: x.Ordered, model.OptionLazy: x.Lazy, model.OptionAttribute: x.Attribute} {
		if on {
			o |= option
		}
	}
	return c.admin(ctx, wire.Request{Name: []byte(x.Task), Query: x.Config,
		Op: model.OpCreateIndex, Collection: collection, Index: index, Type: x.Type, Options: o})
}

// DropIndex removes an index.
func (c *Client) DropIndex(ctx context.Context, collection, index string) error {
	return c.admin(ctx, wire.Request{Op: model.OpDropIndex, Collection: collection, Index: index})
}

// RegisterTask writes a Task's row in the API format table. If the Task was
// registered before, its indexes are rebuilt by the new executable.
func (c *Client) RegisterTask(ctx context.Context, task string, row Row) error {
	return c.admin(ctx, wire.Request{Name: []byte(task), Query: frames.AppendRow(nil, &row),
		Op: model.OpRegisterTask})
}

// AddPrincipal registers a client by the SHA-256 of its public key, under a
// label of 1 to 64 printable ASCII characters.
func (c *Client) AddPrincipal(ctx context.Context, id [32]byte, label string) error {
	return c.admin(ctx, wire.Request{Name: []byte(label), Op: model.OpAddPrincipal, Identity: id})
}

// RemovePrincipal ends a principal's access and all of its rights. Its objects
// stay; see ErasePrincipal.
func (c *Client) RemovePrincipal(ctx context.Context, id [32]byte) error {
	return c.admin(ctx, wire.Request{Op: model.OpRemovePrincipal, Identity: id})
}

// RotatePrincipal gives a principal another key: next is the SHA-256 of its public half. The
// principal keeps its label, its rights and all that it put; the key that it had is refused
// from then on, and its connections end. So the answer does not come if the principal is
// this client: then connect with the new key. Only for server administrators.
func (c *Client) RotatePrincipal(ctx context.Context, id, next [32]byte) error {
	return c.admin(ctx, wire.Request{Op: model.OpRotatePrincipal, Identity: id, Query: next[:]})
}

// ErasePrincipal removes a principal and all that it put, in every collection,
// for good: the Core destroys the key of that principal's objects, and returns
// when it is in none of its files. Backups stay good, and lose the same objects,
// since the key is in none of them either. It is in every export of the Core's
// keys from before: make a new one, and destroy those.
func (c *Client) ErasePrincipal(ctx context.Context, id [32]byte) error {
	return c.admin(ctx, wire.Request{Op: model.OpRemovePrincipal, Identity: id, Flags: wire.FlagErase})
}

// Compact gives the disk back all space that nothing needs, and returns when
// that is done, which may take as long as to read and write all live records.
// The Core does so by itself, a little at a time; this is for a person who waits
// for the space. Ending the context ends the waiting, not the work. Only for
// server administrators. What it came to is in the server's item of Status.
func (c *Client) Compact(ctx context.Context) error {
	return c.admin(ctx, wire.Request{Op: model.OpCompact})
}

// Verified says what Verify came to.
type Verified struct {
	Objects, Bytes uint64 // of live records that were read
	Damaged        uint64 // of these, records that are not what was written
}

// Verify lets the Core read every live record and hold it against its identity, and
// returns when that is done, which may take as long as to read the whole store twice:
// the Core rests half of the time. Damaged records are in the alerts. The Core scrubs by
// itself, slowly; this is for a person who wants to know now. Ending the context ends the
// waiting, not the work. Only for server administrators.
func (c *Client) Verify(ctx context.Context) (Verified, error) {
	p, err := c.do(ctx, &wire.Request{Op: model.OpVerify})
	if err != nil {
		return Verified{}, err
	}
	r := codec.NewReader(p.body)
	v := Verified{Objects: r.U64(), Bytes: r.U64(), Damaged: r.U64()}
	if err := r.Done(); err != nil {
		return Verified{}, fmt.Errorf("the Core's reply can't be decoded: %w", err)
	}
	return v, nil
}

// Grant gives a principal rights in a collection; in "", the server, only
// model.RightAdmin makes sense.
func (c *Client) Grant(ctx context.Context, collection string, id [32]byte, r Rights) error {
	return c.admin(ctx, wire.Request{Op: model.OpGrant, Collection: collection, Identity: id, Rights: r})
}

// Revoke takes rights back.
func (c *Client) Revoke(ctx context.Context, collection string, id [32]byte, r Rights) error {
	return c.admin(ctx, wire.Request{Op: model.OpRevoke, Collection: collection, Identity: id, Rights: r})
}

// Status describes the server, as far as the principal may know.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	s := new(Status)
	_, err := items(ctx, c, model.OpStatus, func(p []byte) (struct{}, error) { return struct{}{}, s.Add(p) })
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Alerts returns the newest alerts, oldest first.
func (c *Client) Alerts(ctx context.Context) ([]Alert, error) {
	return items(ctx, c, model.OpAlerts, frames.DecodeAlert)
}

// Ping asks for the head of the log.
func (c *Client) Ping(ctx context.Context) (Head, error) {
	p, err := c.do(ctx, &wire.Request{Op: model.OpHead})
	return p.Head, err
}

func items[T any](ctx context.Context, c *Client, op model.Operation, decode func([]byte) (T, error)) ([]T, error) {
	k, err := c.collect(ctx, &wire.Request{Op: op})
	if err != nil {
		return nil, err
	}
	defer k.reuse()
	last := len(k.parts) - 1
	if err := failure(k.parts[last].Code); err != nil {
		return nil, err
	}
	var list []T
	for _, p := range k.parts[:last] {
		item, err := decode(p.body)
		if err != nil {
			return nil, fmt.Errorf("the Core's reply can't be decoded: %w", err)
		}
		list = append(list, item)
	}
	return list, nil
}
