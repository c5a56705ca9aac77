package main

import (
	"context"
	"errors"
	"time"
)

// fixture is what lines share, each part made when the first line needs it.
type fixture struct {
	settings
	server    *server
	echo      *peer
	residency *residency
}

func (f *fixture) duration() time.Duration { return time.Duration(f.seconds * float64(time.Second)) }

// theServer returns the server of all lines but those of memory.
func (f *fixture) theServer(ctx context.Context) (s *server, err error) {
	if f.server == nil {
		f.server, err = startServer(ctx, f.dir, f.bin)
	}
	return f.server, err
}

func (f *fixture) theEcho() (e *peer, err error) {
	if f.echo == nil {
		f.echo, err = startEcho()
	}
	return f.echo, err
}

func (f *fixture) close() error {
	var errs []error
	if f.echo != nil {
		errs = append(errs, f.echo.stop())
	}
	if f.server != nil {
		errs = append(errs, f.server.stop())
	}
	return errors.Join(errs...)
}
