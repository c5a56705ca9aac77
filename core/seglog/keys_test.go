package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"

	"motte/core/seal"
	"motte/internal/testutil"
)

// ofOwner counts the objects of an owner that can be read, and those that can't.
func ofOwner(t testing.TB, w *world, owner uint32) (readable, gone int) {
	t.Helper()
	for _, o := range w.objects {
		if alice+uint32(o.lsn)%2 != owner {
			continue
		}
		switch r, _, err := w.l.Read(nil, o.at); {
		case err == nil && equal(r, record(o.lsn)):
			readable++
		case errors.Is(err, ErrMoved):
			gone++
		default:
			t.Errorf("object of owner %d: %v", owner, err)
		}
	}
	return readable, gone
}

// TestErase: what an owner put can't be read any more, at once and after restarts,
// from the log and from checkpoints, and that is no damage; nor can the owner put
// anything more. Everybody else is as before.
func TestErase(t *testing.T) {
	d := settled(t)
	w := mustOpen(t, d, 9)
	hers, _ := ofOwner(t, w, alice)
	his, _ := ofOwner(t, w, bob)
	if hers == 0 || his == 0 {
		t.Fatal("nothing is there to be erased")
	}
	erased := func(what string, w *world) {
		t.Helper()
		if readable, gone := ofOwner(t, w, alice); readable != 0 || gone != hers {
			t.Errorf("%s: %d of hers are readable, %d are gone", what, readable, gone)
		}
		if readable, gone := ofOwner(t, w, bob); readable != his || gone != 0 {
			t.Errorf("%s: %d of his are readable, %d are gone", what, readable, gone)
		}
	}
	testutil.Must(t, w.l.Erase(alice))
	erased("at once", w)
	for _, n := range w.l.Checkpoints()[:2] {
		w, err := openFrom(d, 10, n)
		testutil.Must(t, err)
		erased("after a restart", w)
	}
	w, err := open(d, 11)
	testutil.Must(t, err, w.checkpoint(), w.carry(4), w.l.Erase(alice), w.l.Erase(), w.l.Erase(99))
	erased("carried", w)
	w, err = open(d, 12)
	testutil.Must(t, err)
	erased("carried, after a restart", w)
	put := Record{LSN: w.l.Position().LSN + 1, Kind: KindPut, Owner: alice}
	if _, _, err := w.l.Append([]Group{{put}}); err == nil {
		t.Error("she puts something more")
	}
}

// TestErasedObjectsAreGoneFromCopies: from a copy of all that was there before the
// erasure, but for the one file, with that file as it is now.
func TestErasedObjectsAreGoneFromCopies(t *testing.T) {
	d := settled(t)
	backup := d.clone()
	testutil.Must(t, mustOpen(t, d, 9).l.Erase(alice))
	backup.files[KeysNames[0]] = d.files[KeysNames[0]]
	w, err := open(backup, 10)
	testutil.Must(t, err)
	if readable, gone := ofOwner(t, w, alice); readable > 0 || gone == 0 {
		t.Errorf("%d of hers are readable, %d are gone", readable, gone)
	}
	if readable, gone := ofOwner(t, w, bob); readable == 0 || gone > 0 {
		t.Errorf("%d of his are readable, %d are gone", readable, gone)
	}
}

// TestEraseThatFails: nothing is erased, and it can be tried again. A crash leaves
// the file as it was or as it is to be.
func TestEraseThatFails(t *testing.T) {
	d := settled(t)
	w := mustOpen(t, d, 9)
	before := bytes.Clone(d.files[KeysNames[0]])
	d.fail = syscall.ENOSPC
	if err := w.l.Erase(alice); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk: %v", err)
	}
	d.fail = nil
	if w.check(t); !bytes.Equal(before, d.files[KeysNames[0]]) {
		t.Error("the keys are others now")
	}
	testutil.Must(t, w.l.Erase(alice))
	if readable, _ := ofOwner(t, w, alice); readable > 0 {
		t.Errorf("%d of hers are readable", readable)
	}
}

// TestAlteredKeys: whatever bit of both copies is flipped, wherever they are cut, if they
// are missing, or another store's: the log is refused, and a file is named.
func TestAlteredKeys(t *testing.T) {
	good := settled(t)
	testutil.Must(t, mustOpen(t, good, 9).l.Erase(alice))
	p := good.files[KeysNames[0]]
	other := mustOpen(t, newDisk(), 99).disk.files[KeysNames[0]]
	refused := func(what string, p []byte) {
		t.Helper()
		d := good.clone()
		for _, name := range KeysNames {
			if d.files[name] = p; p == nil {
				delete(d.files, name)
			}
		}
		var damage *DamageError
		for _, accept := range []bool{false, true} { // there is nothing to go on with
			if _, err := openWith(d, 9, accept); !errors.As(err, &damage) || damage.File != KeysNames[0] {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, name := range KeysNames {
			if !bytes.Equal(d.files[name], p) {
				t.Errorf("%s: %s was written anew", what, name)
			}
		}
	}
	for i := range p {
		bad := bytes.Clone(p)
		bad[i] ^= 1 << (i % 8)
		if i != 4 { // its version: see TestOtherVersionsOfTheKeys
			refused("a bit flipped", bad)
		}
		refused("cut", p[:i])
	}
	refused("more behind it", append(bytes.Clone(p), 0))
	refused("missing", nil)
	refused("another store's", other)
	refused("another store's under this one's name", slices.Concat(p[:24], other[24:]))
	refused("larger than it can be", make([]byte, maxKeys+1))
}

// TestKeysOfANewStore: it has some before it has a segment. A crash in between leaves
// a store that can be opened; and whatever else is gone, the keys and the identity
// that are there are kept, so that clients can tell, and a backup can be put back.
func TestKeysOfANewStore(t *testing.T) {
	d := newDisk()
	id := mustOpen(t, d, 1).l.store
	first := bytes.Clone(d.files[KeysNames[0]])
	w := mustOpen(t, d, 2)
	if w.l.store != id || len(first) == 0 || !bytes.Equal(first, d.files[KeysNames[0]]) {
		t.Error("the store is another one after a restart")
	}
	testutil.Must(t, w.write(5))
	same(t, w, mustOpen(t, d, 3))
	backup := d.clone()
	for _, name := range d.names(segmentSuffix) {
		delete(d.files, name)
	}
	empty := mustOpen(t, d, 4)
	if at := empty.l.Position(); at.LSN != 0 || empty.l.store != id || !bytes.Equal(first, d.files[KeysNames[0]]) {
		t.Errorf("without its segments it is at record %d, of store %x", at.LSN, empty.l.store)
	}
	maps.Copy(d.files, backup.files)
	same(t, w, mustOpen(t, d, 5))
	d.files[KeysNames[0]], d.files[KeysNames[1]] = first[:20], first[:20]
	for _, name := range d.names(segmentSuffix) {
		delete(d.files, name)
	}
	if _, err := open(d, 6); err == nil || !bytes.Equal(d.files[KeysNames[0]], first[:20]) {
		t.Errorf("half a file of keys: %v", err)
	}
	d = newDisk()
	d.fail = syscall.EIO
	if _, err := open(d, 1); !errors.Is(err, syscall.EIO) || len(d.files) > 0 {
		t.Errorf("on a bad disk: %v; %d files", err, len(d.files))
	}
}

// TestStoreWithoutSegments: where a checkpoint is, there was a store. It is not taken
// for a new one, whose keys would replace those of all that may come back from a
// backup.
func TestStoreWithoutSegments(t *testing.T) {
	d := settled(t)
	for _, name := range d.names(segmentSuffix) {
		delete(d.files, name)
	}
	before := d.clone()
	for _, accept := range []bool{false, true} {
		if _, err := openWith(d, 9, accept); !errors.Is(err, ErrDamaged) {
			t.Errorf("%v", err)
		}
	}
	if !maps.EqualFunc(d.files, before.files, bytes.Equal) {
		t.Error("something was written")
	}
}

// TestOtherVersionsOfTheKeys: keys of a version that is to come are refused by name.
func TestOtherVersionsOfTheKeys(t *testing.T) {
	for _, version := range []byte{0, 1, 4, 255} {
		d := settled(t)
		for _, name := range KeysNames {
			d.files[name][4] = version
		}
		before := d.clone()
		if _, err := open(d, 9); !errors.Is(err, ErrVersion) || errors.Is(err, ErrDamaged) ||
			!strings.Contains(err.Error(), fmt.Sprintf("%s: %v: version %d;", KeysNames[0], ErrVersion, version)) {
			t.Errorf("version %d: %v", version, err)
		}
		if !maps.EqualFunc(d.files, before.files, bytes.Equal) {
			t.Errorf("version %d: something was written", version)
		}
	}
	d := settled(t)
	for _, name := range KeysNames {
		d.files[name][4] = 2 // what it is not
	}
	if _, err := open(d, 9); !errors.Is(err, ErrDamaged) {
		t.Errorf("version 3 that is said to be version 2: %v", err)
	}
}

// under returns the content of a file of the keys, sealed under a root key.
func (w *world) under(root seal.Root, change func(*seal.Secrets)) []byte {
	k := seal.Derive(root, w.l.keys.Store())
	k.Secrets = w.l.keys.Secrets
	if change != nil {
		change(&k.Secrets)
	}
	return SealKeys(k, seal.Salt{byte(root[0])}, w.l.generation+1, w.l.keys.Data())
}

// TestAnotherRootKey: the keys are written again under another root key, one copy after the
// other. A crash in between leaves a store that opens with either; then only with the next.
func TestAnotherRootKey(t *testing.T) {
	d := settled(t)
	w := mustOpen(t, d, 9)
	next := seal.Root{7}
	opens := func(root seal.Root) bool {
		l, err := Open(d.clone(), root, random{rand.New(rand.NewPCG(1, 0))}.Read, nil)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
		return err == nil && l.Keys().Secrets == w.l.keys.Secrets && l.HasKey(alice)
	}
	p := w.under(next, nil)
	for i, name := range KeysNames {
		if !opens(root) || opens(next) != (i > 0) {
			t.Errorf("%d copies are written: opens with the key before: %v, with the next: %v", i, opens(root), opens(next))
		}
		d.files[name] = p
	}
	if opens(root) || !opens(next) {
		t.Errorf("both copies are written: opens with the key before: %v, with the next: %v", opens(root), opens(next))
	}
}

// TestTheNewerSecretsCount: a crash between the two copies leaves the Core's next key, or the
// one before; a data key that was taken away from either copy is gone in both cases.
func TestTheNewerSecretsCount(t *testing.T) {
	for i, name := range KeysNames {
		d := settled(t)
		w := mustOpen(t, d, 9)
		testutil.Must(t, w.l.Erase(alice))
		d.files[name] = w.under(root, func(s *seal.Secrets) { s.Core = [seal.KeySize]byte{1, 2} })
		again, err := open(d, 10)
		testutil.Must(t, err)
		if again.l.keys.Core != [seal.KeySize]byte{1, 2} || again.l.HasKey(alice) || !again.l.HasKey(bob) {
			t.Errorf("copy %d: the older secrets count: %v; keys %v, %v", i, again.l.keys.Core, again.l.HasKey(alice), again.l.HasKey(bob))
		}
		_, err = again.l.watchKeys(map[string]int64{KeysNames[0]: int64(len(d.files[KeysNames[0]])), KeysNames[1]: int64(len(d.files[KeysNames[1]]))})
		if testutil.Must(t, err); !bytes.Equal(d.files[KeysNames[0]], d.files[KeysNames[1]]) {
			t.Errorf("copy %d: they differ still", i)
		}
	}
}
