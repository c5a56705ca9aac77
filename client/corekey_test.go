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

// coreKey returns a key of a Core.
func coreKey(n byte) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize)).Public().(ed25519.PublicKey)
}

// TestTheNextKeyIsLearntOnce: a client learns the next key only from a Core that has proved the
// present key. Once a Core has proved the next key, the client refuses the former one for good.
// Then a thief of the former key can't use it.
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
		{b, c, ErrWrongCore, a, nil}, // a Core with another key can't tell a next key
		{a, b, nil, a, b},
		{a, b, nil, a, b},
		{a, c, ErrNextKey, a, b}, // a thief of the present key tells another next key
		{a, nil, nil, a, b},
		{c, nil, ErrWrongCore, a, b},
		{b, nil, nil, b, nil},
		{a, nil, ErrWrongCore, b, nil}, // a thief of the former key
		{a, d, ErrWrongCore, b, nil},
		{b, c, nil, b, c},
		{c, d, nil, c, d}, // another rotation has begun
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
		t.Error("the learned key is not saved")
	}
	full := errors.New("the disk is full")
	p = pins{keys: CoreKeys{Now: a, Log: a}, keep: func(CoreKeys) error { return full }}
	if err := p.saw(a, b); err != nil || p.failed != full {
		t.Errorf("saving the keys fails, and the client reports %v, %v; want the error of the disk", err, p.failed)
	}
	p.keep = func(CoreKeys) error { return nil }
	if err := p.saw(a, b); err != nil || p.failed != nil {
		t.Errorf("saving the keys works again, and the client reports %v, %v; want no error", err, p.failed)
	}
}

// TestAProfileFileKeepsTheKeys: a rotation does not change the name of the head file's Core. A
// late process must not write an older key.
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
		{CoreKeys{c, nil, a}, nil, a, b, nil, a}, // another key was set meanwhile
		{CoreKeys{a, b, c}, nil, a, b, nil, a},   // keys of another store
		{CoreKeys{b, nil, a}, nil, b, nil, a, a},
		{CoreKeys{a, b, a}, nil, b, nil, a, a}, // a late process
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
			t.Errorf("step %d: other fields of the profile have changed: %+v", i, p)
		}
	}
	p, _ := ReadProfile(path)
	p.SetCoreKey(b) // the user enters the key of another store
	if !p.LogKey().Equal(b) || p.NextCoreKey != nil {
		t.Errorf("after a key was entered by hand the profile is %+v; want only that key", p)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("the directory has %d files; want only the profile", len(entries))
	}
}

// TestAClientLearnsTheNextKey from its first answer. The client fails if the Core later tells
// another next key.
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
		t.Errorf("the Core tells another next key, and the client returns %v; want an error", err)
	}
}
