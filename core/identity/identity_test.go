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
		t.Fatal("the identity of an object fails the check of this object")
	}
	if m.Check(2, 2, id, content) {
		t.Error("an identity passes the check in another collection")
	}
	if m.Check(1, 3, id, content) {
		t.Error("an identity passes the check for another owner")
	}
	if m.Check(1, 2, id, Digest([]byte("attributes"), []byte("other"))) {
		t.Error("an identity passes the check of another object")
	}
	if m.Check(1, 2, id, Digest([]byte("others"), []byte("object"))) {
		t.Error("an identity passes the check of other attributes")
	}
	if m.Check(1, 2, id, Digest([]byte("attributesob"), []byte("ject"))) {
		t.Error("an identity passes the check after bytes of the object were moved to the attributes")
	}
	if NewMaker([]byte("another key")).Check(1, 2, id, content) {
		t.Error("an identity passes the check with another key")
	}
	for i := range id {
		altered := id
		altered[i] ^= 1
		if m.Check(1, 2, altered, content) {
			t.Errorf("an identity with byte %d altered passes the check", i)
		}
	}
	if m.Named(2, []byte("name")) == v || m.Named(1, []byte("nam")) == v {
		t.Error("two names, or one name in two collections, have the same value")
	}
}

// TestIdentitiesAreFixed fixes the bytes of an identity, since stored identities depend on them.
func TestIdentitiesAreFixed(t *testing.T) {
	m := NewMaker([]byte("key"))
	v := m.Named(7, []byte("name"))
	id := m.ID(7, 9, v, Digest([]byte("attributes"), []byte("object")))
	const want = "1b1e58dc2997634e3c571c95f51505793d28371e82b2a23e6f88d009f63d594f"
	if got := hex.EncodeToString(id[:]); got != want {
		t.Errorf("identity %s, want %s", got, want)
	}
}
