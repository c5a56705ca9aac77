// Package mottetest runs a whole server inside a program that shows or measures
// one: the host that "motte serve" runs, the Core and the Tasks as processes of
// their own, Tasks behind their walls. Data and log lie in a directory that the
// caller gives. A program that uses it calls sandbox.ReexecInit first in main.
package mottetest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"motte/client"
	"motte/host"
)

// readyWithin bounds how long a server may take until clients can connect.
const readyWithin = 60 * time.Second

// Server is a running server. Use Start.
type Server struct {
	Dir string // of the data
	Log string // file

	log     *os.File
	running *running
	profile string // file
	cancel  context.CancelFunc
	ended   chan error
}

// Start starts a server with the executables in bin, and more Tasks' in
// taskDirs. Its data is in dir/data, new or from an earlier start. It waits
// until clients can connect.
func Start(dir, bin string, taskDirs ...string) (*Server, error) {
	s := &Server{Dir: filepath.Join(dir, "data"), Log: filepath.Join(dir, "server.log"),
		running: &running{tasks: make(map[uint64]task)}, ended: make(chan error, 1)}
	var err error
	if s.log, err = os.OpenFile(s.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	ready := make(chan host.Ready, 1)
	logger := slog.New(&watcher{Handler: slog.NewTextHandler(s.log, nil), running: s.running})
	go func() {
		s.ended <- host.Run(ctx, host.Config{Dir: s.Dir, Listen: "127.0.0.1:0", Bin: bin, TaskDirs: taskDirs, Logger: logger,
			Ready: func(r host.Ready) {
				select {
				case ready <- r:
				default: // a Core that was started again: nobody waits
				}
			}})
	}()
	select {
	case r := <-ready:
		s.profile = r.Profile
		return s, nil
	case err := <-s.ended:
		s.ended <- err
		return nil, errors.Join(fmt.Errorf("the server ended before it was ready; its log is %s", s.Log), s.Stop())
	case <-time.After(readyWithin):
		return nil, errors.Join(fmt.Errorf("the server was not ready within %v; its log is %s", readyWithin, s.Log), s.Stop())
	}
}

// Stop stops the server in order and waits for all of its processes.
func (s *Server) Stop() error {
	s.cancel()
	err := <-s.ended
	return errors.Join(err, s.log.Close())
}

// Profile is the administrator's.
func (s *Server) Profile() (*client.Profile, error) { return client.ReadProfile(s.profile) }

// Admin connects as the administrator.
func (s *Server) Admin(ctx context.Context) (*client.Client, error) {
	p, err := s.Profile()
	if err != nil {
		return nil, err
	}
	return client.Dial(ctx, p)
}

// As connects with another principal's key. Where the server is, the
// administrator's profile says: its port changes with each start.
func (s *Server) As(ctx context.Context, key ed25519.PrivateKey) (*client.Client, error) {
	p, err := s.Profile()
	if err != nil {
		return nil, err
	}
	p.Key = key
	return client.Dial(ctx, p)
}

// NewPrincipal makes a key and registers it under a label.
func NewPrincipal(ctx context.Context, admin *client.Client, label string) (ed25519.PrivateKey, [32]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, [32]byte{}, err
	}
	p := client.Profile{Key: key}
	return key, p.Principal(), admin.AddPrincipal(ctx, p.Principal(), label)
}
