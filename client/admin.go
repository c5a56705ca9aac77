package client

import (
	"context"
	"fmt"

	"motte/client/frames"
	"motte/core/codec"
	"motte/core/model"
	"motte/core/wire"
)

// Types of other packages, so that a program needs to import only this package.
type (
	Rights   = model.Rights
	DataType = model.DataType
	Row      = model.Row
	Status   = frames.Status
	Alert    = model.Alert
	Quota    = model.Quota
)

// admin sends a request whose answer is only a code.
func (c *Client) admin(ctx context.Context, r wire.Request) error {
	_, err := c.do(ctx, &r)
	return err
}

// CreateCollection makes a collection and gives the caller all rights in it. The name of a
// collection, an index or a Task has 1 to 32 characters. They are a–z, 0–9, '_' and '-', and
// the first is a letter.
func (c *Client) CreateCollection(ctx context.Context, collection string) error {
	return c.admin(ctx, wire.Request{Op: model.OpCreateCollection, Collection: collection})
}

// DropCollection removes a collection with all of its objects and indexes.
func (c *Client) DropCollection(ctx context.Context, collection string) error {
	return c.admin(ctx, wire.Request{Op: model.OpDropCollection, Collection: collection})
}

// SetQuota sets the quota of a collection. A write that would exceed the quota fails with
// [ErrQuota]. Objects over a lowered quota stay and can be deleted. Only a server
// administrator may set a quota. [Client.Status] shows the quota and its use.
func (c *Client) SetQuota(ctx context.Context, collection string, q Quota) error {
	return c.admin(ctx, wire.Request{Op: model.OpQuota, Collection: collection, Query: model.AppendQuota(nil, q)})
}

// Index describes an index to be made.
type Index struct {
	Task      string   // as registered
	Config    []byte   // in the format of the Task
	Type      DataType // of the inputs
	Ordered   bool     // answers keep the order of the Task
	Lazy      bool     // a Put does not wait for the index; a Search does
	Attribute bool     // the input is the attribute with the index's name, not the object
	Resident  bool     // the index keeps its process, however long nobody asks it
}

// CreateIndex makes an index. The Core builds it in the background. [Client.Status] shows the
// progress.
func (c *Client) CreateIndex(ctx context.Context, collection, index string, x Index) error {
	var o model.IndexOptions
	for option, on := range map[model.IndexOptions]bool{model.OptionOrdered: x.Ordered, model.OptionLazy: x.Lazy,
		model.OptionAttribute: x.Attribute, model.OptionResident: x.Resident} {
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

// RetryIndex feeds an index the inputs again that were set aside, because its Task ended over
// them, and returns their number. If the Task ends again, they are set aside again. It also lets
// the Task get the predicates again that are refused because it ended over them.
func (c *Client) RetryIndex(ctx context.Context, collection, index string) (inputs uint32, err error) {
	p, err := c.do(ctx, &wire.Request{Op: model.OpRetry, Collection: collection, Index: index})
	return p.Count, err
}

// RebuildIndex ends the process of an index, and lets the Core build the index anew. It returns
// before the index serves: see [Client.Status].
func (c *Client) RebuildIndex(ctx context.Context, collection, index string) error {
	return c.admin(ctx, wire.Request{Op: model.OpRebuild, Collection: collection, Index: index})
}

// Configuration returns the configuration of an index, byte for byte as its creator gave it. It
// needs the right model.RightAdmin.
func (c *Client) Configuration(ctx context.Context, collection, index string) ([]byte, error) {
	r := wire.Request{Op: model.OpConfiguration, Collection: collection, Index: index}
	list, err := items(ctx, c, &r, frames.DecodeConfiguration)
	if err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("the Core's reply has %d configurations; want one", len(list))
	}
	return list[0], nil
}

// RegisterTask writes a Task's row in the API format table. If the Task was registered before, its
// indexes are upgraded, one after the other: a process with the new row is fed beside the old
// one, which serves until the new one is complete. No query fails. [Client.Status] shows the
// progress, and the row of the executable before.
func (c *Client) RegisterTask(ctx context.Context, task string, row Row) error {
	return c.admin(ctx, wire.Request{Name: []byte(task), Query: frames.AppendRow(nil, &row),
		Op: model.OpRegisterTask})
}

// AddPrincipal registers a principal under a label of 1 to 64 printable ASCII characters. The
// id is the SHA-256 of the principal's public key: see [Profile.Principal].
func (c *Client) AddPrincipal(ctx context.Context, id [32]byte, label string) error {
	return c.admin(ctx, wire.Request{Name: []byte(label), Op: model.OpAddPrincipal, Identity: id})
}

// RemovePrincipal ends a principal's access and all of its rights. Its objects stay:
// [Client.ErasePrincipal] removes them, too.
func (c *Client) RemovePrincipal(ctx context.Context, id [32]byte) error {
	return c.admin(ctx, wire.Request{Op: model.OpRemovePrincipal, Identity: id})
}

// RotatePrincipal gives a principal another key. The parameter next is the SHA-256 of the new
// public key. The principal keeps its label, its rights and its objects. The Core refuses the
// old key from then on, and ends the principal's connections. So a client that rotates its
// own principal gets no answer, and must connect with the new key. Only a server
// administrator may rotate a principal.
func (c *Client) RotatePrincipal(ctx context.Context, id, next [32]byte) error {
	return c.admin(ctx, wire.Request{Op: model.OpRotatePrincipal, Identity: id, Query: next[:]})
}

// ErasePrincipal removes a principal and its objects in every collection, permanently. The
// Core destroys the key of these objects, and returns when no file of the store has the key.
// Backups stay usable and lose the same objects, since no backup has the key. Older key
// exports have it: make a new key export and destroy the older ones.
func (c *Client) ErasePrincipal(ctx context.Context, id [32]byte) error {
	return c.admin(ctx, wire.Request{Op: model.OpRemovePrincipal, Identity: id, Flags: wire.FlagErase})
}

// Compact frees the disk space of all dead records, and returns when that is done. It may
// take as long as reading and writing all live records. The Core also compacts by itself, a
// little at a time. Call Compact when somebody waits for the space. The end of the context
// ends the waiting, not the work. Only a server administrator may compact. [Client.Status]
// shows the result in the measurements of the server.
func (c *Client) Compact(ctx context.Context) error {
	return c.admin(ctx, wire.Request{Op: model.OpCompact})
}

// Verified is the result of [Client.Verify].
type Verified struct {
	Objects, Bytes uint64 // of the live records that the Core read
	Damaged        uint64 // records among them that failed their check
}

// Verify lets the Core read every live record and compare it with its identity. It returns
// when that is done. It may take as long as reading the whole store twice, since the Core
// rests half of the time. An alert names each damaged record: see [Client.Alerts]. The Core
// also scrubs by itself, slowly. Call Verify when the result is needed now. The end of the
// context ends the waiting, not the work. Only a server administrator may verify.
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

// Grant gives a principal rights in a collection. The collection "" means the server, where
// only the right model.RightAdmin has a meaning.
func (c *Client) Grant(ctx context.Context, collection string, id [32]byte, r Rights) error {
	return c.admin(ctx, wire.Request{Op: model.OpGrant, Collection: collection, Identity: id, Rights: r})
}

// Revoke takes rights in a collection from a principal. See [Client.Grant].
func (c *Client) Revoke(ctx context.Context, collection string, id [32]byte, r Rights) error {
	return c.admin(ctx, wire.Request{Op: model.OpRevoke, Collection: collection, Identity: id, Rights: r})
}

// Status describes the parts of the server that the principal may see.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	s := new(Status)
	_, err := items(ctx, c, &wire.Request{Op: model.OpStatus}, func(p []byte) (struct{}, error) { return struct{}{}, s.Add(p) })
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Alerts returns the newest alerts, oldest first.
func (c *Client) Alerts(ctx context.Context) ([]Alert, error) {
	return items(ctx, c, &wire.Request{Op: model.OpAlerts}, frames.DecodeAlert)
}

// Ping asks the Core for the head of the log.
func (c *Client) Ping(ctx context.Context) (Head, error) {
	p, err := c.do(ctx, &wire.Request{Op: model.OpHead})
	return p.Head, err
}

func items[T any](ctx context.Context, c *Client, r *wire.Request, decode func([]byte) (T, error)) ([]T, error) {
	k, err := c.collect(ctx, r)
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
