package main

import (
	"bytes"
	"context"
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
	"sync"
	"time"
)

// The peer of GET is the least that a TLS service in Go can do: send back what
// came. It runs as a process of its own, as the Core does, under the same
// protocol: TLS 1.3, Ed25519 keys on both sides, the cipher suite that Go
// chooses.

// echoName is what this program is called when it is started as the echo.
const echoName = "motte-bench-echo"

// echoBuffer is the largest TLS record: a busy connection is echoed in as few
// calls as there can be.
const echoBuffer = 16 << 10

// serveEcho is the echo's process. It says where it listens, and ends with its
// standard input.
func serveEcho() error {
	config, err := echoConfig()
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
		go echo(c)
	}
}

func echo(c net.Conn) {
	defer c.Close()
	p := make([]byte, echoBuffer)
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

// echoConfig serves both ends; it trusts anybody, at no other cost than the
// Core's.
func echoConfig() (*tls.Config, error) {
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

// peer is the running echo.
type peer struct {
	cmd     *exec.Cmd
	stdin   io.Closer
	address string
	config  *tls.Config
}

func startEcho() (*peer, error) {
	e := &peer{cmd: exec.Command("/proc/self/exe")}
	e.cmd.Args = []string{echoName}
	e.cmd.Stderr = os.Stderr
	stdin, err := e.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := e.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if e.config, err = echoConfig(); err != nil {
		return nil, err
	}
	if err := e.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the echo: %w", err)
	}
	e.stdin = stdin
	if _, err := fmt.Fscan(stdout, &e.address); err != nil {
		return nil, errors.Join(fmt.Errorf("the echo does not listen: %w", err), e.stop())
	}
	return e, nil
}

func (e *peer) stop() error {
	return errors.Join(e.stdin.Close(), e.cmd.Wait())
}

// dial opens n connections.
func (e *peer) dial(n int) (list []net.Conn, err error) {
	for range n {
		c, err := tls.Dial("tcp", e.address, e.config)
		if err != nil {
			return nil, fmt.Errorf("connect to the echo: %w", err)
		}
		list = append(list, c)
	}
	return list, nil
}

// alternate sends objectSize bytes on each connection and waits for them, again
// and again: one in flight each.
func alternate(ctx context.Context, d time.Duration, conns []net.Conn) (float64, error) {
	buffers := make([][]byte, len(conns))
	for i := range buffers {
		buffers[i] = object(i)
	}
	return load(ctx, d, len(conns), func(_ context.Context, worker, _ int) error {
		if _, err := conns[worker].Write(buffers[worker]); err != nil {
			return err
		}
		_, err := io.ReadFull(conns[worker], buffers[worker])
		return err
	})
}

// pipeline keeps n messages in flight on one connection. A writer sends as many
// as there is room for in one write.
func pipeline(ctx context.Context, d time.Duration, c net.Conn, n int) (float64, error) {
	room := make(chan struct{}, n)
	for range n {
		room <- struct{}{}
	}
	stop := make(chan struct{})
	var writer sync.WaitGroup
	var failed error
	sent := 0
	writer.Go(func() {
		messages := bytes.Repeat(object(0), n)
		for {
			k := 1
			select {
			case <-room:
			case <-stop:
				return
			}
			for ; k < n && len(room) > 0; k++ {
				<-room
			}
			if _, failed = c.Write(messages[:k*objectSize]); failed != nil {
				return
			}
			sent += k
		}
	})
	began := time.Now()
	received, err := drainEchoes(ctx, c, began.Add(d), room)
	took := time.Since(began)
	close(stop)
	writer.Wait()
	if err == nil && failed == nil { // leave nothing behind for the next run
		_, err = io.CopyN(io.Discard, c, int64(sent)*objectSize-received)
	}
	return float64(received/objectSize) / took.Seconds(), errors.Join(err, failed)
}

// drainEchoes reads until the end and makes room for what came back whole.
func drainEchoes(ctx context.Context, c net.Conn, end time.Time, room chan<- struct{}) (received int64, err error) {
	p := make([]byte, 64<<10)
	for time.Now().Before(end) && ctx.Err() == nil {
		n, err := c.Read(p)
		if err != nil {
			return received, err
		}
		for whole := (received+int64(n))/objectSize - received/objectSize; whole > 0; whole-- {
			room <- struct{}{}
		}
		received += int64(n)
	}
	return received, ctx.Err()
}
