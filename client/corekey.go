package client

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"motte/internal/atomicfile"
)

// CoreKeys are the keys by which a client knows a Core.
type CoreKeys struct {
	Now  ed25519.PublicKey // that the Core shows
	Next ed25519.PublicKey // that the Core said will follow it; nil: none
	Log  ed25519.PublicKey // that names the log: the first key of this Core
}

// ErrNextKey says that a Core tells another key than before that will follow its own. Either
// its operator has begun anew, or somebody else has the Core's key.
var ErrNextKey = errors.New("the server says that another key will follow its own than it said before: " +
	"ask its operator which key is right, and set it: motte profile set FILE --core-key KEY")

// pins are the keys that a Core may show. What holds:
//
//  1. The next key is learnt from a Core that has proved the present one, once.
//  2. When a Core has proved the next key, the one before is refused, for good.
type pins struct {
	keep func(CoreKeys) error // nil: they are kept for this client alone

	mu      sync.Mutex
	keys    CoreKeys
	unsaved bool
	failed  error // of keep
}

// fit reports whether a Core may show a key.
func (p *pins) fit(key ed25519.PublicKey) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return key.Equal(p.keys.Now) || p.keys.Next != nil && key.Equal(p.keys.Next)
}

// saw takes the key that a Core has proved, and the one that it says will follow; nil: none.
func (p *pins) saw(key, told ed25519.PublicKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys.Next != nil && key.Equal(p.keys.Next) {
		p.keys.Now, p.keys.Next, p.unsaved = p.keys.Next, nil, true
	}
	switch {
	case !key.Equal(p.keys.Now): // another connection has seen the next one meanwhile
		return ErrWrongCore
	case told == nil:
	case p.keys.Next == nil:
		p.keys.Next, p.unsaved = told, true
	case !told.Equal(p.keys.Next):
		return ErrNextKey
	}
	if p.unsaved && p.keep != nil {
		p.failed = p.keep(p.keys)
		p.unsaved = p.failed != nil
	}
	return nil
}

// CoreKeys returns the keys by which this client knows its Core now, and why they could not
// be kept where the profile says, if so: then the next client may not know a Core whose key
// has been replaced meanwhile.
func (c *Client) CoreKeys() (CoreKeys, error) {
	c.pins.mu.Lock()
	defer c.pins.mu.Unlock()
	return c.pins.keys, c.pins.failed
}

// nextKey reads the body of an answer to a HEAD.
func nextKey(body []byte) ed25519.PublicKey {
	if len(body) != ed25519.PublicKeySize {
		return nil
	}
	return bytes.Clone(body) // which is used again
}

// LogKey returns the key that names the log: Heads keeps its head under that name, also when
// the Core has another key by now.
func (p *Profile) LogKey() ed25519.PublicKey {
	if p.FirstCoreKey != nil {
		return p.FirstCoreKey
	}
	return p.CoreKey
}

// SetCoreKey sets the key that the Core shows. If it is not the one that the Core said will
// follow, it is taken for that of another store.
func (p *Profile) SetCoreKey(key ed25519.PublicKey) {
	switch {
	case key.Equal(p.CoreKey):
		return
	case p.NextCoreKey != nil && key.Equal(p.NextCoreKey):
		p.FirstCoreKey = p.LogKey()
	default:
		p.FirstCoreKey = nil
	}
	p.CoreKey, p.NextCoreKey = key, nil
}

// keepKeys returns what keeps the keys of a Core in a profile file. It changes nothing if
// the file is of another principal or Core by now, or has a newer key.
func keepKeys(path string) func(CoreKeys) error {
	return func(k CoreKeys) error {
		if err := updateKeys(path, k); err != nil {
			return fmt.Errorf("keep the Core's key in %s: %w", path, err)
		}
		return nil
	}
}

func updateKeys(path string, k CoreKeys) error {
	path, err := filepath.EvalSymlinks(path) // a link stays
	if err != nil {
		return err
	}
	f, err := atomicfile.Begin(path, 0o600) // while others wait
	if err != nil {
		return err
	}
	defer f.Close()
	p, err := ReadProfile(path)
	if err != nil {
		return err
	}
	same, follows := k.Now.Equal(p.CoreKey), p.NextCoreKey != nil && k.Now.Equal(p.NextCoreKey)
	switch {
	case !same && !follows, !bytes.Equal(k.Log, p.LogKey()), same && bytes.Equal(k.Next, p.NextCoreKey):
		return nil
	case same && p.NextCoreKey != nil:
		return ErrNextKey
	}
	p.SetCoreKey(k.Now)
	p.NextCoreKey = k.Next
	if _, err := f.Write(p.Marshal()); err != nil {
		return err
	}
	return f.Replace()
}
