package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/model"
	"motte/core/seal"
	"motte/core/tlsauth"
	"motte/core/wire"
	"motte/host/hostframes"
	"motte/internal/testutil"
)

// testServer is a Core in this process, with the host's end of its channel.
type testServer struct {
	t       *testing.T
	host    *net.UnixConn
	ended   chan error
	address string
	key     ed25519.PublicKey
}

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func principalOf(k ed25519.PrivateKey) access.Principal {
	return access.Of(k.Public().(ed25519.PublicKey))
}

func start(t *testing.T, dir string) *testServer {
	t.Helper()
	ends := testutil.Control(t)
	s := &testServer{t: t, host: ends[0], ended: make(chan error, 1)}
	go func() {
		s.ended <- Run(Config{Dir: dir, RootKey: filepath.Join(dir, "root.key"), Listen: "127.0.0.1:0", Admin: principalOf(key(1)), Control: ends[1]})
		ends[1].Close()
	}()
	m := next[hostwire.Ready](s)
	s.address, s.key = m.Address, m.Key[:]
	return s
}

// next reads messages of the Core until one of type M.
func next[M hostwire.Message](s *testServer) M {
	s.t.Helper()
	p := make([]byte, hostwire.MaxMessage)
	for {
		n, err := s.host.Read(p)
		if err != nil {
			s.t.Fatalf("the Core ended: %v, %v", err, <-s.ended)
		}
		message, err := hostframes.Decode(p[:n])
		if err != nil {
			s.t.Fatal(err)
		}
		if m, is := message.(M); is {
			return m
		}
	}
}

func (s *testServer) stop() {
	s.t.Helper()
	if _, err := s.host.Write(hostframes.Append(nil, hostwire.HostMessage{Type: hostwire.TypeStop})); err != nil {
		s.t.Fatal(err)
	}
	if err := <-s.ended; err != nil {
		s.t.Fatal(err)
	}
	s.host.Close()
}

func certificate(t *testing.T, public, private any) tls.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func (s *testServer) dial(k ed25519.PrivateKey) *tls.Conn {
	s.t.Helper()
	c, err := tls.Dial("tcp", s.address, &tls.Config{InsecureSkipVerify: true,
		Certificates: []tls.Certificate{certificate(s.t, k.Public(), k)}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	if got := c.ConnectionState().PeerCertificates[0].PublicKey.(ed25519.PublicKey); !got.Equal(s.key) {
		s.t.Fatal("the Core shows another key than the one it sent to the host")
	}
	_ = c.SetDeadline(time.Now().Add(testutil.Patience))
	return c
}

func reply(t *testing.T, c io.Reader) (wire.ReplyHeader, []byte) {
	t.Helper()
	p := make([]byte, wire.ReplyHeaderSize)
	if _, err := io.ReadFull(c, p); err != nil {
		t.Fatalf("no reply: %v", err)
	}
	h, code := frames.DecodeReplyHeader(p)
	if code != model.OK {
		t.Fatalf("reply: %x", p)
	}
	body := make([]byte, h.BodyLen)
	if _, err := io.ReadFull(c, body); err != nil {
		t.Fatal(err)
	}
	return h, body
}

func request(number uint64, op model.Operation, collection, name, object string) *wire.Request {
	return &wire.Request{Op: op, Number: number, Collection: collection, Name: []byte(name), Object: []byte(object)}
}

// do sends requests in one write, and checks the codes of the answers, in any order.
func do(t *testing.T, c net.Conn, want model.Code, requests ...*wire.Request) map[uint64][]byte {
	t.Helper()
	var p []byte
	for _, r := range requests {
		p = frames.AppendRequest(p, r)
	}
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	bodies := map[uint64][]byte{}
	for range requests {
		h, body := reply(t, c)
		if h.Code != want || h.Flags&wire.ReplyLast == 0 {
			t.Fatalf("request %d: code %d, want %d", h.Number, h.Code, want)
		}
		bodies[h.Number] = body
	}
	return bodies
}

// TestAcknowledgedWritesSurviveARestart over real TLS, with pipelined requests.
func TestAcknowledgedWritesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	c := s.dial(key(1))
	do(t, c, model.OK, request(1, model.OpCreateCollection, "c", "", ""))
	var puts []*wire.Request
	for i := range uint64(200) {
		puts = append(puts, request(10+i, model.OpPut, "c", string(rune('a'+i)), strings.Repeat("x", int(i*97))))
	}
	do(t, c, model.OK, puts...)
	s.stop()
	s = start(t, dir)
	defer s.stop()
	c = s.dial(key(1))
	var gets []*wire.Request
	for i := range uint64(200) {
		gets = append(gets, request(1000+i, model.OpGet, "c", string(rune('a'+i)), ""))
	}
	for number, body := range do(t, c, model.OK, gets...) {
		o, err := frames.DecodeObject(body)
		if err != nil || len(o.Data) != int((number-1000)*97) || string(o.Name) != string(rune('a'+number-1000)) {
			t.Fatalf("object %d: %d bytes, %v", number, len(o.Data), err)
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.stop()
	c := s.dial(key(2))
	if h, _ := reply(t, c); h.Code != model.UnknownPrincipal || h.Number != 0 {
		t.Fatalf("code %d", h.Code)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Fatal("the connection is still open")
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]*tls.Config{
		"no certificate":    {},
		"another algorithm": {Certificates: []tls.Certificate{certificate(t, ec.Public(), ec)}},
		"TLS 1.2":           {MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate(t, key(1).Public(), key(1))}},
	} {
		config.InsecureSkipVerify = true
		c, err := tls.Dial("tcp", s.address, config)
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(testutil.Patience))
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLimitsOfFrames: a request over a limit gets a code. A request that can't be decoded ends
// the connection. Neither changes the state.
func TestLimitsOfFrames(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.stop()
	c := s.dial(key(1))
	do(t, c, model.OK, request(1, model.OpCreateCollection, "c", "", ""))
	largest := strings.Repeat("x", model.MaxObject)
	do(t, c, model.OK, request(2, model.OpPut, "c", strings.Repeat("n", model.MaxName), largest))
	body := do(t, c, model.OK, request(3, model.OpGet, "c", strings.Repeat("n", model.MaxName), ""))[3]
	if o, err := frames.DecodeObject(body); err != nil || string(o.Data) != largest {
		t.Fatalf("the largest object is returned changed: %v", err)
	}
	do(t, c, model.InvalidRequest, request(4, model.OpGet, "c", "name", "object"))
	do(t, c, model.InvalidRequest, &wire.Request{Op: 99, Number: 5, Object: []byte("skipped")})
	do(t, c, model.NoCollection, request(6, model.OpGet, "d", "name", ""))
	for name, p := range map[string][]byte{
		"object too large": frames.AppendRequest(nil, request(7, model.OpPut, "c", "n", largest+"x"))[:200],
		"name too long":    frames.AppendRequest(nil, request(7, model.OpPut, "c", strings.Repeat("n", model.MaxName+1), ""))[:200],
		"no request":       []byte(strings.Repeat("GET / HTTP/1.1\r\n", 20)),
		"another version":  append([]byte("MTRQ\x02"), make([]byte, 200)...),
	} {
		want := map[string]model.Code{"no request": model.Malformed, "another version": model.UnsupportedVersion}[name]
		if want == model.OK {
			want = model.TooLarge
		}
		c := s.dial(key(1))
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		h, _ := reply(t, c)
		if h.Code != want {
			t.Errorf("%s: code %d, want %d", name, h.Code, want)
		}
		if _, err := io.Copy(io.Discard, c); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: the connection did not end: %v", name, err)
		}
	}
	do(t, c, model.OK, request(8, model.OpHead, "", "", ""))
}

// TestInFlightLimit: when a client has its maximum of requests in flight, the Core reads no more
// until it has answered some. In the end all are answered.
func TestInFlightLimit(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.stop()
	c := s.dial(key(1))
	do(t, c, model.OK, request(1, model.OpCreateCollection, "c", "", ""))
	var p []byte
	const n = 4 * MaxInFlight
	for i := range uint64(n) {
		p = frames.AppendRequest(p, request(10+i, model.OpPut, "c", "name", "object"))
	}
	go c.Write(p)
	seen := map[uint64]bool{}
	for range n {
		h, _ := reply(t, c)
		if h.Code != model.OK || seen[h.Number] {
			t.Fatalf("request %d: code %d", h.Number, h.Code)
		}
		seen[h.Number] = true
	}
}

// TestANumberInFlightIsNotTakenTwice: a second use of a number would end the count of the first,
// and so defeat the limit.
func TestANumberInFlightIsNotTakenTwice(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.stop()
	c := s.dial(key(1))
	do(t, c, model.OK, request(1, model.OpCreateCollection, "c", "", ""))
	for i := range uint64(6) {
		do(t, c, model.OK, request(10+i, model.OpPut, "c", string(rune('a'+i)), strings.Repeat("x", 1<<20)))
	}
	for _, second := range []model.Operation{model.OpPut, 255} {
		c := s.dial(key(1))
		// The answer to the first request is in flight while the client does not read it.
		p := frames.AppendRequest(nil, request(7, model.OpList, "c", "", ""))
		p = frames.AppendRequest(p, request(7, second, "c", "name", "object"))
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // gives a Core that accepts the number time to show that
		for {
			h, _ := reply(t, c)
			if h.Number == 0 && h.Code == model.InvalidRequest {
				break
			}
			if h.Number != 7 || h.Kind == wire.KindEnd && h.Code != model.OK {
				t.Fatalf("number %d, code %d", h.Number, h.Code)
			}
		}
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Fatalf("the connection does not end: %v", err)
		}
	}
	do(t, c, model.OK, request(2, model.OpHead, "", "", ""))
}

// TestWhoSaysNoMoreGetsItsAnswers: after the client has closed its sending side, it gets its
// answers, and the connection ends immediately.
func TestWhoSaysNoMoreGetsItsAnswers(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.stop()
	c := s.dial(key(1))
	p := frames.AppendRequest(nil, request(1, model.OpCreateCollection, "c", "", ""))
	const n = 100
	for i := range uint64(n) {
		p = frames.AppendRequest(p, request(10+i, model.OpPut, "c", "name", "object"))
	}
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	for range 1 + n {
		if h, _ := reply(t, c); h.Code != model.OK {
			t.Fatalf("number %d: code %d", h.Number, h.Code)
		}
	}
	if left, err := io.Copy(io.Discard, c); err != nil || left > 0 {
		t.Fatalf("%d bytes more, %v", left, err)
	}
}

// TestLongAnswersDoNotHoldUpAGet, since the answers of one connection share it.
func TestLongAnswersDoNotHoldUpAGet(t *testing.T) {
	s := start(t, t.TempDir())
	defer s.stop()
	c := s.dial(key(1))
	do(t, c, model.OK, request(1, model.OpCreateCollection, "c", "", ""))
	for i := range uint64(64) {
		do(t, c, model.OK, request(10+i, model.OpPut, "c", string(rune('a'+i)), strings.Repeat("x", 1<<18)))
	}
	// First a LIST, and then the GET.
	const get = 1000
	p := frames.AppendRequest(nil, request(100, model.OpList, "c", "", ""))
	p = frames.AppendRequest(p, request(get, model.OpGet, "c", "a", ""))
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
	before, objects := 0, 0
	for ended := 0; ended < 2; {
		h, _ := reply(t, c)
		if h.Flags&wire.ReplyLast != 0 {
			ended++
		}
		if h.Number == get {
			before = objects
		} else if h.Kind == wire.KindObject {
			objects++
		}
	}
	if objects != 64 || before > 48 {
		t.Fatalf("the GET came after %d objects of %d", before, objects)
	}
}

func TestRootKeyMustBeThereAndPrivate(t *testing.T) {
	dir := t.TempDir()
	start(t, dir).stop()
	path := filepath.Join(dir, "root.key")
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		spoil func() error
		want  string
	}{
		{"others can read it", func() error { return nil }, "0600"},
		{"it is no key", func() error { return errors.Join(os.WriteFile(path, []byte("key"), 0o600), os.Chmod(path, 0o600)) }, "no root key"},
		{"it is another", func() error { return os.WriteFile(path, []byte(keyPrefix+strings.Repeat("00", 32)), 0o600) }, "another store or root key"},
		{"it is missing", func() error { return os.Remove(path) }, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.spoil(); err != nil {
				t.Fatal(err)
			}
			ends := testutil.Control(t)
			defer ends[0].Close()
			defer ends[1].Close()
			err := Run(Config{Dir: dir, RootKey: filepath.Join(dir, "root.key"), Listen: "127.0.0.1:0", Admin: principalOf(key(1)), Control: ends[1]})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestTheLastAnchorIsSent, even if the last write takes longer than the Core waits for its
// clients.
func TestTheLastAnchorIsSent(t *testing.T) {
	if testing.Short() {
		t.Skip("the Core waits longer for the disk than for its clients")
	}
	t.Parallel()
	disk, ends := newMemory(), testutil.Control(t)
	defer ends[0].Close()
	s := newServer(Config{Admin: principalOf(key(1)), Control: ends[1]})
	err := s.restore(disk, seal.Root{1}, rand.Read, engine.Config{Random: rand.Read})
	if err == nil {
		s.listener, err = tlsauth.Listen("127.0.0.1:0", s.log.Keys().Core[:])
	}
	if err != nil {
		t.Fatal(err)
	}
	disk.delay(drainTime + time.Second)
	if _, err := ends[0].Write(hostframes.Append(nil, hostwire.HostMessage{Type: hostwire.TypeStop})); err != nil {
		t.Fatal(err)
	}
	s.serve() // the first write is the administrator's record
	anchored, p := uint64(0), make([]byte, hostwire.MaxMessage)
	for {
		n, err := ends[0].Read(p)
		if err != nil || n == 0 {
			break
		}
		m, err := hostframes.Decode(p[:n])
		if err != nil {
			t.Fatal(err)
		}
		if anchor, is := m.(hostwire.Anchor); is {
			anchored = anchor.Head.LSN
		}
	}
	if at := s.log.Position().LSN; at == 0 || anchored != at {
		t.Errorf("record %d is the last one, and record %d is anchored", at, anchored)
	}
}

// TestTheFirstStatusCountsTheLog: a client can ask within the first second.
func TestTheFirstStatusCountsTheLog(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	do(t, s.dial(key(1)), model.OK, request(1, model.OpCreateCollection, "c", "", ""))
	s.stop()
	s = start(t, dir)
	defer s.stop()
	c := s.dial(key(1))
	if _, err := c.Write(frames.AppendRequest(nil, request(1, model.OpStatus, "", "", ""))); err != nil {
		t.Fatal(err)
	}
	var status frames.Status
	for h, body := reply(t, c); h.Kind == wire.KindStatus; h, body = reply(t, c) {
		if err := status.Add(body); err != nil {
			t.Fatal(err)
		}
	}
	x := status.Server
	if x == nil {
		t.Fatal("the status of an administrator lacks the server")
	}
	if x.Segments == 0 || x.LogBytes == 0 {
		t.Errorf("a store with a log has %d segments of %d bytes", x.Segments, x.LogBytes)
	}
}
