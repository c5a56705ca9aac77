package seal

import (
	"bytes"
	"crypto/cipher"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"testing"
)

// TestKeysAreIndependent: no two purposes, stores or roots share a key.
func TestKeysAreIndependent(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range []*Keys{Derive(Root{1}, StoreID{1}), Derive(Root{1}, StoreID{2}), Derive(Root{2}, StoreID{1})} {
		for _, key := range [][]byte{k.Identity(), k.Core[:], k.derive("data"), k.derive("record head"), k.MAC(nil),
			k.Bodies(CoreOwner, Salt{}).Seal(nil, Nonce(0), make([]byte, 16), nil), k.Heads(Salt{}).Seal(nil, Nonce(0), make([]byte, 16), nil),
			k.Checkpoint(Salt{}).Seal(nil, Nonce(0), make([]byte, 16), nil), k.SealDataKeys(Salt{}, 0, nil)[SaltSize:], k.wrap(Salt{}).Seal(nil, Nonce(0), make([]byte, 16), nil)} {
			if seen[string(key)] {
				t.Fatalf("the key %x is derived twice; want a different key for each purpose, store and root", key)
			}
			seen[string(key)] = true
		}
	}
}

// fixed holds the data keys of the golden vectors.
var fixed = NewDataKeys([KeySize]byte{9, 8, 7})

// with returns the keys of a store with these data keys.
func with(keys DataKeys) *Keys {
	k := Derive(Root{1, 2, 3}, StoreID{4, 5, 6})
	k.Use(keys)
	return k
}

// TestDerivationIsFixed fixes the bytes of derived keys and sealed data, since stored data
// depends on them.
func TestDerivationIsFixed(t *testing.T) {
	k, nonce := with(fixed), Nonce(7)
	head := k.Heads(Salt{8}).Seal(nil, nonce, []byte("head"), []byte("front"))
	bodies := k.Bodies(0, Salt{8}).Seal(nil, nonce, []byte("body"), []byte("all before"))
	bodies = k.Bodies(0x123456, Salt{8}).Seal(bodies, nonce, []byte("body"), []byte("all before"))
	leaf, _ := fixed.Key(0x123456)
	for name, x := range map[string]struct {
		got  []byte
		want string
	}{
		"identity":   {k.Identity(), "ce018377dd5aa48be98cf43cfa598c08a54c595692b094fe0e5858743d7bfe6b"},
		"TLS seed":   {k.Core[:], "fe7bb73382b0746adde290b1f311c54f6a3497abb5bb29073dd0cdfad90f46a3"},
		"MAC":        {k.MAC([]byte("header")), "20c6e5f5c70917248defccf15023814e1dbe088c002c8f6f9711b5d5f2f3f217"},
		"head":       {head, "c5f6f55985fdadc9a0a1916bd7be2bbeeb3f1d38"},
		"bodies":     {bodies, "5626c5606f23e868f63442f37610d549e36b49ddd937b17dcc4eabaa3fa8df1ed6fff2af34f4f07f"},
		"checkpoint": {k.Checkpoint(Salt{8}).Seal(nil, nonce, []byte("piece"), []byte("header")), "10f95d871ef242246fa2eb25eda517309acceda8c8"},
		"data key":   {leaf[:], "45366776ff9c8cd41a866deff420b0490e8d06ed570d548ca295a82efde513aa"},
		"data keys":  {k.SealDataKeys(Salt{8}, 7, fixed), "08000000000000000000000000000000ba741d1b1cc771a6366b140fe2a68a9bad0c199bda1188c6124e6ed291ea50554f4c1e6e6686f2af319fe6aef18632514e303b0984bb807c42a86f6ce76f0fba1f2ed6a4587abe41c71e32ead7a617e9341aff000e3a0595eefd32dc9ca6f355a13e484af4f6e96cf412f0cd74080cea5493fafcbe57a85b19fce93fce21a16e3f6e8cf164bf12ad21eefeb70b3e27cb2e482cddf1e761f3b0a61421e1"},
	} {
		if got := hex.EncodeToString(x.got); got != x.want {
			t.Errorf("%s is %s, want %s", name, got, x.want)
		}
	}
}

// TestDataKeysOfVersion2: the secrets of such a store follow from its root key.
func TestDataKeysOfVersion2(t *testing.T) {
	sealed, err := hex.DecodeString("08000000000000000000000000000000ba741d1b1cc771a63769170ffaaf829cad0c199bda1188c6124e6ed291ea50554f4c1e6e6686f2afcfe4519d732b6c5b1674bbc4c7da111d6ad39d522a")
	if err != nil {
		t.Fatal(err)
	}
	k := Derive(Root{1, 2, 3}, StoreID{4, 5, 6})
	if generation, ok := k.OpenDataKeys(2, sealed); !ok || generation != 7 || !slices.Equal(k.Data(), fixed) {
		t.Errorf("data keys of version 2 are read as generation %d with %d nodes, %v", generation, len(k.Data()), ok)
	}
	if k.Own != Root([]byte{0: 1, 1: 2, 2: 3, 31: 0}) || k.Next != [KeySize]byte{} {
		t.Errorf("the secrets of data keys of version 2 are %x; want those of the root key", k.Secrets)
	}
	if _, ok := Derive(Root{1, 2, 3}, StoreID{4, 5, 6}).OpenDataKeys(3, sealed); ok {
		t.Error("a file of version 2 is read as version 3")
	}
}

// TestTheRootKeySealsOneFile: with another root key and the same secrets, all keys of the store
// stay the same.
func TestTheRootKeySealsOneFile(t *testing.T) {
	k := with(fixed)
	next := Derive(Root{9}, k.Store())
	next.Secrets = k.Secrets
	next.Use(k.Data())
	for _, x := range [][2][]byte{
		{k.Identity(), next.Identity()}, {k.MAC(nil), next.MAC(nil)},
		{k.Checkpoint(Salt{}).Seal(nil, Nonce(0), nil, nil), next.Checkpoint(Salt{}).Seal(nil, Nonce(0), nil, nil)},
		{k.Bodies(0, Salt{}).Seal(nil, Nonce(0), nil, nil), next.Bodies(0, Salt{}).Seal(nil, Nonce(0), nil, nil)},
		{k.Heads(Salt{}).Seal(nil, Nonce(0), nil, nil), next.Heads(Salt{}).Seal(nil, Nonce(0), nil, nil)},
		{k.Bodies(7, Salt{}).Seal(nil, Nonce(0), nil, nil), next.Bodies(7, Salt{}).Seal(nil, Nonce(0), nil, nil)},
	} {
		if !bytes.Equal(x[0], x[1]) {
			t.Errorf("with another root key the key %x became %x; want the same", x[0], x[1])
		}
	}
	sealed := next.SealDataKeys(Salt{1}, 2, fixed)
	if _, ok := with(fixed).OpenDataKeys(3, sealed); ok {
		t.Error("the old root key opens the file; want only the next one")
	}
	opened := Derive(Root{9}, k.Store())
	if _, ok := opened.OpenDataKeys(3, sealed); !ok || opened.Secrets != k.Secrets {
		t.Error("the next root key does not open the file")
	}
}

func TestOwnersAndSegmentsAreKeptApart(t *testing.T) {
	r, nonce := with(fixed), Nonce(1)
	sealed := r.Bodies(1, Salt{1}).Seal(nil, nonce, []byte("text"), nil)
	for _, a := range []struct {
		owner uint32
		salt  Salt
	}{{2, Salt{1}}, {1, Salt{2}}, {0, Salt{1}}, {1<<levels - 1, Salt{1}}} {
		if _, err := r.Bodies(a.owner, a.salt).Open(nil, nonce, sealed, nil); err == nil {
			t.Errorf("the key of owner %d, salt %d opens a text of another", a.owner, a.salt[0])
		}
	}
	for _, owner := range []uint32{1 << levels, 1<<levels + 1, 1<<32 - 2} {
		if r.Bodies(owner, Salt{1}) != nil {
			t.Errorf("owner %d, which is invalid, has a key", owner)
		}
	}
}

// TestReadyKeysAreTheDerivedOnes: the cached keys equal the derived ones, however many there
// are, and even if they share slots.
func TestReadyKeysAreTheDerivedOnes(t *testing.T) {
	r := with(fixed)
	salts := make([]Salt, maxReady+10)
	for i := range salts {
		salts[i] = Salt{byte(i), byte(i >> 8), byte(i >> 3), 9, byte(i), byte(i >> 8)}
		r.Bodies(1, salts[i])
		r.Heads(salts[i])
	}
	first, second := recordKey{owner: 1}, recordKey{owner: 1, salt: Salt{15: 1}}
	if first.slot() != second.slot() {
		t.Fatal("the keys of the test must share slots; the choice of slots has changed")
	}
	r.Bodies(1, first.salt)
	r.Bodies(1, second.salt)
	if r.ready.get(first) == nil || r.ready.get(second) == nil {
		t.Error("two keys with the same slots are not both cached")
	}
	fresh := with(fixed)
	for _, s := range append(salts, first.salt, second.salt) {
		sealed := fresh.Bodies(1, s).Seal(nil, Nonce(1), []byte("text"), nil)
		if text, err := r.Bodies(1, s).Open(nil, Nonce(1), sealed, nil); err != nil || string(text) != "text" {
			t.Fatalf("salt %x: the cache has another key: %v", s, err)
		}
	}
}

// TestOwnKeysComeFirst: the Core's own keys do not depend on the tree, so no puncture removes
// them.
func TestOwnKeysComeFirst(t *testing.T) {
	r := Derive(Root{1}, StoreID{1})
	if r.Bodies(4, Salt{}) != nil || r.Has(4) {
		t.Error("an owner has a key though the tree is empty")
	}
	core := func() cipher.AEAD { return r.Bodies(CoreOwner, Salt{}) }
	heads := func() cipher.AEAD { return r.Heads(Salt{}) }
	for name, own := range map[string]func() cipher.AEAD{"the Core's bodies": core, "heads": heads} {
		r.Use(nil)
		sealed := own().Seal(nil, Nonce(1), nil, nil)
		r.Use(fixed)
		r.Use(fixed.Puncture(CoreOwner))
		if _, err := own().Open(nil, Nonce(1), sealed, nil); err != nil {
			t.Errorf("the key of %s has changed", name)
		}
	}
	if !r.Has(CoreOwner) || !r.Has(4) || r.Has(1<<levels) {
		t.Error("Has is wrong about the owners that have a key")
	}
}

// TestPuncture removes keys one after another. Each is gone for good, and all other keys stay
// the same, also those of future owners.
func TestPuncture(t *testing.T) {
	sample := []uint32{0, 1, 2, 3, 4, 7, 8, 100, 1<<23 - 1, 1 << 23, 1<<23 + 1, 1<<levels - 2, 1<<levels - 1}
	keys, gone := fixed, map[uint32]bool{}
	for _, o := range []uint32{3, 2, 2, 0, 1, 1 << 23, 1<<levels - 1, 1 << levels, 1<<32 - 1, 100} {
		before := slices.Clone(keys)
		keys = keys.Puncture(o)
		if !slices.Equal(before, before.Puncture(1<<levels)) {
			t.Fatal("an invalid owner can be punctured; want an error")
		}
		gone[o] = true
		for _, s := range sample {
			got, ok := keys.Key(s)
			want, _ := fixed.Key(s)
			if ok == gone[s] || ok && got != want {
				t.Fatalf("after the removal of %v the key of %d is there: %v, unchanged: %v", slices.Sorted(maps.Keys(gone)), s, ok, got == want)
			}
		}
		for _, n := range keys {
			for o := range gone {
				if o>>n.levels == n.owner>>n.levels {
					t.Fatalf("a node of %d levels at %d still yields the removed key of %d", n.levels, n.owner, o)
				}
			}
		}
	}
}

// TestCommon: the common part of two data keys has exactly the keys that are in both, unchanged.
// This holds for any keys removed from either, in any order.
func TestCommon(t *testing.T) {
	sample := []uint32{0, 1, 2, 3, 4, 7, 8, 100, 1 << 23, 1<<levels - 1}
	of := func(owners ...uint32) DataKeys {
		keys := fixed
		for _, o := range owners {
			keys = keys.Puncture(o)
		}
		return keys
	}
	for _, c := range [][2]DataKeys{{fixed, fixed}, {fixed, of(3)}, {of(3), of(2)}, {of(3, 2), of(2)}, {of(1, 1<<23), of(100, 8)},
		{of(sample...), fixed}, {nil, fixed}, {nil, nil}, {of(2, 3), of(3, 2)}} {
		for _, common := range []DataKeys{c[0].Common(c[1]), c[1].Common(c[0])} {
			for _, o := range sample {
				_, first := c[0].Key(o)
				_, second := c[1].Key(o)
				got, ok := common.Key(o)
				if want, _ := fixed.Key(o); ok != (first && second) || ok && got != want {
					t.Errorf("the key of %d is in the first: %v, in the second: %v, in the common part: %v", o, first, second, ok)
				}
			}
			if !slices.Equal(common, common.Common(common)) {
				t.Error("the common part of data keys with themselves differs from them")
			}
		}
	}
}

// TestPunctureLeavesNothing: no node on the path to a removed key is left, neither in memory nor
// in the sealed file.
func TestPunctureLeavesNothing(t *testing.T) {
	const owner = 0x123456
	var path [][]byte
	n := fixed[0]
	for path = append(path, n.seed[:]); n.levels > 0; path = append(path, bytes.Clone(n.seed[:])) {
		n = n.below(owner)
	}
	k := Derive(Root{1}, StoreID{1})
	keys := fixed.Puncture(owner)
	plain, err := k.wrap(Salt{1}).Open(nil, Nonce(0), k.SealDataKeys(Salt{1}, 1, keys)[SaltSize:], nil)
	if err != nil || len(path) != levels+1 || len(keys) != levels {
		t.Fatal(err, len(path), len(keys))
	}
	for i, seed := range path {
		if bytes.Contains(plain, seed) {
			t.Errorf("the seed of a node with %d levels below it is left", levels-i)
		}
	}
}

// TestPunctureAll removes all keys of a small tree.
func TestPunctureAll(t *testing.T) {
	keys := DataKeys{{0, 4, [KeySize]byte{5}}}
	for o := range uint32(16) {
		o = o * 7 % 16
		if _, ok := keys.Key(o); !ok {
			t.Fatalf("the key of %d is gone before its removal", o)
		}
		keys = keys.Puncture(o)
	}
	if len(keys) != 0 {
		t.Errorf("%d nodes are left after the removal of all keys; want 0", len(keys))
	}
	k := Derive(Root{1}, StoreID{1})
	if _, ok := k.OpenDataKeys(3, k.SealDataKeys(Salt{2}, 1, keys)); !ok || len(k.Data()) != 0 {
		t.Errorf("sealed data keys without nodes are read as %v, %v", k.Data(), ok)
	}
}

// TestDataKeysAreKept: sealed data keys open unchanged, and no altered bytes open.
func TestDataKeysAreKept(t *testing.T) {
	k := Derive(Root{1}, StoreID{1})
	k.Secrets = Secrets{Own: [KeySize]byte{5}, Core: [KeySize]byte{6}, Next: [KeySize]byte{7}}
	for _, keys := range []DataKeys{fixed, fixed.Puncture(1), fixed.Puncture(1).Puncture(2).Puncture(99)} {
		sealed := k.SealDataKeys(Salt{3}, 1<<40, keys)
		again := Derive(Root{1}, StoreID{1})
		if generation, ok := again.OpenDataKeys(3, sealed); !ok || generation != 1<<40 || !slices.Equal(again.Data(), keys) || again.Secrets != k.Secrets {
			t.Fatalf("%d of %d nodes are read back, the secrets are equal: %v, opened: %v", len(again.Data()), len(keys), again.Secrets == k.Secrets, ok)
		}
		if _, ok := again.OpenDataKeys(2, sealed); ok {
			t.Fatal("a file of version 3 is read as version 2")
		}
		for i := range sealed {
			bad := bytes.Clone(sealed)
			bad[i] ^= 1 << (i % 8)
			if _, ok := k.OpenDataKeys(3, bad); ok {
				t.Fatalf("sealed data keys open with byte %d altered", i)
			}
			if _, ok := k.OpenDataKeys(3, sealed[:i]); ok {
				t.Fatalf("sealed data keys open when cut to %d bytes", i)
			}
		}
		for name, other := range map[string]*Keys{"root key": Derive(Root{2}, StoreID{1}), "store": Derive(Root{1}, StoreID{2})} {
			if _, ok := other.OpenDataKeys(3, sealed); ok {
				t.Errorf("another %s opens the sealed data keys", name)
			}
		}
	}
	odd := k.wrap(Salt{4}).Seal((&Salt{4})[:], Nonce(0), make([]byte, generationSize+secretsSize+nodeSize+1), nil)
	if _, ok := k.OpenDataKeys(3, odd); ok {
		t.Error("data keys with half a node are accepted")
	}
}

// TestWhatWasTakenAwayIsForgotten: with a key, the cache loses all keys derived from it, also
// those that others derive meanwhile.
func TestWhatWasTakenAwayIsForgotten(t *testing.T) {
	r := with(fixed)
	sealed := r.Bodies(5, Salt{1}).Seal(nil, Nonce(1), []byte("text"), nil)
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for i := range 300 {
				r.Bodies(5, Salt{byte(i)})
				r.Bodies(6, Salt{byte(i)})
			}
		})
	}
	r.Use(fixed.Puncture(5))
	if r.Bodies(5, Salt{1}) != nil {
		t.Error("the removed key is still there")
	}
	others.Wait()
	if table := r.ready.table.Load(); table != nil {
		for i := range table {
			if k := table[i].Load(); k != nil && k.owner == 5 {
				t.Error("the cache keeps a key derived from the removed one")
			}
		}
	}
	if a := r.Bodies(6, Salt{1}); a == nil {
		t.Error("the removal also removed another owner's key")
	} else if _, err := a.Open(nil, Nonce(1), sealed, nil); err == nil {
		t.Error("another owner's key opens a text of the removed owner")
	}
}

// FuzzPuncture removes any keys, in any order.
func FuzzPuncture(f *testing.F) {
	f.Add([]byte{0, 0, 1, 0, 0, 2, 255, 255, 255}, uint32(1))
	f.Fuzz(func(t *testing.T, list []byte, probe uint32) {
		keys, gone := fixed, probe >= 1<<levels
		for o := range slices.Chunk(list[:min(len(list), 90)], 3) {
			owner := uint32(o[0]) << 16
			for i, b := range o[1:] {
				owner |= uint32(b) << (8 - 8*i)
			}
			keys, gone = keys.Puncture(owner), gone || owner == probe
		}
		got, ok := keys.Key(probe)
		if want, _ := fixed.Key(probe); ok == gone || ok && got != want {
			t.Fatalf("the key of %d is there: %v; it was removed: %v", probe, ok, gone)
		}
	})
}
