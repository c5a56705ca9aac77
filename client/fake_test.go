package client

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"motte/core/model"
	"motte/core/wire"
)

// conn is a connection to a stand-in for the Core. A test reads the requests and chooses the
// answers. The number counts connections from 0.
type conn struct {
	net.Conn
	number int
}

// fake listens like a Core, and calls serve for each connection. Several calls may run at the
// same time. A call ends when its connection ends.
func fake(t testing.TB, serve func(conn)) *Profile {
	t.Helper()
	core := &Profile{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	config, err := tlsConfig(core, nil)
	if err != nil {
		t.Fatal(err)
	}
	config.ClientAuth = tls.RequireAnyClientCert
	config.VerifyConnection = nil
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		listener.Close()
		all.Wait()
	})
	all.Go(func() {
		for number := 0; ; number++ {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				serve(conn{c, number})
			})
		}
	})
	return &Profile{Address: listener.Addr().String(), CoreKey: core.Key.Public().(ed25519.PublicKey),
		Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
}

// request reads the next request. It returns false if the connection has ended.
func (c conn) request() (wire.Request, bool) {
	head := make([]byte, wire.RequestHeaderSize)
	if _, err := io.ReadFull(c, head); err != nil {
		return wire.Request{}, false
	}
	h, code := wire.DecodeHeader(head)
	body := make([]byte, h.BodyLen())
	_, err := io.ReadFull(c, body)
	return wire.SplitBody(h, body), code == model.OK && err == nil
}

// reply writes one frame. It returns false if the connection has ended.
func (c conn) reply(number uint64, kind wire.Kind, count uint32, body []byte) bool {
	var last wire.ReplyFlags
	if kind != wire.KindObject {
		last = wire.ReplyLast
	}
	return c.send(wire.ReplyHeader{Kind: kind, Flags: last, Number: number, Count: count}, body)
}

// send writes one frame, which may have a head. It returns false if the connection has ended.
func (c conn) send(h wire.ReplyHeader, body []byte) bool {
	h.BodyLen = len(body)
	_, err := c.Write(append(wire.AppendReplyHeader(nil, &h), body...))
	return err == nil
}
