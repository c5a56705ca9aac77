package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"
)

func TestIdentityBindsCollectionValueAndContent(t *testing.T) {
	m := NewMaker([]byte("key"))
	sum := sha256.Sum256([]byte("content"))
	v := m.Named(1, []byte("name"))
	id := m.ID(1, v, sum)
	if !m.Check(1, id, sum) {
		t.Fatal("an identity fails its own check")
	}
	if m.Check(2, id, sum) {
		t.Error("holds in another collection")
	}
	if m.Check(1, id, sha256.Sum256([]byte("other"))) {
		t.Error("holds for another content")
	}
	if NewMaker([]byte("another key")).Check(1, id, sum) {
		t.Error("holds under another key")
	}
	for i := range id {
		altered := id
		altered[i] ^= 1
		if m.Check(1, altered, sum) {
			t.Errorf("holds with byte %d altered", i)
		}
	}
	if m.Named(2, []byte("name")) == v || m.Named(1, []byte("nam")) == v {
		t.Error("two names have one value")
	}
}

// TestIdentitiesAreFixed pins what stored identities depend on.
func TestIdentitiesAreFixed(t *testing.T) {
	m := NewMaker([]byte("key"))
	v := m.Named(7, []byte("name"))
	id := m.ID(7, v, sha256.Sum256([]byte("content")))
	const want = "1b1e58dc2997634e3c571c95f5150579ff81f32ac02db86b234aff9157970e61"
	if got := hex.EncodeToString(id[:]); got != want {
		t.Errorf("identity %s, want %s", got, want)
	}
}
