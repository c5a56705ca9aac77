package main

import (
	"context"
	"errors"
	"time"

	"motte/bench/echo"
)

// fixture holds the parts that lines share. Each part is made when the first line needs it.
type fixture struct {
	settings
	server    *server
	echo      *echo.Server
	live      *server           // that holds liveObjects
	residency map[int]residency // by the factor of -objects
	ends      []func() error
}

// cleanup has end called when all lines are measured.
func (f *fixture) cleanup(end func() error) { f.ends = append(f.ends, end) }

func (f *fixture) duration() time.Duration { return time.Duration(f.seconds * float64(time.Second)) }

// theServer returns the server of all lines but those of memory.
func (f *fixture) theServer(ctx context.Context) (s *server, err error) {
	if f.server == nil {
		f.server, err = startServer(ctx, f.dir, f.bin)
	}
	return f.server, err
}

func (f *fixture) theEcho() (e *echo.Server, err error) {
	if f.echo == nil {
		f.echo, err = echo.Start()
	}
	return f.echo, err
}

func (f *fixture) close() error {
	var errs []error
	if f.echo != nil {
		errs = append(errs, f.echo.Stop())
	}
	if f.server != nil {
		errs = append(errs, f.server.stop())
	}
	for _, end := range f.ends {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}
