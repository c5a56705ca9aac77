package seal

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestKeysAreIndependent: no two purposes, stores or roots share a key.
func TestKeysAreIndependent(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range []*Keys{Derive(Root{1}, StoreID{1}), Derive(Root{1}, StoreID{2}), Derive(Root{2}, StoreID{1})} {
		data := k.Data()
		for _, key := range [][]byte{k.Identity(), k.TLSSeed(), data[:], k.MAC(nil)} {
			if seen[string(key)] || len(key) != KeySize {
				t.Fatalf("key %x", key)
			}
			seen[string(key)] = true
		}
	}
}

// TestDerivationIsFixed pins what stored data depends on.
func TestDerivationIsFixed(t *testing.T) {
	k := Derive(Root{1, 2, 3}, StoreID{4, 5, 6})
	nonce := Nonce(7)
	sealed := k.Heads(Salt{8}).Seal(nil, nonce, []byte("head"), []byte("front"))
	r := NewRing()
	r.Set(9, k.Data())
	sealed = r.Bodies(9, Salt{8}).Seal(sealed, nonce, []byte("body"), []byte("all before"))
	got := hex.EncodeToString(bytes.Join([][]byte{k.Identity(), k.TLSSeed(), sealed}, nil))
	const want = "ce018377dd5aa48be98cf43cfa598c08a54c595692b094fe0e5858743d7bfe6bfe7bb73382b0746adde290b1f311c54f6a3497abb5bb29073dd0cdfad90f46a334a1fa6bc535ac5ef592511919949846cb5faffa5626c5606f23e868f63442f37610d549e36b49dd"
	if got != want {
		t.Errorf("derived\n%s, want\n%s", got, want)
	}
}

func TestRingKeepsOwnersAndSegmentsApart(t *testing.T) {
	r, nonce := NewRing(), Nonce(1)
	r.Set(1, [KeySize]byte{1})
	r.Set(2, [KeySize]byte{2})
	sealed := r.Bodies(1, Salt{1}).Seal(nil, nonce, []byte("text"), nil)
	for _, a := range []struct {
		owner uint32
		salt  Salt
	}{{2, Salt{1}}, {1, Salt{2}}} {
		if _, err := r.Bodies(a.owner, a.salt).Open(nil, nonce, sealed, nil); err == nil {
			t.Errorf("owner %d, salt %d opens another's text", a.owner, a.salt[0])
		}
	}
	if r.Bodies(3, Salt{1}) != nil {
		t.Error("an owner without a key has one")
	}
	for i := range maxCached + 10 {
		r.Bodies(1, Salt{byte(i), byte(i >> 8), 1})
	}
	if len(r.cached) > maxCached {
		t.Errorf("%d derived keys are kept", len(r.cached))
	}
}
