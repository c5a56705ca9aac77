package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"motte/bench/echo"
)

// arena holds the systems. The first line that needs a system starts and fills it.
type arena struct {
	settings
	base     string // directory for all files of the systems
	identity *identity
	echo     *echo.Server
	running  map[string]system
	ycsb     *ycsbWorkloads
}

// system is a store to be measured.
type system interface {
	server
	// version returns the name and version of the program, and its important settings.
	version(ctx context.Context) (string, error)
	// stop ends the server.
	stop() error
}

func newArena(s settings) (*arena, error) {
	base, err := os.MkdirTemp(s.dir, "motte-peers-")
	if err != nil {
		return nil, err
	}
	a := &arena{settings: s, base: base, running: make(map[string]system), ycsb: newYCSBWorkloads(s.objects)}
	// Servers run as other users, and must reach their directories.
	err = os.Chmod(base, 0o711)
	if err == nil {
		a.identity, err = newIdentity()
	}
	if err == nil {
		a.echo, err = echo.Start()
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// close ends all systems, and removes their files.
func (a *arena) close() error {
	var errs []error
	for name, s := range a.running {
		if err := s.stop(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", name, err))
		}
	}
	if a.echo != nil {
		errs = append(errs, a.echo.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(a.base))...)
}

// open returns a system. The first call for a system starts and fills it.
func (a *arena) open(ctx context.Context, name string) (system, error) {
	if s := a.running[name]; s != nil {
		return s, nil
	}
	starters := map[string]func(context.Context) (system, error){
		motte:    a.startMotte,
		postgres: a.startPostgres,
		redis:    a.startRedis,
	}
	s, err := starters[name](ctx)
	if s != nil {
		a.running[name] = s // so that close stops it, even if filling fails
	}
	return s, err
}

func (a *arena) theMotte(ctx context.Context) (*motteServer, error) {
	s, err := a.open(ctx, motte)
	if err != nil {
		return nil, err
	}
	return s.(*motteServer), nil
}
