package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/jackc/pgx/v5"

	"motte/bench/timing"
)

// postgresBin is the directory of PostgreSQL 15 on Debian.
const postgresBin = "/usr/lib/postgresql/15/bin"

// postgresServer is a cluster of PostgreSQL in a directory of its own.
type postgresServer struct {
	*process
	settings
	config *pgx.ConnConfig
	admin  *pgx.Conn
}

// postgresSettings are the settings of the server. Commits wait for the disk, which is the
// default. Memory and WAL are large enough for a whole run, so that few checkpoints occur during
// it. Only connections over TLS are accepted.
const postgresSettings = `
listen_addresses = '127.0.0.1'
port = %d
unix_socket_directories = ''
max_connections = 200
ssl = on
ssl_cert_file = '%s'
ssl_key_file = '%s'
ssl_min_protocol_version = 'TLSv1.3'
ssl_prefer_server_ciphers = off
fsync = on
synchronous_commit = on
full_page_writes = on
shared_buffers = 1GB
max_wal_size = 4GB
`

// postgresAccess accepts clients that connect over TLS and know the password.
const postgresAccess = "hostssl all all 127.0.0.1/32 scram-sha-256\n"

func (a *arena) startPostgres(ctx context.Context) (system, error) {
	as, err := accountOf("postgres")
	if err != nil {
		return nil, err
	}
	dir, err := as.directory(a.base, "postgres")
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	if err := a.initCluster(dir, port, as); err != nil {
		return nil, err
	}
	p := &postgresServer{settings: a.settings}
	if p.config, err = a.postgresClient(port); err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(postgresBin, "postgres"), "-D", filepath.Join(dir, "data"))
	if p.process, err = start(cmd, syscall.SIGINT, dir, as); err != nil { // SIGINT: a fast shutdown
		return nil, err
	}
	err = p.untilReady(func() (err error) {
		p.admin, err = pgx.ConnectConfig(ctx, p.config.Copy())
		return err
	})
	if err == nil {
		err = p.fill(ctx)
	}
	return p, err
}

// initCluster makes the cluster's files.
func (a *arena) initCluster(dir string, port int, as *account) error {
	data := filepath.Join(dir, "data")
	err := errors.Join(as.write(dir, "password", []byte(a.identity.password)), a.identity.write(dir, as))
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(postgresBin, "initdb"), "-D", data, "--username=postgres", "--auth=scram-sha-256",
		"--pwfile="+filepath.Join(dir, "password"), "--encoding=UTF8", "--locale=C")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as.credential()}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	settings := fmt.Sprintf(postgresSettings, port, filepath.Join(dir, certificateFile), filepath.Join(dir, keyFile))
	return errors.Join(as.write(data, "postgresql.auto.conf", []byte(settings)),
		as.write(data, "pg_hba.conf", []byte(postgresAccess)))
}

// postgresClient returns the configuration of clients.
func (a *arena) postgresClient(port int) (*pgx.ConnConfig, error) {
	where := fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=verify-full", port)
	c, err := pgx.ParseConfig(where)
	if err != nil {
		return nil, err
	}
	c.Password = a.identity.password
	c.TLSConfig = a.identity.client()
	return c, nil
}

func (p *postgresServer) stop() error {
	var errs []error
	if p.admin != nil {
		errs = append(errs, p.admin.Close(context.Background()))
	}
	return errors.Join(append(errs, p.process.stop())...)
}

// version asks the server for the settings, since the server may ignore its file.
func (p *postgresServer) version(ctx context.Context) (string, error) {
	var text string
	if err := p.admin.QueryRow(ctx, "SELECT 'PostgreSQL ' || current_setting('server_version')").Scan(&text); err != nil {
		return "", err
	}
	for _, name := range []string{"ssl", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method", "shared_buffers",
		"max_wal_size"} {
		var value string
		if err := p.admin.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
			return "", err
		}
		text += ", " + name + " " + value
	}
	return text, nil
}

// connect opens n connections.
func (p *postgresServer) connect(ctx context.Context, n int) (list []*pgx.Conn, done func() error, err error) {
	for range n {
		c, err := pgx.ConnectConfig(ctx, p.config.Copy())
		if err != nil {
			return nil, nil, err
		}
		list = append(list, c)
	}
	return list, func() error {
		var errs []error
		for _, c := range list {
			errs = append(errs, c.Close(context.Background()))
		}
		return errors.Join(errs...)
	}, nil
}

// table makes a table like a collection of Motte with an index: a name, a number, an object.
func (p *postgresServer) table(ctx context.Context, name string) error {
	_, err := p.admin.Exec(ctx, fmt.Sprintf(`
		CREATE TABLE %[1]s (name text PRIMARY KEY, n bigint NOT NULL, object bytea NOT NULL);
		CREATE INDEX %[1]s_n ON %[1]s (n)`, name))
	return err
}

// fill stores the objects for reads.
func (p *postgresServer) fill(ctx context.Context) error {
	if err := p.table(ctx, "objects"); err != nil {
		return err
	}
	rows := pgx.CopyFromSlice(p.objects, func(i int) ([]any, error) {
		return []any{objectName(i), i, timing.Object(i)}, nil
	})
	if _, err := p.admin.CopyFrom(ctx, pgx.Identifier{"objects"}, []string{"name", "n", "object"}, rows); err != nil {
		return err
	}
	return p.settle(ctx, "objects")
}

// settle does the work that the server would do by itself some time after a table was filled.
func (p *postgresServer) settle(ctx context.Context, table string) error {
	if _, err := p.admin.Exec(ctx, "VACUUM (ANALYZE) "+table); err != nil {
		return err
	}
	_, err := p.admin.Exec(ctx, "CHECKPOINT")
	return err
}

func (p *postgresServer) gets(ctx context.Context, n int) (timing.Operation, func() error, error) {
	conns, done, err := p.connect(ctx, n)
	return func(ctx context.Context, worker, _ int) error {
		var object []byte
		row := conns[worker].QueryRow(ctx, "SELECT object FROM objects WHERE name = $1", objectName(p.anyObject()))
		if err := row.Scan(&object); err != nil {
			return err
		}
		return checkSize(object)
	}, done, err
}

func (p *postgresServer) ranges(ctx context.Context, n int) (timing.Operation, func() error, error) {
	conns, done, err := p.connect(ctx, n)
	return func(ctx context.Context, worker, _ int) error {
		from := p.anyRange()
		rows, err := conns[worker].Query(ctx, "SELECT object FROM objects WHERE n >= $1 AND n < $2 ORDER BY n LIMIT $3",
			from, from+wanted, wanted)
		if err != nil {
			return err
		}
		defer rows.Close()
		found := 0
		for rows.Next() {
			var object []byte
			if err := rows.Scan(&object); err != nil {
				return err
			}
			if err := checkSize(object); err != nil {
				return err
			}
			found++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return checkFound(found)
	}, done, err
}

func (p *postgresServer) puts(ctx context.Context, n int) (timing.Operation, func() error, error) {
	table := fmt.Sprint("put_", n)
	if err := p.table(ctx, table); err != nil {
		return nil, nil, err
	}
	conns, done, err := p.connect(ctx, n)
	var last atomic.Int64
	object := timing.Object(0)
	insert := fmt.Sprintf("INSERT INTO %s (name, n, object) VALUES ($1, $2, $3)", table)
	return func(ctx context.Context, worker, _ int) error {
		i := last.Add(1)
		_, err := conns[worker].Exec(ctx, insert, objectName(int(i)), i, object)
		return err
	}, done, err
}
