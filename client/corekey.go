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
	Now  ed25519.PublicKey // the key that the Core shows
	Next ed25519.PublicKey // the next key that the Core announced; nil: not announced
	Log  ed25519.PublicKey // the first key of the Core, which names its log
}

// ErrNextKey says that a Core announced a next key that differs from its earlier
// announcement. Either its operator discarded the earlier key, or a thief has the Core's key.
var ErrNextKey = errors.New("the server says that another key will follow its own than it said before: " +
	"ask its operator which key is right, and set it: motte profile set FILE --core-key KEY")

// pins are the keys that a Core may show. Invariants:
//
//  1. The client learns the next key once, from a Core that has proved the present key.
//  2. After a Core has proved the next key, the client refuses the key before it forever.
type pins struct {
	keep func(CoreKeys) error // nil: only this client remembers the keys

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

// saw takes the key that a Core has proved, and the next key that it announces, if any.
func (p *pins) saw(key, told ed25519.PublicKey) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.keys.Next != nil && key.Equal(p.keys.Next) {
		p.keys.Now, p.keys.Next, p.unsaved = p.keys.Next, nil, true
	}
	switch {
	case !key.Equal(p.keys.Now): // another connection has seen the next key meanwhile
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

// CoreKeys returns the keys by which this client knows its Core now. The error says why
// [Profile].Learned could not store them. Then the next client may not recognise the Core
// after its key was replaced.
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
	return bytes.Clone(body) // the buffer of body is used again
}

// LogKey returns the first key of the Core. It names the log in a [HeadStore], also after the
// Core's key was replaced.
func (p *Profile) LogKey() ed25519.PublicKey {
	if p.FirstCoreKey != nil {
		return p.FirstCoreKey
	}
	return p.CoreKey
}

// SetCoreKey sets the key of the Core. A key other than the present key and NextCoreKey
// counts as the key of another store.
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

// keepKeys returns a function that stores the keys of a Core in a profile file. The function
// changes no file that belongs to another Core by now, or has a newer key.
func keepKeys(path string) func(CoreKeys) error {
	return func(k CoreKeys) error {
		if err := updateKeys(path, k); err != nil {
			return fmt.Errorf("keep the Core's key in %s: %w", path, err)
		}
		return nil
	}
}

func updateKeys(path string, k CoreKeys) error {
	path, err := filepath.EvalSymlinks(path) // a symbolic link stays
	if err != nil {
		return err
	}
	f, err := atomicfile.Begin(path, 0o600) // takes the lock of the file
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
