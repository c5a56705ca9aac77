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

// validFor is more than any run takes.
const validFor = 24 * time.Hour

// identity is what PostgreSQL and Redis prove who they are with, and the password of their clients. It is made
// for one run.
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
		return nil, errors.New("the certificate can't be read back")
	}
	return id, nil
}

// write puts the certificate and its key into a server's directory.
func (id *identity) write(dir string, as *account) error {
	return errors.Join(as.write(dir, certificateFile, id.certificate), as.write(dir, keyFile, id.key))
}

// client is the configuration of clients: TLS 1.3 with that server, and no other.
func (id *identity) client() *tls.Config {
	return &tls.Config{RootCAs: id.roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS13}
}
