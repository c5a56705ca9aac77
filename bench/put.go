package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"motte/bench/timing"
	"motte/client"
)

// put measures durable PUTs of new objects into a collection with an ordered
// index, n in flight on one connection.
func put(n int) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		s, err := f.theServer(ctx)
		if err != nil {
			return nil, nil, err
		}
		collection := fmt.Sprint("put-", n)
		if err := s.filled(ctx, collection, "n", 0); err != nil {
			return nil, nil, err
		}
		var last atomic.Int64
		data := timing.Object(0)
		motte = func(ctx context.Context) (float64, error) {
			return load(ctx, f.duration(), n, func(ctx context.Context, _, _ int) error {
				i := last.Add(1)
				r, err := s.admin.Put(ctx, collection, data, client.Name(objectName(int(i))),
					client.Attribute("n", strconv.AppendInt(nil, i, 10)))
				if err == nil && r.NotIndexed {
					err = errors.New("an object was not indexed")
				}
				return err
			})
		}
		beside = func(ctx context.Context) (float64, error) { return s.appendAndSync(ctx, f.duration()) }
		return motte, beside, nil
	}
}

// appendAndSync is the peer of PUT. It appends the same number of bytes to a file on the same
// file system, waits until they are durable, and repeats that. It does not group writes, so it
// shows the cost of durability for a single writer.
func (s *server) appendAndSync(ctx context.Context, d time.Duration) (float64, error) {
	file, err := os.Create(s.Dir + ".peer")
	if err != nil {
		return 0, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	p := timing.Object(0)
	return load(ctx, d, 1, func(context.Context, int, int) error {
		if _, err := file.Write(p); err != nil {
			return err
		}
		return syscall.Fdatasync(int(file.Fd()))
	})
}
