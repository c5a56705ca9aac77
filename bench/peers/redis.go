package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"motte/bench/timing"
)

// redisProgram is the file to which Debian's redis-server is a link. The package redis-tools
// contains the file. Unlike the package redis-server, it starts no service. The program is a
// server if its name is redis-server.
const (
	redisProgram = "/usr/bin/redis-check-rdb"
	redisName    = "redis-server"
)

// redisServer is a Redis with a directory of its own.
type redisServer struct {
	*process
	settings
	options goredis.Options
	admin   *goredis.Client
}

// redisSettings are the settings of the server. A write is acknowledged when it is in the log
// and the log is on the disk. Only connections over TLS are accepted.
const redisSettings = `
bind 127.0.0.1
port 0
tls-port %d
tls-cert-file %s
tls-key-file %s
tls-auth-clients no
tls-protocols TLSv1.3
requirepass %s
dir %s
save ""
appendonly yes
appendfsync always
`

func (a *arena) startRedis(ctx context.Context) (system, error) {
	as, err := accountOf("nobody")
	if err != nil {
		return nil, err
	}
	dir, err := as.directory(a.base, "redis")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	settings := fmt.Sprintf(redisSettings, port, filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile),
		a.identity.password, dir)
	if err := errors.Join(a.identity.write(dir, as), as.write(dir, "redis.conf", []byte(settings))); err != nil {
		return nil, err
	}
	r := &redisServer{settings: a.settings, options: goredis.Options{Addr: fmt.Sprint("127.0.0.1:", port),
		Password: a.identity.password, TLSConfig: a.identity.client(), MaxRetries: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}}}
	cmd := exec.Command(redisProgram, filepath.Join(dir, "redis.conf"))
	cmd.Args[0] = redisName
	if r.process, err = start(cmd, syscall.SIGTERM, dir, as); err != nil {
		return nil, err
	}
	r.admin = r.connect(1)
	err = r.untilReady(func() error { return r.admin.Ping(ctx).Err() })
	if err == nil {
		err = r.fill(ctx)
	}
	return r, err
}

// connect returns a client that opens a connection for each of n workers.
func (r *redisServer) connect(n int) *goredis.Client {
	o := r.options
	o.PoolSize, o.MinIdleConns = n, n
	return goredis.NewClient(&o)
}

func (r *redisServer) stop() error { return errors.Join(r.admin.Close(), r.process.stop()) }

// version asks the server for the settings, since the server may ignore its file.
func (r *redisServer) version(ctx context.Context) (string, error) {
	info := r.admin.InfoMap(ctx, "server")
	if err := info.Err(); err != nil {
		return "", err
	}
	text := "Redis " + info.Item("Server", "redis_version")
	for _, name := range []string{"appendonly", "appendfsync", "tls-protocols", "io-threads"} {
		values, err := r.admin.ConfigGet(ctx, name).Result()
		if err != nil {
			return "", err
		}
		text += ", " + name + " " + values[name]
	}
	return text, nil
}

// fill stores the objects for reads.
func (r *redisServer) fill(ctx context.Context) error {
	for i := 0; i < r.objects; {
		batch := r.admin.Pipeline()
		for ; i < r.objects && batch.Len() < loadBatch; i++ {
			batch.Set(ctx, objectName(i), timing.Object(i), 0)
		}
		if _, err := batch.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (r *redisServer) gets(_ context.Context, n int) (timing.Operation, func() error, error) {
	c := r.connect(n)
	return func(ctx context.Context, _, _ int) error {
		object, err := c.Get(ctx, objectName(r.anyObject())).Bytes()
		if err != nil {
			return err
		}
		return checkSize(object)
	}, c.Close, nil
}
