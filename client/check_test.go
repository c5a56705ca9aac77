package client

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"motte/client/frames"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

// TestWhatDoesNotFitIsNotSent: a name that is cut to the size of its field would name another
// collection or index.
func TestWhatDoesNotFitIsNotSent(t *testing.T) {
	c := connect(t, fake(t, func(c conn) {
		for first := true; ; first = false {
			r, ok := c.request()
			if !ok {
				return
			}
			if !first || r.Op != model.OpHead {
				t.Errorf("%s was sent with a name that does not fit; want no request", OperationName(r.Op))
			}
			c.reply(r.Number, wire.KindEnd, 0, nil)
		}
	}))
	ctx, id := t.Context(), Identity{1}
	last := func(yield func(func(Object, error) bool)) (err error) {
		yield(func(_ Object, e error) bool { err = e; return true })
		return err
	}
	operations := map[string]func(collection, index string) error{
		"put":           func(n, _ string) error { _, err := c.Put(ctx, n, nil); return err },
		"put attribute": func(_, i string) error { _, err := c.Put(ctx, "c", nil, Attribute(i, nil)); return err },
		"batch":         func(n, _ string) error { var b Batch; b.Delete("x"); _, err := c.PutBatch(ctx, n, &b); return err },
		"batch attribute": func(_, i string) error {
			var b Batch
			b.Put(nil, Attribute(i, nil))
			_, err := c.PutBatch(ctx, "c", &b)
			return err
		},
		"get":             func(n, _ string) error { _, err := c.Get(ctx, n, "x"); return err },
		"get identity":    func(n, _ string) error { _, err := c.GetIdentity(ctx, n, id); return err },
		"delete":          func(n, _ string) error { return c.Delete(ctx, n, "x") },
		"delete identity": func(n, _ string) error { return c.DeleteIdentity(ctx, n, id) },
		"delete if":       func(n, _ string) error { return c.DeleteIf(ctx, n, "x", id) },
		"count":           func(n, i string) error { _, err := c.Count(ctx, Query{Collection: n, Index: i}); return err },
		"delete where":    func(n, i string) error { _, err := c.DeleteWhere(ctx, Query{Collection: n, Index: i}); return err },
		"search":          func(n, i string) error { return last(c.Search(ctx, Query{Collection: n, Index: i})) },
		"search of few":   func(n, i string) error { return last(c.Search(ctx, Query{Collection: n, Index: i, Limit: 1})) },
		"list":            func(n, _ string) error { return last(c.List(ctx, n)) },
		"new collection":  func(n, _ string) error { return c.CreateCollection(ctx, n) },
		"drop collection": func(n, _ string) error { return c.DropCollection(ctx, n) },
		"new index":       func(n, i string) error { return c.CreateIndex(ctx, n, i, Index{Task: "t"}) },
		"drop index":      func(n, i string) error { return c.DropIndex(ctx, n, i) },
		"grant":           func(n, _ string) error { return c.Grant(ctx, n, id, model.RightRead) },
		"revoke":          func(n, _ string) error { return c.Revoke(ctx, n, id, model.RightRead) },
	}
	long := strings.Repeat("a", model.MaxIdentifier+1)
	for name, do := range operations {
		for _, bad := range []string{long, "people\x00"} {
			if err := do(bad, bad); !errors.Is(err, ErrInvalidRequest) {
				t.Errorf("%s of %q returns %v; want that the name is refused", name, bad, err)
			}
		}
	}
	name, text, data := strings.Repeat("n", model.MaxName+1), strings.Repeat("q", model.MaxSubQuery+1), make([]byte, model.MaxObject+1)
	for what, do := range map[string]func() error{
		"object":        func() error { _, err := c.Put(ctx, "c", data); return err },
		"name":          func() error { _, err := c.Put(ctx, "c", nil, Name(name)); return err },
		"attribute":     func() error { _, err := c.Put(ctx, "c", nil, Attribute("i", []byte(text))); return err },
		"name to get":   func() error { _, err := c.Get(ctx, "c", name); return err },
		"name to go":    func() error { return c.Delete(ctx, "c", name) },
		"predicate":     func() error { _, err := c.Count(ctx, Query{Collection: "c", Index: "i", Predicate: text}); return err },
		"configuration": func() error { return c.CreateIndex(ctx, "c", "i", Index{Task: "t", Config: []byte(text)}) },
		"Task":          func() error { return c.RegisterTask(ctx, name, Row{}) },
		"label":         func() error { return c.AddPrincipal(ctx, id, name) },
	} {
		if err := do(); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestBatchIsWhatWasAdded: if a name were longer than its length field can say, the Core would
// read the rest of it as operations.
func TestBatchIsWhatWasAdded(t *testing.T) {
	smuggled := frames.AppendBatchOp(nil, &wire.Request{Op: model.OpDelete, Name: []byte("payroll")})
	name := string(append(bytes.Repeat([]byte("n"), 1<<16), smuggled...))
	for what, add := range map[string]func(*Batch){
		"name to put":    func(b *Batch) { b.Put(nil, Name(name)) },
		"name to delete": func(b *Batch) { b.Delete(name) },
		"name, by one":   func(b *Batch) { b.Delete(strings.Repeat("n", model.MaxName+1)) },
		"attributes":     func(b *Batch) { b.Put(nil, Attribute("i", make([]byte, model.MaxSubQuery))) },
		"object":         func(b *Batch) { b.Put(make([]byte, model.MaxObject+1)) },
	} {
		var b Batch
		b.Put([]byte("before"))
		add(&b)
		b.Put([]byte("after"))
		if ops, err := wire.DecodeBatch(b.ops); err != nil || len(ops) != b.Len() {
			t.Errorf("%s too long: the batch has %d operations, and the Core reads %d (%v); want none", what, b.Len(), len(ops), err)
		}
		if _, err := (&Client{}).PutBatch(context.Background(), "c", &b); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAnEmptyNameIsRefused: the Core would store the object without a name.
func TestAnEmptyNameIsRefused(t *testing.T) {
	if _, err := (&Client{}).Put(context.Background(), "c", []byte("x"), Name("")); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("PUT: %v", err)
	}
	var b Batch
	b.Put([]byte("x"), Name("a"))
	b.Put([]byte("x"), Name(""))
	if _, err := (&Client{}).PutBatch(context.Background(), "c", &b); !errors.Is(err, ErrInvalidRequest) {
		t.Errorf("batch: %v", err)
	}
}

// TestEachOperationHasOneResult: an answer with another number of results belongs to another
// request.
func TestEachOperationHasOneResult(t *testing.T) {
	for _, n := range []uint32{0, 1, 3} {
		c := connect(t, fake(t, func(c conn) {
			for r, ok := c.request(); ok; r, ok = c.request() {
				count := n
				if r.Op == model.OpHead {
					count = 0
				}
				c.reply(r.Number, wire.KindEnd, count, make([]byte, count*identity.Size))
			}
		}))
		var b Batch
		b.Put([]byte("one"))
		b.Put([]byte("two"))
		if results, err := c.PutBatch(t.Context(), "c", &b); err == nil {
			t.Errorf("an answer with %d results for 2 operations was accepted; want an error", len(results))
		}
	}
}
