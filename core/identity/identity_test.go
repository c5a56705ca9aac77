package identity

import (
	"encoding/binary"
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

// TestAliasesAreUnrelated: the alias of an owner is the same in one index, and unrelated in
// another index, for another owner, or under another key. It is not a part of an identity.
func TestAliasesAreUnrelated(t *testing.T) {
	const index, owner = 7, 9
	m := NewMaker([]byte("key"))
	alias := m.Alias(index, owner)
	if again := NewMaker([]byte("key")).Alias(index, owner); again != alias {
		t.Errorf("the alias is %x, and then %x; want the same", alias, again)
	}
	of := map[uint64]string{0: "all owners", alias: "the owner"}
	add := func(what string, number uint64) {
		if other, taken := of[number]; taken {
			t.Errorf("%s has the number of %s", what, other)
		}
		of[number] = what
	}
	add("the owner in another index", m.Alias(index+1, owner))
	add("index and owner exchanged", m.Alias(owner, index))
	add("the owner under another key", NewMaker([]byte("another key")).Alias(index, owner))
	for i := range uint32(1000) {
		if i != owner {
			add("another owner", m.Alias(index, i))
		}
	}
	name := []byte{0, 0, 0, owner} // the bytes that an alias is made of
	value := m.Named(index, name)
	add("a name of these bytes", binary.BigEndian.Uint64(value[:]))
}

// TestAliasesAreFixed pins the alias of an owner in an index.
func TestAliasesAreFixed(t *testing.T) {
	const want = 0x1ebb62c83c69e5c6 // HMAC-SHA256 of 'o', index and owner: the first 8 bytes
	if got := NewMaker([]byte("key")).Alias(7, 9); got != want {
		t.Errorf("alias %#x, want %#x", got, uint64(want))
	}
}
