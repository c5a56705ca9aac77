// Package tlsauth is the only way from a client to the Core: TLS 1.3 (RFC
// 8446), both sides authenticated by Ed25519 keys, no certificate authority.
//
// Guarantees of a connection that Handshake returned:
//
//  1. The connection is confidential, authentic and forward secret. There is no other
//     protocol version, no session resumption and no plaintext.
//  2. The peer holds the private key of the certificate that it sent. The principal is
//     the SHA-256 of that public key; no other field of the certificate is used.
//
// The package does not check that the principal is registered: the engine does. A client
// knows the Core by its public key alone. Evidence of the code that holds this key
// (attestation) is not part of this version.
package tlsauth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"time"

	"motte/core/access"
)

// Listener accepts TCP connections; Handshake secures each of them. Use Listen.
type Listener struct {
	net.Listener
	config *tls.Config
	Public ed25519.PublicKey // by which clients know this Core
}

// Listen listens on a TCP address. The Core's Ed25519 key is made from the seed.
func Listen(address string, seed []byte) (*Listener, error) {
	key := ed25519.NewKeyFromSeed(seed)
	// Clients pin the key and ignore the rest of the certificate, so it has only the
	// fields that X.509 requires.
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Unix(1<<37, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		Certificates:           []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
	}
	l, err := net.Listen("tcp", address)
	return &Listener{l, config, key.Public().(ed25519.PublicKey)}, err
}

// Public returns the key by which clients know a Core, from its seed.
func Public(seed []byte) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
}

// Handshake secures a client's TCP connection, and returns the client's principal. The
// caller sets the deadline of raw, and closes raw if Handshake fails.
func (l *Listener) Handshake(raw net.Conn) (net.Conn, access.Principal, error) {
	c := tls.Server(raw, l.config)
	if err := c.Handshake(); err != nil {
		return nil, access.Principal{}, err
	}
	if certificates := c.ConnectionState().PeerCertificates; len(certificates) == 1 {
		if key, ok := certificates[0].PublicKey.(ed25519.PublicKey); ok && len(key) == ed25519.PublicKeySize {
			return c, access.Of(key), nil
		}
	}
	return nil, access.Principal{}, errors.New("the client must present one certificate with an Ed25519 key")
}
