package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"motte/client"
	"motte/internal/procfs"
)

// standalone is a server whose host is a process of its own. So all of its processes can be killed
// at once.
type standalone struct {
	bin, dir string
	address  string // of the Core, the same at each start
	host     int    // process number of the host; 0: no host runs
	ended    chan error
	admin    *client.Client
}

// serveWithin bounds how long a server may take until clients can connect, or an index answers.
const serveWithin = 5 * time.Minute

// newStandalone starts an empty server in a new directory.
func newStandalone(ctx context.Context, dir, bin string) (*standalone, error) {
	dir, err := os.MkdirTemp(dir, "motte-bench-")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	s := &standalone{bin: bin, dir: dir, address: address}
	return s, s.start(ctx)
}

// freeAddress returns an address of the loopback interface on which no program listens.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// start starts the server, and connects when that is possible.
func (s *standalone) start(ctx context.Context) error {
	if err := s.startHost(); err != nil {
		return fmt.Errorf("start a server: %w", err)
	}
	return s.eventually(ctx, "connect to the server", func() error {
		p, err := client.ReadProfile(filepath.Join(s.dir, "data", "admin.profile"))
		if err == nil {
			s.admin, err = client.Dial(ctx, p)
		}
		return err
	})
}

// startHost starts the host's process. The host ends with this program.
func (s *standalone) startHost() error {
	log, err := os.OpenFile(filepath.Join(s.dir, "server.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(s.bin, "motte"), "serve", "--dir", filepath.Join(s.dir, "data"), "--listen", s.address)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the signal comes when the thread that started the process ends
		defer log.Close()
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.host, s.ended = cmd.Process.Pid, ended
	return nil
}

// eventually tries until there is no error.
func (s *standalone) eventually(ctx context.Context, what string, try func() error) error {
	ctx, cancel := context.WithTimeout(ctx, serveWithin)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w; the log is in %s", what, errors.Join(ctx.Err(), err), s.dir)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// kill ends all processes with SIGKILL. The host is stopped first, so that it starts none anew.
func (s *standalone) kill() error {
	pids := []int{s.host}
	err := syscall.Kill(s.host, syscall.SIGSTOP)
	for _, p := range procfs.Children(s.host) {
		pids = append(pids, p.PID)
	}
	for _, pid := range pids {
		err = errors.Join(err, syscall.Kill(pid, syscall.SIGKILL))
	}
	<-s.ended // its error tells of the signal
	s.disconnect()
	return err
}

// stop ends the server in order.
func (s *standalone) stop() error {
	if s.host == 0 {
		return nil
	}
	err := errors.Join(syscall.Kill(s.host, syscall.SIGTERM), <-s.ended)
	s.disconnect()
	return err
}

func (s *standalone) disconnect() {
	s.host = 0
	if s.admin != nil {
		s.admin.Close()
		s.admin = nil
	}
}

// end ends the server after the measurement. It removes the files if there was no error.
func (s *standalone) end(failed error) error {
	err := errors.Join(failed, s.stop())
	if err == nil {
		err = os.RemoveAll(s.dir)
	}
	return err
}

// processorTime returns the processor time of the Core, and that of all Tasks.
func (s *standalone) processorTime() (core, tasks time.Duration, err error) {
	for _, p := range procfs.Children(s.host) {
		used, gone := procfs.CPU(p.PID)
		switch {
		case gone != nil:
			err = errors.Join(err, gone)
		case p.Name == coreName:
			core += used
		default:
			tasks += used
		}
	}
	return core, tasks, err
}

// coreName is the name of the Core's process.
const coreName = "motte-core"
