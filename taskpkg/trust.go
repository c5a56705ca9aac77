package taskpkg

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/mod/sumdb/note"

	"motte/core/model"
	"motte/sdk/ijson"
)

// TrustFile is the name of the trust file in a directory of Tasks' executables. Whoever may write
// that directory decides about its Tasks anyway.
const TrustFile = "trust.json"

// trustVersion is the version of the trust file's format.
const trustVersion = 1

// Limits of a trust file.
const (
	maxTrust    = 1 << 20 // bytes
	maxNameText = 64      // bytes of a pattern
)

// Errors of a trust file, and of a package that it does not allow.
var (
	ErrTrust     = errors.New("not a trust file")
	ErrUntrusted = errors.New("the trust file asks for a signature by another key")
)

// Trust says which keys must sign the Tasks of which names. The zero value asks for no signature.
type Trust struct {
	publishers []publisher
	known      note.Verifiers
}

// publisher has the names of Tasks, and the keys that may sign them.
type publisher struct {
	names []string // a name, or the beginning of names and "*"
	keys  []note.Verifier
}

type trustText struct {
	Version    int             `json:"version"`
	Publishers []publisherText `json:"publishers"`
}

type publisherText struct {
	Names []string `json:"names"`
	Keys  []string `json:"keys"`
}

// ReadTrust reads a trust file. It refuses a file that others than root and this user can change.
func ReadTrust(path string) (*Trust, error) {
	text, err := readTrustFile(path)
	if err != nil {
		return nil, err
	}
	t, err := ParseTrust(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

func readTrustFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if err := ownerOnly(path, info); err != nil {
		return nil, err
	}
	text, err := readBounded(f, maxTrust)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

// CheckDirectory refuses a directory that others than root and this user can write to. They could
// remove its trust file.
func CheckDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	return ownerOnly(dir, info)
}

// ownerOnly refuses a file that others than root and this user can change.
func ownerOnly(path string, info os.FileInfo) error {
	owner := int(info.Sys().(*syscall.Stat_t).Uid)
	if owner != 0 && owner != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user, who decides then which Tasks are installed", path)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others can write to %s, and decide then which Tasks are installed; run: chmod go-w %s", path, path)
	}
	return nil
}

// ParseTrust reads the text of a trust file. It refuses unknown members, and anything that would
// leave a publisher without names or keys.
func ParseTrust(text []byte) (*Trust, error) {
	var t trustText
	if err := ijson.Decode(text, &t); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	if t.Version != trustVersion {
		return nil, fmt.Errorf("%w: version is %d, and this program reads version %d", ErrTrust, t.Version, trustVersion)
	}
	trust := &Trust{}
	known := make(map[string]note.Verifier)
	for i, c := range t.Publishers {
		parsed, err := c.publisher(known)
		if err != nil {
			return nil, fmt.Errorf("%w: publisher %d: %w", ErrTrust, i+1, err)
		}
		trust.publishers = append(trust.publishers, parsed)
	}
	var all []note.Verifier
	for _, v := range known {
		all = append(all, v)
	}
	trust.known = note.VerifierList(all...)
	return trust, nil
}

// publisher checks the text of a publisher. known has the keys of the whole file, by their texts.
func (t *publisherText) publisher(known map[string]note.Verifier) (p publisher, err error) {
	if len(t.Names) == 0 || len(t.Keys) == 0 {
		return p, errors.New("it needs names and keys")
	}
	for _, pattern := range t.Names {
		stem := strings.TrimSuffix(pattern, "*")
		if len(pattern) > maxNameText || pattern == "" || stem != "" && !model.ValidIdentifier(stem) {
			return p, fmt.Errorf("%.*q is neither the name of a Task, nor the beginning of names and a star", maxNameText, pattern)
		}
	}
	for _, text := range t.Keys {
		v, seen := known[text]
		if !seen {
			if v, err = note.NewVerifier(text); err != nil {
				return p, fmt.Errorf("key %.*q: %w", maxNameText, text, err)
			}
			for _, other := range known {
				if keyID(other) == keyID(v) {
					return p, fmt.Errorf("two keys are called %s: make another key", keyID(v))
				}
			}
			known[text] = v
		}
		p.keys = append(p.keys, v)
	}
	p.names = t.Names
	return p, nil
}

// has reports whether a name belongs to the publisher.
func (p *publisher) has(name string) bool {
	return slices.ContainsFunc(p.names, func(pattern string) bool {
		stem, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, stem)
	})
}

// keyID names a key as a signature does.
func keyID(k interface {
	Name() string
	KeyHash() uint32
}) string {
	return fmt.Sprintf("%s+%08x", k.Name(), k.KeyHash())
}

// Verdict is what is known about the signers of a package.
type Verdict struct {
	Signers  []string // keys of the trust file whose signatures hold, "NAME+HASH"
	Strange  int      // signatures by other keys, which can't be verified
	Required bool     // the trust file asks for a signature; one of Signers may sign this name
}

// Check checks the signature of a package. It fails if there is a signature that does not hold, or
// if the name belongs to a publisher and no key of it has signed.
func (t *Trust) Check(p *Package) (v Verdict, err error) {
	var allowed []string
	for i := range t.publishers {
		if from := &t.publishers[i]; from.has(p.Name) {
			v.Required = true
			for _, k := range from.keys {
				allowed = append(allowed, keyID(k))
			}
		}
	}
	if p.Signature != nil {
		n, err := openNote(p.Signature, t.known)
		if err != nil {
			return Verdict{}, err
		}
		if err := p.checkStatement(n); err != nil {
			return Verdict{}, err
		}
		for _, s := range n.Sigs {
			v.Signers = append(v.Signers, fmt.Sprintf("%s+%08x", s.Name, s.Hash))
		}
		v.Strange = len(n.UnverifiedSigs)
	}
	signed := func(key string) bool { return slices.Contains(v.Signers, key) }
	if v.Required && !slices.ContainsFunc(allowed, signed) {
		slices.Sort(allowed)
		return Verdict{}, fmt.Errorf("%w: Task %s has to be signed by %s", ErrUntrusted, p.Name,
			strings.Join(slices.Compact(allowed), " or "))
	}
	return v, nil
}
