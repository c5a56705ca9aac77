// Package mottetest runs a whole Motte server for a test, a demonstration or a benchmark. It
// is the server of "motte serve": the Core and each Task run in processes of their own, and
// each Task is confined. No part is a stand-in.
//
// [Start] starts a server in a directory and waits until clients can connect.
// [Server.Admin] connects as its administrator, and [Server.As] as a principal that
// [NewPrincipal] made. [Server.Stop] ends all of its processes:
//
//	func TestMain(m *testing.M) {
//		sandbox.ReexecInit()
//		os.Exit(m.Run())
//	}
//
//	func TestParts(t *testing.T) {
//		server, err := mottetest.Start(t.TempDir(), "bin")
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer server.Stop()
//		c, err := server.Admin(t.Context())
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer c.Close()
//		// Test the code that uses c, a *client.Client.
//	}
//
// # What it needs
//
//   - The executables of the Core and the Tasks: "make build" puts them into bin.
//   - A call of [motte/host/sandbox.ReexecInit] at the start of main or TestMain. The host
//     starts the same executable again to confine a Task, and ReexecInit takes over there.
//   - Linux, and the right to make user namespaces: "motte doctor" checks it.
//
// # Restarts
//
// The data stays in the directory. After Stop, another Start in the same directory opens the
// same store. Each start listens on a new port of the loopback interface. Admin, As and
// [Server.Profile] use that port.
//
// # Tests without a server
//
// The test of an index needs no server. Package [motte/sdk/sdktest] runs an index behind the
// Task protocol in a millisecond.
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

// Server is a running server. [Start] returns one. All methods but [Server.Stop] are safe for
// concurrent use.
type Server struct {
	Dir string // the data directory
	Log string // the file to which the host logs

	log     *os.File
	running *running
	profile string // file
	cancel  context.CancelFunc
	ended   chan error
}

// Start starts a server with the executables in the directory bin, and waits until clients
// can connect. The directories taskDirs may have more Tasks. The data is in dir/data, new or
// from an earlier start. The log is in dir/server.log. If the server does not become ready,
// Start stops it and returns an error that names the log.
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
				default: // the Core was started again, and Start has returned
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

// Stop stops the server in order and waits for all of its processes. Call it once.
func (s *Server) Stop() error {
	s.cancel()
	err := <-s.ended
	return errors.Join(err, s.log.Close())
}

// Profile reads the administrator's profile: the address of this start, the Core's public
// key and the administrator's private key.
func (s *Server) Profile() (*client.Profile, error) { return client.ReadProfile(s.profile) }

// Admin connects as the administrator, who has all rights. The caller closes the client.
func (s *Server) Admin(ctx context.Context) (*client.Client, error) {
	p, err := s.Profile()
	if err != nil {
		return nil, err
	}
	return client.Dial(ctx, p)
}

// As connects with the key of another principal, for example from [NewPrincipal]. The caller
// closes the client.
func (s *Server) As(ctx context.Context, key ed25519.PrivateKey) (*client.Client, error) {
	p, err := s.Profile()
	if err != nil {
		return nil, err
	}
	p.Key = key
	return client.Dial(ctx, p)
}

// NewPrincipal makes a key and registers its principal under a label. It returns the key for
// [Server.As] and the principal for [client.Client.Grant]. Without a grant the principal has
// no rights.
func NewPrincipal(ctx context.Context, admin *client.Client, label string) (ed25519.PrivateKey, [32]byte, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, [32]byte{}, err
	}
	p := client.Profile{Key: key}
	return key, p.Principal(), admin.AddPrincipal(ctx, p.Principal(), label)
}
