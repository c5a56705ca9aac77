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

// Bounds on how long a server may take.
const (
	startWithin = 60 * time.Second // until it answers
	stopWithin  = 60 * time.Second // until it has ended after it was told to
)

// process is a running server.
type process struct {
	cmd   *exec.Cmd
	end   syscall.Signal // that ends it in order
	log   *os.File
	ended chan struct{} // closed when it has ended, with the error in err
	err   error
}

// start starts a server, with what it says in a log file in dir. It is killed if this program dies, and is in
// a process group of its own, so that Ctrl-C reaches this program alone.
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

// stop ends the server, in order if it does so in time.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(p.end) // fails if it has ended
	select {
	case <-p.ended:
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return errors.Join(fmt.Errorf("%s did not end within %v", p.cmd.Args[0], stopWithin), p.log.Close())
	}
	return errors.Join(p.err, p.log.Close())
}

// untilReady asks again and again whether a server answers.
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

// notReady says why a server that has ended did not come so far that clients can connect. Its log goes with its
// directory, so the error has it.
func (p *process) notReady(err error) error {
	<-p.ended
	said, _ := os.ReadFile(p.log.Name()) // only makes the error clearer
	return fmt.Errorf("%s ended before it answered: %w\n%s", p.cmd.Args[0], errors.Join(p.err, err), said)
}

// account is another user that a server runs as; nil: the one that this program runs as.
type account struct{ uid, gid int }

// accountOf returns the account of a name, if this program is root and so can and should change to it:
// PostgreSQL refuses to run as root.
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

// own makes a file or directory the account's.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, a.uid, a.gid)
}

// directory makes a directory for a server, which nobody else can read.
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

// freePort returns a TCP port of the loopback interface that nobody uses now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
