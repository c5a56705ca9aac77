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

// Profile tells a client how to reach one Core as one principal. Its file is text: the line
// "motte-profile-v1", then "key value" lines. The file holds a private key, so only its owner
// may read it.
type Profile struct {
	Address string             // host:port
	CoreKey ed25519.PublicKey  // the key of the Core; the Core may show this key or NextCoreKey
	Key     ed25519.PrivateKey // the key of the principal

	NextCoreKey  ed25519.PublicKey // the key that the Core announced as its next; nil: not announced
	FirstCoreKey ed25519.PublicKey // the first key of the Core, see LogKey; nil: CoreKey

	// The file does not hold these two. ReadProfile sets both, so that they store in files.
	// If one is nil, each Client remembers for itself.
	Heads   HeadStore            // stores the newest head of the log
	Learned func(CoreKeys) error // stores the Core's keys after a change
}

const profileMagic = "motte-profile-v1"

// Principal returns the SHA-256 of the public half of Key. The Core knows the principal by it.
func (p *Profile) Principal() [32]byte { return sha256.Sum256(p.Key.Public().(ed25519.PublicKey)) }

// ReadProfile reads a profile file. It refuses a file that others than its owner can read.
// The client keeps the head of the log in a file beside it: see [HeadFileOf].
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

// HeadFileOf returns the file with the head of the log for a profile file.
func HeadFileOf(profile string) HeadFile { return HeadFile(profile + ".head") }

// ParseProfile reads the text of a profile file. Each key occurs once at most, and has a
// value.
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

// Complete reports whether the profile has the address and the key of a Core. A profile that
// "motte keygen" has just made lacks both.
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

// Write makes a new profile file with mode 0600, whole or not at all. It never overwrites a
// file.
func (p *Profile) Write(path string) error { return atomicfile.Create(path, 0o600, p.Marshal()) }

// Replace writes the profile over a file, whole or not at all.
func (p *Profile) Replace(path string) error { return atomicfile.Replace(path, 0o600, p.Marshal()) }
