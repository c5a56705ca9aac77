package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"motte/bench/timing"
	"motte/client"
)

// motteServer is a running "motte serve": host, Core and Tasks.
type motteServer struct {
	*process
	settings
	profile string // file of the administrator's profile
	admin   *client.Client
}

const (
	motteObjects = "objects" // collection of the objects for reads
	motteIndex   = "n"       // index of their numbers, by the Task ordered
	motteRecords = "ycsb"    // collection of YCSB's records
)

func (a *arena) startMotte(ctx context.Context) (system, error) {
	dir, err := (*account)(nil).directory(a.base, "motte")
	if err != nil {
		return nil, err
	}
	m := &motteServer{settings: a.settings}
	cmd := exec.Command(filepath.Join(a.bin, "motte"), "serve", "--dir", filepath.Join(dir, "store"),
		"--listen", "127.0.0.1:0", "--json")
	ready, said := io.Pipe()
	cmd.Stdout = said
	if m.process, err = start(cmd, syscall.SIGTERM, dir, nil); err != nil {
		return nil, err
	}
	go func() {
		<-m.ended
		_ = said.Close()
	}()
	m.profile, err = readProfileName(ready)
	if errors.Is(err, io.EOF) { // the server has ended
		return m, m.notReady(err)
	}
	if err == nil {
		m.admin, err = m.dial(ctx)
	}
	if err == nil {
		err = m.fill(ctx)
	}
	return m, err
}

// readProfileName reads the line by which the server says that clients can connect. It keeps
// reading the output, so that the server never blocks.
func readProfileName(r *io.PipeReader) (string, error) {
	var ready struct {
		Profile string `json:"profile"`
	}
	lines := bufio.NewReader(r)
	line, err := lines.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends when the server ends
	return ready.Profile, err
}

func (m *motteServer) stop() error {
	var errs []error
	if m.admin != nil {
		errs = append(errs, m.admin.Close())
	}
	return errors.Join(append(errs, m.process.stop())...)
}

func (m *motteServer) version(context.Context) (string, error) {
	out, err := exec.Command(filepath.Join(m.bin, "motte"), "version").Output()
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(out), "\n")
	_, version, _ := strings.Cut(first, " ")
	return "Motte " + strings.TrimSpace(version) + ", default settings", nil
}

// dial connects as the administrator.
func (m *motteServer) dial(ctx context.Context) (*client.Client, error) {
	p, err := client.ReadProfile(m.profile)
	if err != nil {
		return nil, err
	}
	return client.Dial(ctx, p)
}

// connect opens n connections.
func (m *motteServer) connect(ctx context.Context, n int) (list []*client.Client, done func() error, err error) {
	for range n {
		c, err := m.dial(ctx)
		if err != nil {
			return nil, nil, err
		}
		list = append(list, c)
	}
	return list, func() error {
		var errs []error
		for _, c := range list {
			errs = append(errs, c.Close())
		}
		return errors.Join(errs...)
	}, nil
}

// collection makes a collection with an index of numbers, and waits until the index serves.
func (m *motteServer) collection(ctx context.Context, name string) error {
	if err := m.admin.CreateCollection(ctx, name); err != nil {
		return err
	}
	int64s, err := client.ParseType("int64")
	if err != nil {
		return err
	}
	err = m.admin.CreateIndex(ctx, name, motteIndex, client.Index{Task: "ordered", Type: int64s, Ordered: true,
		Attribute: true, Config: []byte(`{"type":"int64"}`)})
	for err == nil {
		_, err = m.admin.Count(ctx, client.Query{Collection: name, Index: motteIndex, Predicate: "all"})
		if err == nil {
			return nil
		}
		if client.Temporary(err) {
			time.Sleep(10 * time.Millisecond)
			err = ctx.Err()
		}
	}
	return fmt.Errorf("index of %s: %w", name, err)
}

// fill stores the objects for reads.
func (m *motteServer) fill(ctx context.Context) error {
	if err := m.collection(ctx, motteObjects); err != nil {
		return err
	}
	for i := 0; i < m.objects; {
		var b client.Batch
		for ; i < m.objects && b.Len() < loadBatch; i++ {
			n := strconv.AppendInt(nil, int64(i), 10)
			b.Put(timing.Object(i), client.Name(objectName(i)), client.Attribute(motteIndex, n))
		}
		if _, err := m.admin.PutBatch(ctx, motteObjects, &b); err != nil {
			return err
		}
	}
	return nil
}

func (m *motteServer) gets(ctx context.Context, n int) (timing.Operation, func() error, error) {
	clients, done, err := m.connect(ctx, n)
	return func(ctx context.Context, worker, _ int) error { return m.get(ctx, clients[worker]) }, done, err
}

// getsOnOne lets all workers share one connection.
func (m *motteServer) getsOnOne(ctx context.Context) (timing.Operation, func() error, error) {
	clients, done, err := m.connect(ctx, 1)
	return func(ctx context.Context, _, _ int) error { return m.get(ctx, clients[0]) }, done, err
}

// getsMany asks for n objects in one request.
func (m *motteServer) getsMany(ctx context.Context, n int) (timing.Operation, func() error, error) {
	clients, done, err := m.connect(ctx, 1)
	return func(ctx context.Context, _, _ int) error {
		names := make([]string, n)
		for i := range names {
			names[i] = objectName(m.anyObject())
		}
		found := 0
		for o, err := range clients[0].GetAll(ctx, motteObjects, names...) {
			if err == nil {
				err = checkSize(o.Data)
			}
			if err != nil {
				return err
			}
			found++
		}
		if found != n {
			return fmt.Errorf("GETMANY returned %d of %d objects", found, n)
		}
		return nil
	}, done, err
}

func (m *motteServer) get(ctx context.Context, c *client.Client) error {
	o, err := c.Get(ctx, motteObjects, objectName(m.anyObject()))
	if err != nil {
		return err
	}
	return checkSize(o.Data)
}

func (m *motteServer) ranges(ctx context.Context, n int) (timing.Operation, func() error, error) {
	clients, done, err := m.connect(ctx, n)
	return func(ctx context.Context, worker, _ int) error {
		from := m.anyRange()
		q := client.Query{Collection: motteObjects, Index: motteIndex, Limit: wanted,
			Predicate: fmt.Sprintf(">= %d and < %d", from, from+wanted)}
		found := 0
		for o, err := range clients[worker].Search(ctx, q) {
			if err == nil {
				err = checkSize(o.Data)
			}
			if err != nil {
				return err
			}
			found++
		}
		return checkFound(found)
	}, done, err
}

// puts lets all workers share one connection, which is the usual way to use Motte's client.
func (m *motteServer) puts(ctx context.Context, n int) (timing.Operation, func() error, error) {
	collection := fmt.Sprint("put-", n)
	if err := m.collection(ctx, collection); err != nil {
		return nil, nil, err
	}
	clients, done, err := m.connect(ctx, 1)
	var last atomic.Int64
	data := timing.Object(0)
	return func(ctx context.Context, _, _ int) error {
		i := last.Add(1)
		r, err := clients[0].Put(ctx, collection, data, client.Name(objectName(int(i))),
			client.Attribute(motteIndex, strconv.AppendInt(nil, i, 10)))
		if err == nil && r.NotIndexed {
			err = errors.New("an object was not indexed")
		}
		return err
	}, done, err
}
