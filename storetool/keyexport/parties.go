package keyexport

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
	"filippo.io/age/agessh"
	"golang.org/x/crypto/ssh"
)

// ParseRecipient parses a recipient: an age recipient ("age1…", "age1pq1…") or an SSH public key
// ("ssh-ed25519 …", "ssh-rsa …").
func ParseRecipient(s string) (age.Recipient, error) {
	if s = strings.TrimSpace(s); strings.HasPrefix(s, "ssh-") {
		r, err := agessh.ParseRecipient(s)
		if err != nil {
			return nil, fmt.Errorf("this SSH public key can't be encrypted to: %w", err)
		}
		return r, nil
	}
	if strings.HasPrefix(strings.ToUpper(s), "AGE-SECRET-KEY-") {
		return nil, errors.New("this is a private key: a recipient is the public half, age1…")
	}
	list, err := age.ParseRecipients(strings.NewReader(s))
	if err != nil || len(list) != 1 {
		return nil, fmt.Errorf("%q is no recipient: age1…, or an SSH public key", s)
	}
	return list[0], nil
}

// ParseIdentities parses age's file of private keys, or an SSH private key. No error of it quotes
// the file.
func ParseIdentities(file []byte) ([]age.Identity, error) {
	if bytes.HasPrefix(bytes.TrimSpace(file), []byte("-----BEGIN")) {
		id, err := agessh.ParseIdentity(file)
		var locked *ssh.PassphraseMissingError
		if errors.As(err, &locked) {
			return nil, errors.New("the SSH key has a passphrase: make a copy without one (ssh-keygen -p) for as long as it takes")
		} else if err != nil {
			return nil, errors.New("not an SSH private key that can decrypt: ssh-ed25519 or ssh-rsa")
		}
		return []age.Identity{id}, nil
	}
	if bytes.HasPrefix(file, []byte("age-encryption.org/")) {
		return nil, errors.New("the identity is encrypted itself: decrypt it first, age -d FILE | motte restore --identity -")
	}
	list, err := age.ParseIdentities(bytes.NewReader(file))
	if err != nil {
		return nil, errors.New("not an age identity (AGE-SECRET-KEY-1…) or an SSH private key")
	}
	return list, nil
}
