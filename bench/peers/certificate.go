package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"time"
)

// The files that identity.write makes.
const (
	certificateFile = "server.crt"
	keyFile         = "server.key"
)

// validFor is longer than any run.
const validFor = 24 * time.Hour

// identity is the certificate and the key of PostgreSQL and Redis, and the password of their
// clients. Each run makes a new one.
type identity struct {
	certificate []byte // PEM
	key         []byte // PEM
	roots       *x509.CertPool
	password    string
}

func newIdentity() (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validFor),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	password := make([]byte, 16)
	_, _ = rand.Read(password) // never fails
	id := &identity{
		certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		roots:       x509.NewCertPool(),
		password:    hex.EncodeToString(password),
	}
	if !id.roots.AppendCertsFromPEM(id.certificate) {
		return nil, errors.New("the certificate that was made can't be parsed")
	}
	return id, nil
}

// write puts the certificate and its key into a server's directory.
func (id *identity) write(dir string, as *account) error {
	return errors.Join(as.write(dir, certificateFile, id.certificate), as.write(dir, keyFile, id.key))
}

// client is the configuration of clients: TLS 1.3, and no other server is trusted.
func (id *identity) client() *tls.Config {
	return &tls.Config{RootCAs: id.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
}
