package client

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"motte/core/model"
	"motte/core/wire"
)

// coreKey is a key of a Core.
func coreKey(n byte) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
}

// TestTheNextKeyIsLearntOnce: from a Core that has proved the present one; and when a Core has
// proved the next one, the key before is refused for good, so that a thief of it has no use
// for it.
func TestTheNextKeyIsLearntOnce(t *testing.T) {
	a, b, c, d := coreKey(1), coreKey(2), coreKey(3), coreKey(4)
	var kept CoreKeys
	p := pins{keys: CoreKeys{Now: a, Log: a}, keep: func(k CoreKeys) error { kept = k; return nil }}
	fits := func(want ...ed25519.PublicKey) {
		t.Helper()
		for _, key := range []ed25519.PublicKey{a, b, c, d} {
			fit := false
			for _, w := range want {
				fit = fit || key.Equal(w)
			}
			if p.fit(key) != fit {
				t.Errorf("%x fits: %v", key[:2], !fit)
			}
		}
	}
	for i, step := range []struct {
		shown, told ed25519.PublicKey
		want        error
		now, next   ed25519.PublicKey
	}{
		{a, nil, nil, a, nil},
		{b, nil, ErrWrongCore, a, nil},
		{b, c, ErrWrongCore, a, nil}, // who has another key says nothing
		{a, b, nil, a, b},
		{a, b, nil, a, b},
		{a, c, ErrNextKey, a, b}, // a thief of the present key
		{a, nil, nil, a, b},
		{c, nil, ErrWrongCore, a, b},
		{b, nil, nil, b, nil},
		{a, nil, ErrWrongCore, b, nil}, // a thief of the key before
		{a, d, ErrWrongCore, b, nil},
		{b, c, nil, b, c},
		{c, d, nil, c, d}, // the next rotation has begun already
	} {
		if err := p.saw(step.shown, step.told); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v", i, err)
		}
		if !p.keys.Now.Equal(step.now) || !bytes.Equal(p.keys.Next, step.next) || !p.keys.Log.Equal(a) {
			t.Errorf("step %d: %x, then %x", i, p.keys.Now[:2], p.keys.Next)
		}
		fits(step.now, step.next)
	}
	if !kept.Now.Equal(c) || !kept.Next.Equal(d) {
		t.Error("what was learnt is not kept")
	}
	full := errors.New("the disk is full")
	p = pins{keys: CoreKeys{Now: a, Log: a}, keep: func(CoreKeys) error { return full }}
	if err := p.saw(a, b); err != nil || p.failed != full {
		t.Errorf("what can't be kept: %v, %v", err, p.failed)
	}
	p.keep = func(CoreKeys) error { return nil }
	if err := p.saw(a, b); err != nil || p.failed != nil {
		t.Errorf("what can be kept again: %v, %v", err, p.failed)
	}
}

// TestAProfileFileKeepsTheKeys: the head of the log keeps its name, and an older key takes
// the place of none.
func TestAProfileFileKeepsTheKeys(t *testing.T) {
	a, b, c := coreKey(1), coreKey(2), coreKey(3)
	path := filepath.Join(t.TempDir(), "p")
	first := Profile{Address: "host:1", CoreKey: a, Key: ed25519.NewKeyFromSeed(make([]byte, 32))}
	if err := first.Write(path); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct {
		learnt                 CoreKeys
		want                   error
		now, next, first, name ed25519.PublicKey
	}{
		{CoreKeys{a, b, a}, nil, a, b, nil, a},
		{CoreKeys{a, c, a}, ErrNextKey, a, b, nil, a},
		{CoreKeys{c, nil, a}, nil, a, b, nil, a}, // somebody has set another one meanwhile
		{CoreKeys{a, b, c}, nil, a, b, nil, a},   // of another store
		{CoreKeys{b, nil, a}, nil, b, nil, a, a},
		{CoreKeys{a, b, a}, nil, b, nil, a, a}, // a process that was late
		{CoreKeys{b, c, a}, nil, b, c, a, a},
		{CoreKeys{c, nil, a}, nil, c, nil, a, a},
	} {
		if err := keepKeys(path)(step.learnt); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v", i, err)
		}
		p, err := ReadProfile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !p.CoreKey.Equal(step.now) || !bytes.Equal(p.NextCoreKey, step.next) || !bytes.Equal(p.FirstCoreKey, step.first) || !p.LogKey().Equal(step.name) {
			t.Errorf("step %d: %+v", i, p)
		}
		if p.Address != first.Address || !p.Key.Equal(first.Key) {
			t.Errorf("step %d: the rest has changed: %+v", i, p)
		}
	}
	p, _ := ReadProfile(path)
	p.SetCoreKey(b) // by hand: another store
	if !p.LogKey().Equal(b) || p.NextCoreKey != nil {
		t.Errorf("set by hand: %+v", p)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files are left", len(entries))
	}
}

// TestAClientLearnsTheNextKey: with its first answer; and fails if another one is told.
func TestAClientLearnsTheNextKey(t *testing.T) {
	told := coreKey(7)
	p := fake(t, func(c conn) {
		for {
			r, ok := c.request()
			if !ok || r.Op != model.OpHead || !c.reply(r.Number, wire.KindEnd, 0, told) {
				return
			}
		}
	})
	var kept []CoreKeys
	p.Learned = func(k CoreKeys) error { kept = append(kept, k); return nil }
	for range 2 {
		c, err := Dial(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if k, err := c.CoreKeys(); err != nil || !k.Now.Equal(p.CoreKey) || !k.Next.Equal(told) {
			t.Errorf("%+v, %v", k, err)
		}
		c.Close()
	}
	if len(kept) != 2 || !kept[0].Next.Equal(told) {
		t.Errorf("kept: %+v", kept)
	}
	p.NextCoreKey = coreKey(8)
	if _, err := Dial(t.Context(), p); !errors.Is(err, ErrNextKey) {
		t.Errorf("another key is told: %v", err)
	}
}
