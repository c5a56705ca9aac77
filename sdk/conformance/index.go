package conformance

import (
	"net"
	"os"
	"sync"
	"syscall"

	"motte/sdk"
)

// Index returns a function that runs an index in this process, behind a channel, for a test of its
// author. It has no confinement, and an index that does not end holds up the test.
func Index(newIndex func() sdk.Index) func() (Process, error) {
	return func() (Process, error) {
		ours, theirs, err := channel()
		if err != nil {
			return nil, err
		}
		p := &indexProcess{UnixConn: ours, ended: make(chan struct{})}
		go func() {
			_ = sdk.ServeChannel(theirs, newIndex()) // an error ends the channel, too
			theirs.Close()
			close(p.ended)
		}()
		return p, nil
	}
}

// indexProcess is an index that runs in this process.
type indexProcess struct {
	*net.UnixConn
	ended chan struct{}
	close sync.Once
}

// Close implements Process.
func (p *indexProcess) Close() (err error) {
	p.close.Do(func() { err = p.UnixConn.Close() })
	return err
}

// Kill implements Process.
func (p *indexProcess) Kill() { p.Close() }

// Wait implements Process.
func (p *indexProcess) Wait() { <-p.ended }

// channel returns the two ends of a channel.
func channel() (ours, theirs *net.UnixConn, err error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "channel")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			return nil, nil, err
		}
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1], nil
}
