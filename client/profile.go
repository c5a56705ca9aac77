package client

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"

	"motte/internal/atomicfile"
)

// Profile is all that a client needs to reach one Core as one principal. Its
// file is text: the line "motte-profile-v1", then "key value" lines. It holds
// a private key, so only its owner may read it.
type Profile struct {
	Address string             // host:port
	CoreKey ed25519.PublicKey  // the only key that the Core may show, but for NextCoreKey
	Key     ed25519.PrivateKey // the client's own

	NextCoreKey  ed25519.PublicKey // that the Core said will follow; nil: none
	FirstCoreKey ed25519.PublicKey // see LogKey; nil: CoreKey

	// These are not part of the file; ReadProfile sets both to what keeps in files.
	Heads   HeadStore            // keeps the newest head of the log; nil: each Client remembers it for itself
	Learned func(CoreKeys) error // keeps the Core's keys when they have changed; nil: likewise
}

const profileMagic = "motte-profile-v1"

// Principal is the name that the Core knows the profile's key by: the SHA-256
// of the public key.
func (p *Profile) Principal() [32]byte { return sha256.Sum256(p.Key.Public().(ed25519.PublicKey)) }

// ReadProfile reads a profile file. It refuses one that others than the owner
// can read. The head of the log is kept beside it: see HeadFileOf.
func ReadProfile(path string) (*Profile, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("profile %s can be read by others; run: chmod 600 %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := ParseProfile(text)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", path, err)
	}
	p.Heads, p.Learned = HeadFileOf(path), keepKeys(path)
	return p, nil
}

// HeadFileOf is where the head of the log is kept for the profile in a file.
func HeadFileOf(profile string) HeadFile { return HeadFile(profile + ".head") }

// ParseProfile reads the text of a profile file. Each key may be there once, and
// has a value.
func ParseProfile(text []byte) (*Profile, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors put a byte order mark there
	lines := bufio.NewScanner(bytes.NewReader(text))
	if !lines.Scan() || lines.Text() != profileMagic {
		return nil, fmt.Errorf("this is no profile of version 1: it must begin with %q", profileMagic)
	}
	p, given := &Profile{}, make(map[string]bool)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		key, value, _ := strings.Cut(line, " ")
		if given[key] {
			return nil, fmt.Errorf("%s is given twice", key)
		}
		given[key] = true
		if err := p.set(key, strings.TrimSpace(value)); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if p.Key == nil {
		return nil, errors.New("it has no client-key")
	}
	return p, nil
}

// set takes the value of a key from a file.
func (p *Profile) set(key, value string) error {
	switch key {
	case "address":
		if value == "" {
			return errors.New("address is empty: leave the line out if it is not known yet")
		}
		p.Address = value
	case "core-key", "next-core-key", "first-core-key":
		k, err := hex.DecodeString(value)
		if err != nil || len(k) != ed25519.PublicKeySize {
			return fmt.Errorf("%s is not 64 hexadecimal digits", key)
		}
		*p.coreKeys()[key] = k
	case "client-key":
		k, err := hex.DecodeString(value)
		if err != nil || len(k) != ed25519.SeedSize {
			return errors.New("client-key is not 64 hexadecimal digits")
		}
		p.Key = ed25519.NewKeyFromSeed(k)
	default:
		return fmt.Errorf("unknown key %q", key)
	}
	return nil
}

// coreKeys are the keys of a Core, by their names in a file.
func (p *Profile) coreKeys() map[string]*ed25519.PublicKey {
	return map[string]*ed25519.PublicKey{
		"core-key": &p.CoreKey, "next-core-key": &p.NextCoreKey, "first-core-key": &p.FirstCoreKey}
}

// Complete reports whether the profile says where the Core is and who it is;
// one that was just made by a key's owner does not yet.
func (p *Profile) Complete() bool { return p.Address != "" && len(p.CoreKey) == ed25519.PublicKeySize }

// Marshal returns the text of a profile file.
func (p *Profile) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, profileMagic)
	if p.Address != "" {
		fmt.Fprintln(&b, "address", p.Address)
	}
	for _, name := range []string{"core-key", "next-core-key", "first-core-key"} {
		if key := *p.coreKeys()[name]; key != nil {
			fmt.Fprintln(&b, name, hex.EncodeToString(key))
		}
	}
	fmt.Fprintln(&b, "client-key", hex.EncodeToString(p.Key.Seed()))
	return b.Bytes()
}

// Write makes a new profile file with mode 0600, whole or not at all; it never
// overwrites one.
func (p *Profile) Write(path string) error { return atomicfile.Create(path, 0o600, p.Marshal()) }

// Replace puts the profile in the place of a file, whole or not at all.
func (p *Profile) Replace(path string) error { return atomicfile.Replace(path, 0o600, p.Marshal()) }
