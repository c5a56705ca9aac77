package main

import (
	"context"
	"errors"
	"time"

	"motte/bench/echo"
)

// fixture holds the parts that several lines share. The first line that needs a part makes it.
type fixture struct {
	settings
	server    *server
	echo      *echo.Server
	live      *server           // server with liveObjects objects
	busy      *server           // server with a Task that can spin
	starts    *starts           // nil: not measured yet
	crowd     *crowd            // nil: not measured yet
	built     string            // directory of the Tasks in several languages; "": none was built
	residency map[int]residency // by the factor of -objects
	ends      []func() error
}

// cleanup registers a function to be called after all lines.
func (f *fixture) cleanup(end func() error) { f.ends = append(f.ends, end) }

func (f *fixture) duration() time.Duration { return time.Duration(f.seconds * float64(time.Second)) }

// theServer returns the server of all lines except the lines about memory.
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
