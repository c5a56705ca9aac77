package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Limits of waiting for a server.
const (
	startWithin = 60 * time.Second // until a started server answers
	stopWithin  = 60 * time.Second // until a server has ended after a signal
)

// process is a running server.
type process struct {
	cmd   *exec.Cmd
	end   syscall.Signal // signal for an orderly stop
	log   *os.File
	ended chan struct{} // closed when the process has ended; then err has the error
	err   error
}

// start starts a server, with its output in a log file in dir. The kernel kills the server if
// this program dies. The server is in another process group, so that Ctrl-C reaches only this
// program.
func start(cmd *exec.Cmd, end syscall.Signal, dir string, as *account) (*process, error) {
	p := &process{cmd: cmd, end: end, ended: make(chan struct{})}
	var err error
	if p.log, err = os.Create(filepath.Join(dir, "server.log")); err != nil {
		return nil, err
	}
	cmd.Stderr = p.log
	if cmd.Stdout == nil {
		cmd.Stdout = p.log
	}
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: as.credential()}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, p.log.Close())
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop ends the server, in order if it does so in time, and by a kill otherwise.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(p.end) // an error means that the process has ended
	select {
	case <-p.ended:
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return errors.Join(fmt.Errorf("%s did not end within %v", p.cmd.Args[0], stopWithin), p.log.Close())
	}
	return errors.Join(p.err, p.log.Close())
}

// untilReady repeatedly checks whether a server answers.
func (p *process) untilReady(ready func() error) error {
	deadline := time.Now().Add(startWithin)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return p.notReady(err)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s did not answer within %v: %w", p.cmd.Args[0], startWithin, err)
		}
	}
}

// notReady returns an error for a server that ended before clients could connect. The error
// includes the log, which is removed with its directory.
func (p *process) notReady(err error) error {
	<-p.ended
	said, _ := os.ReadFile(p.log.Name()) // an error costs only this detail
	return fmt.Errorf("%s ended before it answered: %w\n%s", p.cmd.Args[0], errors.Join(p.err, err), said)
}

// account is another user for a server. With nil, the server runs as the same user as this
// program.
type account struct{ uid, gid int }

// accountOf returns the account with a name, if this program runs as root. PostgreSQL refuses to
// run as root.
func accountOf(name string) (*account, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	return &account{uid, gid}, errors.Join(errUID, errGID)
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// own changes the owner of a file or directory to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// directory makes a directory for a server, which other users can't read.
func (a *account) directory(parent, name string) (string, error) {
	dir := filepath.Join(parent, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	return dir, a.own(dir)
}

// write makes a file in a server's directory.
func (a *account) write(dir, name string, content []byte) error {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return a.own(path)
}

// freePort returns a TCP port of the loopback interface that is not in use.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
