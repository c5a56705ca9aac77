package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"motte/bench/timing"
	"motte/client"
	"motte/core/model"
	"motte/core/wire"
	"motte/mottetest"
)

// server is the server on which GET, PUT and SEARCH are measured.
type server struct {
	*mottetest.Server
	admin *client.Client
	dir   string
}

// startServer starts an empty server in a new directory under dir.
func startServer(ctx context.Context, dir, bin string) (*server, error) {
	dir, err := os.MkdirTemp(dir, "motte-bench-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if s.Server, err = mottetest.Start(dir, bin); err != nil {
		return nil, err // the error names the log, which stays in dir
	}
	if s.admin, err = s.Admin(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// stop ends the server, and removes its files.
func (s *server) stop() error {
	if s.admin != nil {
		s.admin.Close()
	}
	return errors.Join(s.Stop(), os.RemoveAll(s.dir))
}

// filled makes a collection and fills it, unless an earlier call did so. If an index is named,
// the collection has that index.
func (s *server) filled(ctx context.Context, name, index string, n int) error {
	err := s.collection(ctx, name, index)
	if errors.Is(err, client.ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.fill(ctx, name, index, n)
}

// collection makes a collection. If an index is named, it also makes an ordered index of an
// int64 attribute, and waits until the index serves.
func (s *server) collection(ctx context.Context, name, index string) error {
	if err := s.admin.CreateCollection(ctx, name); err != nil || index == "" {
		return err
	}
	err := s.admin.CreateIndex(ctx, name, index, client.Index{Task: "ordered", Type: model.TypeInt64,
		Attribute: true, Config: []byte(`{"type":"int64"}`)})
	if err != nil {
		return fmt.Errorf("index %s of %s: %w", index, name, err)
	}
	return s.serves(ctx, name, index)
}

// serves waits until an index of the Task "ordered" serves.
func (s *server) serves(ctx context.Context, name, index string) (err error) {
	for err == nil {
		_, err = s.admin.Count(ctx, client.Query{Collection: name, Index: index, Predicate: "all"})
		if err == nil {
			return nil
		}
		if client.Temporary(err) {
			time.Sleep(10 * time.Millisecond)
			err = ctx.Err()
		}
	}
	return fmt.Errorf("index %s of %s: %w", index, name, err)
}

// fill puts n objects. The number of an object is its name and its attribute.
func (s *server) fill(ctx context.Context, collection, index string, n int) error {
	for i := 0; i < n; {
		var b client.Batch
		for ; i < n && b.Len() < wire.MaxBatch; i++ {
			options := []client.PutOption{client.Name(objectName(i))}
			if index != "" {
				options = append(options, client.Attribute(index, fmt.Append(nil, i)))
			}
			b.Put(timing.Object(i), options...)
		}
		if _, err := s.admin.PutBatch(ctx, collection, &b); err != nil {
			return fmt.Errorf("fill %s: %w", collection, err)
		}
	}
	return nil
}

func objectName(n int) string { return fmt.Sprintf("object-%08d", n) }

// connect opens n connections as the administrator.
func (s *server) connect(ctx context.Context, n int) (list []*client.Client, err error) {
	for range n {
		c, err := s.Admin(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, nil
}
