package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	goredis "github.com/redis/go-redis/v9"

	"motte/client"
)

// motteRecordDB stores a record as an object under the record's key. All threads share one
// connection, which is the usual way to use Motte's client.
type motteRecordDB struct {
	unused
	client *client.Client
}

func (m *motteServer) records(ctx context.Context, _ int) (recordDB, error) {
	if err := m.admin.CreateCollection(ctx, motteRecords); err != nil && !errors.Is(err, client.ErrExists) {
		return nil, err
	}
	c, err := m.dial(ctx)
	return motteRecordDB{client: c}, err
}

func (d motteRecordDB) Close() error { return d.client.Close() }

func (d motteRecordDB) Read(ctx context.Context, _, key string, _ []string) (map[string][]byte, error) {
	o, err := d.client.Get(ctx, motteRecords, key)
	if err != nil {
		return nil, err
	}
	return record(o.Data)
}

func (d motteRecordDB) Update(ctx context.Context, _, key string, values map[string][]byte) error {
	_, err := d.client.Put(ctx, motteRecords, values[field], client.Name(key))
	return err
}

func (d motteRecordDB) BatchInsert(ctx context.Context, _ string, keys []string, values []map[string][]byte) error {
	var b client.Batch
	for i, key := range keys {
		b.Put(values[i][field], client.Name(key))
	}
	_, err := d.client.PutBatch(ctx, motteRecords, &b)
	return err
}

// redisRecordDB stores a record as a string under the record's key. Each thread has a
// connection.
type redisRecordDB struct {
	unused
	client *goredis.Client
}

func (r *redisServer) records(_ context.Context, threads int) (recordDB, error) {
	return redisRecordDB{client: r.connect(threads)}, nil
}

func (d redisRecordDB) Close() error { return d.client.Close() }

func (d redisRecordDB) Read(ctx context.Context, _, key string, _ []string) (map[string][]byte, error) {
	object, err := d.client.Get(ctx, key).Bytes()
	if err != nil {
		return nil, err
	}
	return record(object)
}

func (d redisRecordDB) Update(ctx context.Context, _, key string, values map[string][]byte) error {
	return d.client.Set(ctx, key, values[field], 0).Err()
}

func (d redisRecordDB) BatchInsert(ctx context.Context, _ string, keys []string, values []map[string][]byte) error {
	batch := d.client.Pipeline()
	for i, key := range keys {
		batch.Set(ctx, key, values[i][field], 0)
	}
	_, err := batch.Exec(ctx)
	return err
}

// postgresRecordDB stores a record as a row of a table with a primary key. Each thread has a
// connection.
type postgresRecordDB struct {
	unused
	server *postgresServer
	conns  []*pgx.Conn
	done   func() error
}

// threadKey is the key of a thread's connection in the thread's context.
type threadKey struct{}

func (p *postgresServer) records(ctx context.Context, threads int) (recordDB, error) {
	_, err := p.admin.Exec(ctx, "CREATE TABLE IF NOT EXISTS ycsb (name text PRIMARY KEY, object bytea NOT NULL)")
	if err != nil {
		return nil, err
	}
	conns, done, err := p.connect(ctx, threads)
	return postgresRecordDB{server: p, conns: conns, done: done}, err
}

func (d postgresRecordDB) Close() error { return d.done() }

func (d postgresRecordDB) InitThread(ctx context.Context, thread, _ int) context.Context {
	return context.WithValue(ctx, threadKey{}, d.conns[thread])
}

func (d postgresRecordDB) Read(ctx context.Context, _, key string, _ []string) (map[string][]byte, error) {
	var object []byte
	row := ctx.Value(threadKey{}).(*pgx.Conn).QueryRow(ctx, "SELECT object FROM ycsb WHERE name = $1", key)
	if err := row.Scan(&object); err != nil {
		return nil, err
	}
	return record(object)
}

func (d postgresRecordDB) Update(ctx context.Context, _, key string, values map[string][]byte) error {
	conn := ctx.Value(threadKey{}).(*pgx.Conn)
	done, err := conn.Exec(ctx, "UPDATE ycsb SET object = $2 WHERE name = $1", key, values[field])
	if err == nil && done.RowsAffected() != 1 {
		err = fmt.Errorf("an update changed %d rows", done.RowsAffected())
	}
	return err
}

func (d postgresRecordDB) BatchInsert(ctx context.Context, _ string, keys []string, values []map[string][]byte) error {
	rows := pgx.CopyFromSlice(len(keys), func(i int) ([]any, error) { return []any{keys[i], values[i][field]}, nil })
	_, err := d.server.admin.CopyFrom(ctx, pgx.Identifier{"ycsb"}, []string{"name", "object"}, rows)
	return err
}

// Analyze implements ycsb.AnalyzeDB.
func (d postgresRecordDB) Analyze(ctx context.Context, _ string) error {
	return d.server.settle(ctx, "ycsb")
}
