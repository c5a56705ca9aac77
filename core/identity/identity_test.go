package identity

import (
	"encoding/hex"
	"testing"
)

func TestIdentityBindsAllThatIsIndexed(t *testing.T) {
	m := NewMaker([]byte("key"))
	content := Digest([]byte("attributes"), []byte("object"))
	v := m.Named(1, []byte("name"))
	id := m.ID(1, 2, v, content)
	if !m.Check(1, 2, id, content) {
		t.Fatal("an identity fails its own check")
	}
	if m.Check(2, 2, id, content) {
		t.Error("holds in another collection")
	}
	if m.Check(1, 3, id, content) {
		t.Error("holds for another owner")
	}
	if m.Check(1, 2, id, Digest([]byte("attributes"), []byte("other"))) {
		t.Error("holds for another object")
	}
	if m.Check(1, 2, id, Digest([]byte("others"), []byte("object"))) {
		t.Error("holds for other attributes")
	}
	if m.Check(1, 2, id, Digest([]byte("attributesob"), []byte("ject"))) {
		t.Error("holds if bytes of the object are moved to the attributes")
	}
	if NewMaker([]byte("another key")).Check(1, 2, id, content) {
		t.Error("holds under another key")
	}
	for i := range id {
		altered := id
		altered[i] ^= 1
		if m.Check(1, 2, altered, content) {
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
	id := m.ID(7, 9, v, Digest([]byte("attributes"), []byte("object")))
	const want = "1b1e58dc2997634e3c571c95f51505793d28371e82b2a23e6f88d009f63d594f"
	if got := hex.EncodeToString(id[:]); got != want {
		t.Errorf("identity %s, want %s", got, want)
	}
}
