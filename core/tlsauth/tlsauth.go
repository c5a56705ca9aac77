// Package tlsauth is the only way from a client to the Core: TLS 1.3 (RFC
// 8446), both sides authenticated by Ed25519 keys, no certificate authority.
//
// Guarantees of a connection that Handshake returned:
//
//  1. Confidential, authentic and forward secret; no other protocol version,
//     no session resumption, no plaintext.
//  2. The peer holds the private key of the certificate it sent, and the
//     principal is the SHA-256 of that public key. Nothing else in the
//     certificate is looked at.
//
// It does not say whether the principal is registered: the engine does. A
// client knows the Core by its public key alone; evidence of what code holds
// that key (attestation) is not part of this version.
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

// Listener accepts connections, each of which a Handshake makes secure. Use Listen.
type Listener struct {
	net.Listener
	config *tls.Config
	Public ed25519.PublicKey // by which clients know this Core
}

// Listen listens on a TCP address, unless there is an error; the seed gives the
// Core's Ed25519 key.
func Listen(address string, seed []byte) (*Listener, error) {
	key := ed25519.NewKeyFromSeed(seed)
	// Clients pin the key and ignore the rest, so the certificate says no more
	// than X.509 requires.
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

// Handshake makes a client's TCP connection a secure one, and says who the
// client is. The caller sets raw's deadline, and closes it if that fails.
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
