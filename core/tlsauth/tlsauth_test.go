package tlsauth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"motte/core/access"
)

func key(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func principalOf(k ed25519.PrivateKey) access.Principal {
	return access.Of(k.Public().(ed25519.PublicKey))
}

// certificate makes a self-signed certificate.
func certificate(t *testing.T, k crypto.Signer, template x509.Certificate) []byte {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func clientConfig(k crypto.Signer, certificates ...[]byte) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{{Certificate: certificates, PrivateKey: k}}}
}

func listen(t *testing.T) *Listener {
	t.Helper()
	l, err := Listen("127.0.0.1:0", bytes.Repeat([]byte{1}, ed25519.SeedSize))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// accepted is the Core's side of a connection.
type accepted struct {
	net.Conn
	principal access.Principal
	err       error
}

// connect makes one connection. Each side sends a byte, so that the client finishes the
// handshake.
func connect(t *testing.T, l *Listener, config *tls.Config) (core accepted, client *tls.Conn) {
	t.Helper()
	done := make(chan accepted, 1)
	go func() {
		raw, err := l.Accept()
		if err != nil {
			done <- accepted{err: err}
			return
		}
		c, p, err := l.Handshake(raw)
		if err != nil {
			raw.Close()
		} else {
			_, err = c.Write([]byte{1})
		}
		done <- accepted{c, p, err}
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client = tls.Client(raw, config)
	t.Cleanup(func() { client.Close() })
	_, clientErr := io.ReadFull(client, make([]byte, 1))
	core = <-done
	if (clientErr == nil) != (core.err == nil) {
		t.Fatalf("the client returns %v, but the Core %v; want both to succeed or fail", clientErr, core.err)
	}
	return core, client
}

// TestThePrincipalIsTheKeyAndNothingElse: name, validity and issuer of the certificate do not
// matter.
func TestThePrincipalIsTheKeyAndNothingElse(t *testing.T) {
	l, k := listen(t), key(2)
	for name, template := range map[string]x509.Certificate{
		"empty":        {},
		"another name": {Subject: pkix.Name{CommonName: "admin"}, DNSNames: []string{"localhost"}},
		"expired":      {NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)},
		"an authority": {IsCA: true, BasicConstraintsValid: true},
	} {
		core, client := connect(t, l, clientConfig(k, certificate(t, k, template)))
		if core.err != nil || core.principal != principalOf(k) {
			t.Errorf("%s: %v, principal %x", name, core.err, core.principal)
		}
		state := client.ConnectionState()
		if state.Version != tls.VersionTLS13 || !l.Public.Equal(state.PeerCertificates[0].PublicKey) {
			t.Errorf("%s: version %x, key %x", name, state.Version, state.PeerCertificates[0].PublicKey)
		}
	}
	if k := key(3); principalOf(k) == principalOf(key(2)) {
		t.Error("two keys have the same principal")
	}
}

func TestTheCoresKeyFollowsFromItsSeed(t *testing.T) {
	if l := listen(t); !l.Public.Equal(key(1).Public()) || !listen(t).Public.Equal(l.Public) {
		t.Error("the same seed gives another key")
	}
}

func TestOtherClientsAreRefused(t *testing.T) {
	l, mine, other := listen(t), key(2), key(3)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := certificate(t, mine, x509.Certificate{})
	older := clientConfig(mine, good)
	older.MaxVersion = tls.VersionTLS12
	for name, config := range map[string]*tls.Config{
		"TLS 1.2":                       older,
		"no certificate":                {InsecureSkipVerify: true},
		"an ECDSA key":                  clientConfig(ec, certificate(t, ec, x509.Certificate{})),
		"an RSA key":                    clientConfig(rs, certificate(t, rs, x509.Certificate{})),
		"two certificates":              clientConfig(mine, good, certificate(t, other, x509.Certificate{})),
		"a certificate twice":           clientConfig(mine, good, good),
		"a certificate without its key": clientConfig(other, good),
		"no X.509":                      clientConfig(mine, []byte("certificate")),
	} {
		if core, _ := connect(t, l, config); core.err == nil || core.principal != (access.Principal{}) {
			t.Errorf("%s: %v, principal %x", name, core.err, core.principal)
		}
	}
	if core, _ := connect(t, l, clientConfig(mine, good)); core.err != nil {
		t.Errorf("after a refused client the next one fails: %v", core.err)
	}
}

func TestPlaintextIsRefused(t *testing.T) {
	l := listen(t)
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		defer theirs.Close()
		_, _ = theirs.Write([]byte("MTRQ\x01\x22 and no TLS record"))
		_, _ = io.Copy(io.Discard, theirs)
	}()
	if _, _, err := l.Handshake(ours); err == nil {
		t.Error("a client without TLS is accepted")
	}
}

func TestNoSessionIsResumed(t *testing.T) {
	l, k := listen(t), key(2)
	// A session of an expired certificate would never be resumed.
	config := clientConfig(k, certificate(t, k, x509.Certificate{NotAfter: time.Unix(1<<37, 0)}))
	config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	config.ServerName = "motte" // key of the session in the client's cache
	for range 3 {
		core, client := connect(t, l, config)
		if core.err != nil || client.ConnectionState().DidResume {
			t.Errorf("%v, resumed: %v", core.err, client.ConnectionState().DidResume)
		}
	}
}

func TestAHandshakeEndsWithItsDeadline(t *testing.T) {
	l := listen(t)
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	if err := ours.SetDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Handshake(ours); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a handshake that the client does not continue returns %v; want a timeout", err)
	}
}
