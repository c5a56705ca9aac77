// Package echo is the simplest TLS service in Go: it sends back the bytes that it receives.
// Benchmarks compare the time of a request to Motte with the time of an echo.
//
// The echo is a process of its own, like the Core, and uses the same protocol: TLS 1.3, Ed25519
// keys on both sides, the cipher suite that Go chooses. A program that uses the echo must call
// Serve first in main, if its name is Name.
package echo

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"time"
)

// Name is the name under which a program runs as the echo.
const Name = "motte-bench-echo"

// recordSize is the largest TLS record, so that the echo needs as few calls as possible.
const recordSize = 16 << 10 // bytes

// Serve is the echo's process. It prints its address on standard output, and ends when its
// standard input ends.
func Serve() error {
	config, err := bothEnds()
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go sendBack(c)
	}
}

func sendBack(c net.Conn) {
	defer c.Close()
	p := make([]byte, recordSize)
	for {
		n, err := c.Read(p)
		if err != nil {
			return
		}
		if _, err := c.Write(p[:n]); err != nil {
			return
		}
	}
}

// bothEnds returns the configuration of server and client. It trusts any key, and costs as much
// as the Core's configuration.
func bothEnds() (*tls.Config, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<37, 0)}
	der, err := x509.CreateCertificate(nil, template, template, public, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, ClientAuth: tls.RequireAnyClientCert,
		SessionTicketsDisabled: true, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

// Server is a running echo.
type Server struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	address string
	config  *tls.Config
}

// Start starts this program again as the echo.
func Start() (*Server, error) {
	s := &Server{cmd: exec.Command("/proc/self/exe")}
	s.cmd.Args = []string{Name}
	s.cmd.Stderr = os.Stderr
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if s.config, err = bothEnds(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the echo: %w", err)
	}
	s.stdin = stdin
	if _, err := fmt.Fscan(stdout, &s.address); err != nil {
		return nil, errors.Join(fmt.Errorf("the echo does not listen: %w", err), s.Stop())
	}
	return s, nil
}

// PID is the process number of the echo.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends the process and waits for it.
func (s *Server) Stop() error {
	return errors.Join(s.stdin.Close(), s.cmd.Wait())
}

// Dial opens n connections.
func (s *Server) Dial(n int) (list []net.Conn, err error) {
	for range n {
		c, err := tls.Dial("tcp", s.address, s.config)
		if err != nil {
			return nil, fmt.Errorf("connect to the echo: %w", err)
		}
		list = append(list, c)
	}
	return list, nil
}
