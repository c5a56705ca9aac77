package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"motte/client"
	"motte/core/model"
	"motte/core/wire"
	"motte/host/sandbox"
	"motte/mottetest"
)

const collection = "go"

// start starts the server, and registers the principals.
func (d *demo) start(ctx context.Context) (err error) {
	if err := d.serve(ctx); err != nil {
		return err
	}
	p, err := d.server.Profile()
	if err != nil {
		return err
	}
	d.say("The Core listens on %s, TLS 1.3 only. Clients know it by its key, %x…, and it knows clients by their keys: "+
		"no passwords, no certificate authority. The Core seals everything that it stores. In this demo the root key lies beside the data; "+
		"--root-key would put it elsewhere.", p.Address, p.CoreKey[:8])
	if d.networkKey, d.networkID, err = mottetest.NewPrincipal(ctx, d.admin, "network"); err != nil {
		return err
	}
	if d.readerKey, d.readerID, err = mottetest.NewPrincipal(ctx, d.admin, "reader"); err != nil {
		return err
	}
	if err := d.admin.CreateCollection(ctx, collection); err != nil {
		return err
	}
	if err := d.admin.Grant(ctx, collection, d.networkID, model.RightReadOwn|model.RightWrite); err != nil {
		return err
	}
	if err := d.admin.Grant(ctx, collection, d.readerID, model.RightRead); err != nil {
		return err
	}
	d.gap()
	d.row("%-10s %s", "principal", "rights in the collection “go”")
	d.row("%-10s %-24s %s", "admin", "all", "puts all packages except those of network")
	d.row("%-10s %-24s %s", "network", "read-own, write", "puts net and its subpackages")
	d.row("%-10s %-24s %s", "reader", "read", "puts nothing")
	return d.connect(ctx)
}

// serve starts the server on a new or an existing store, and connects its administrator.
func (d *demo) serve(ctx context.Context) (err error) {
	if err := os.MkdirAll(d.taskDir(), 0o700); err != nil {
		return err
	}
	if d.server, err = mottetest.Start(d.dir, d.bin, d.taskDir()); err != nil {
		return err
	}
	d.admin, err = d.server.Admin(ctx)
	return err
}

// taskDir is the directory of Tasks that are not built in.
func (d *demo) taskDir() string { return filepath.Join(d.dir, "tasks") }

// connect connects the other two principals.
func (d *demo) connect(ctx context.Context) (err error) {
	if d.network, err = d.server.As(ctx, d.networkKey); err != nil {
		return err
	}
	d.reader, err = d.server.As(ctx, d.readerKey)
	return err
}

// load reads the source of the standard library and puts every symbol.
func (d *demo) load(ctx context.Context) error {
	b := bar(-1, "reading the source")
	list, err := standardLibrary(func(string) { _ = b.Add(1) }) // ignore errors of the display
	_ = b.Finish()
	if err != nil {
		return err
	}
	if err := check(len(list) > 10_000, "the standard library exports only %d symbols", len(list)); err != nil {
		return err
	}
	d.library = make(library, len(list))
	for _, s := range list {
		d.library[s.Symbol] = s
	}
	if err := check(len(d.library) == len(list), "%d symbols have %d names", len(list), len(d.library)); err != nil {
		return err
	}
	d.say("Each exported symbol becomes one object: JSON with a name. The object “strings.Cut”:")
	d.gap()
	d.example(d.library["strings.Cut"])
	d.gap()
	began := time.Now()
	own, bytes, err := d.put(ctx, list)
	if err != nil {
		return err
	}
	took := time.Since(began)
	d.say("%d objects of %.1f MB in %s (%.0f a second, in atomic batches, each of them on the disk before it was "+
		"acknowledged). %d of them belong to network.", len(list), float64(bytes)/1e6, brief(took), float64(len(list))/took.Seconds(), own)
	return nil
}

// example returns the JSON of an object, shortened.
func (d *demo) example(s symbol) {
	d.row(`{"symbol":%q, "package":%q, "kind":%q, "lines":%d,`, s.Symbol, s.Package, s.Kind, s.Lines)
	d.row(` "signature":%q,`, s.Signature)
	d.row(` "doc":%q, "like":[…]}`, clip(strings.Join(strings.Fields(s.Doc), " "), 64))
}

// put puts symbols in batches, each symbol as the principal that owns it.
func (d *demo) put(ctx context.Context, list []symbol) (own, bytes int, err error) {
	b := bar(len(list), "putting objects")
	defer b.Finish()
	batches := map[*client.Client]*client.Batch{d.admin: {}, d.network: {}}
	flush := func(c *client.Client) error {
		_, err := c.PutBatch(ctx, collection, batches[c])
		_ = b.Add(batches[c].Len())
		batches[c] = &client.Batch{}
		return err
	}
	for _, s := range list {
		c := d.admin
		if ofNetwork(s) {
			c, own = d.network, own+1
		}
		data, err := json.Marshal(s)
		if err != nil {
			return own, bytes, err
		}
		bytes += len(data)
		batches[c].Put(data, client.Name(s.Symbol))
		if batches[c].Len() == wire.MaxBatch {
			if err := flush(c); err != nil {
				return own, bytes, err
			}
		}
	}
	if err := flush(d.admin); err != nil {
		return own, bytes, err
	}
	return own, bytes, flush(d.network)
}

// indexes are the indexes of the collection, in the order in which they are made.
var indexes = []struct {
	name, what string
	client.Index
}{
	{"by_lines", "a B-tree on the lines of the declaration", client.Index{Task: "ordered", Type: model.TypeInt64, Ordered: true, Config: []byte(`{"path":"/lines"}`)}},
	{"by_package", "a B-tree on the package", client.Index{Task: "ordered", Type: model.TypeString, Ordered: true, Config: []byte(`{"path":"/package"}`)}},
	{"doc", "full text of the comment, best matches first", client.Index{Task: "text", Ordered: true, Config: []byte(`{"path":"/doc"}`)}},
	{"like", "vectors of the words of the comment, the nearest first", client.Index{Task: "vector", Ordered: true, Config: []byte(`{"path":"/like","dimensions":64}`)}},
}

// index makes the indexes, which the Core feeds from its copy.
func (d *demo) index(ctx context.Context) error {
	steps := 0
	for _, w := range sandbox.Probe() {
		if w.Mandatory && !w.Holds {
			return fmt.Errorf("a Task can't be confined on this machine: %s: %s; see: motte doctor", w.Broken, w.Detail)
		}
		if w.Holds {
			steps++
		}
	}
	d.say("A Task gets its input from the Core through one socket. It has no file, no network, no view of other "+
		"processes, and no key. “motte doctor” lists the steps of this confinement: %d hold on this machine.", steps)
	d.gap()
	for _, x := range indexes {
		began := time.Now()
		if err := d.admin.CreateIndex(ctx, collection, x.name, x.Index); err != nil {
			return fmt.Errorf("index %s: %w", x.name, err)
		}
		if err := d.serving(ctx, x.name); err != nil {
			return err
		}
		d.row("%-11s %-55s built in %8s", x.name, x.what, brief(time.Since(began)))
	}
	return nil
}

// serving waits until an index of the library serves.
func (d *demo) serving(ctx context.Context, index string) error {
	return d.servingIn(ctx, collection, index, len(d.library))
}

// servingIn waits until an index of a collection with so many objects serves.
func (d *demo) servingIn(ctx context.Context, collection, index string, objects int) error {
	b := bar(objects, "feeding "+index)
	defer b.Finish()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); {
		s, err := d.statusIn(ctx, collection, index)
		if err != nil {
			return err
		}
		if s.State == model.IndexServing {
			return nil
		}
		if err := check(s.State != model.IndexRefused, "the Task refuses the configuration of %s", index); err != nil {
			return err
		}
		_ = b.Set(int(min(s.Fed, uint64(objects))))
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return check(false, "index %s does not serve after two minutes", index)
}

// status returns the state of an index of the library.
func (d *demo) status(ctx context.Context, index string) (*wire.IndexStatus, error) {
	return d.statusIn(ctx, collection, index)
}

func (d *demo) statusIn(ctx context.Context, collection, index string) (*wire.IndexStatus, error) {
	status, err := d.admin.Status(ctx)
	if err != nil {
		return nil, err
	}
	if s := status.Index(collection, index); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("index %s: %w", index, client.ErrNoIndex)
}
