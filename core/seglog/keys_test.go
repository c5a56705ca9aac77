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

// ofOwner counts an owner's objects that can be read, and those that can't.
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

// TestErase: an erased owner's objects can't be read any more, immediately and after restarts,
// from the log and from checkpoints. That is not damage. The owner can't put further objects.
// Other owners are not affected.
func TestErase(t *testing.T) {
	d := settled(t)
	w := mustOpen(t, d, 9)
	hers, _ := ofOwner(t, w, alice)
	his, _ := ofOwner(t, w, bob)
	if hers == 0 || his == 0 {
		t.Fatal("the test needs objects of both owners")
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
		t.Error("an erased owner puts another object; want an error")
	}
}

// TestErasedObjectsAreGoneFromCopies: a copy of all files from before the erasure, together with
// the present data keys, does not open erased objects.
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

// TestEraseThatFails: no owner is erased, and another attempt is possible. A crash leaves the
// old or the new file.
func TestEraseThatFails(t *testing.T) {
	d := settled(t)
	w := mustOpen(t, d, 9)
	before := bytes.Clone(d.files[KeysNames[0]])
	d.fail = syscall.ENOSPC
	if err := w.l.Erase(alice); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("an erasure on a full disk returns %v; want ENOSPC", err)
	}
	d.fail = nil
	if w.check(t); !bytes.Equal(before, d.files[KeysNames[0]]) {
		t.Error("a failed erasure changed the file of the data keys")
	}
	testutil.Must(t, w.l.Erase(alice))
	if readable, _ := ofOwner(t, w, alice); readable > 0 {
		t.Errorf("%d of hers are readable", readable)
	}
}

// TestAlteredKeys: if both copies are altered in any bit, cut, missing, or of another store, the
// log is refused, and the error names a file.
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
		for _, accept := range []bool{false, true} { // without the keys, damage can't be accepted
			if _, err := openWith(d, 9, accept); !errors.As(err, &damage) || damage.File != KeysNames[0] {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, name := range KeysNames {
			if !bytes.Equal(d.files[name], p) {
				t.Errorf("%s: a refused log wrote %s again", what, name)
			}
		}
	}
	for i := range p {
		bad := bytes.Clone(p)
		bad[i] ^= 1 << (i % 8)
		if i != 4 { // byte 4 is the version: see TestOtherVersionsOfTheKeys
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

// TestKeysOfANewStore: a store gets its data keys before its first segment. After a crash in
// between, the store can be opened. If all other files are lost, the keys and the store's
// identity stay. So clients notice the loss, and a backup can be restored.
func TestKeysOfANewStore(t *testing.T) {
	d := newDisk()
	id := mustOpen(t, d, 1).l.store
	first := bytes.Clone(d.files[KeysNames[0]])
	w := mustOpen(t, d, 2)
	if w.l.store != id || len(first) == 0 || !bytes.Equal(first, d.files[KeysNames[0]]) {
		t.Error("after a restart the store has another identity")
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
		t.Errorf("an incomplete file of the data keys returns %v; want an error, and the file unchanged", err)
	}
	d = newDisk()
	d.fail = syscall.EIO
	if _, err := open(d, 1); !errors.Is(err, syscall.EIO) || len(d.files) > 0 {
		t.Errorf("a new store on a bad disk returns %v, with %d files; want an error, and no file", err, len(d.files))
	}
}

// TestStoreWithoutSegments: if a checkpoint exists, there was a store. It must not be treated as
// a new one. New keys would replace the keys of segments that a backup may bring back.
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
		t.Error("a refused log wrote to the disk")
	}
}

// TestOtherVersionsOfTheKeys: data keys of a future version are refused by name.
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
			t.Errorf("data keys of version %d were refused, but a file was written", version)
		}
	}
	d := settled(t)
	for _, name := range KeysNames {
		d.files[name][4] = 2 // a wrong version
	}
	if _, err := open(d, 9); !errors.Is(err, ErrDamaged) {
		t.Errorf("data keys of version 3 with the version 2 in their header return %v; want damage", err)
	}
}

// under returns the content of a file of the data keys, sealed under a root key.
func (w *world) under(root seal.Root, change func(*seal.Secrets)) []byte {
	k := seal.Derive(root, w.l.keys.Store())
	k.Secrets = w.l.keys.Secrets
	if change != nil {
		change(&k.Secrets)
	}
	return SealKeys(k, seal.Salt{byte(root[0])}, w.l.generation+1, w.l.keys.Data())
}

// TestAnotherRootKey: the data keys are sealed under another root key, one copy after the other.
// After a crash in between, either root key opens the store. After both, only the next one does.
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
			t.Errorf("with %d copies written, the store opens with the old key: %v, with the next: %v", i, opens(root), opens(next))
		}
		d.files[name] = p
	}
	if opens(root) || !opens(next) {
		t.Errorf("with both copies written, the store opens with the old key: %v, with the next: %v", opens(root), opens(next))
	}
}

// TestTheNewerSecretsCount: a crash between the two copies leaves the Core's next or former key.
// A key that was removed from either copy is gone in both cases.
func TestTheNewerSecretsCount(t *testing.T) {
	for i, name := range KeysNames {
		d := settled(t)
		w := mustOpen(t, d, 9)
		testutil.Must(t, w.l.Erase(alice))
		d.files[name] = w.under(root, func(s *seal.Secrets) { s.Core = [seal.KeySize]byte{1, 2} })
		again, err := open(d, 10)
		testutil.Must(t, err)
		if again.l.keys.Core != [seal.KeySize]byte{1, 2} || again.l.HasKey(alice) || !again.l.HasKey(bob) {
			t.Errorf("copy %d: the Core key is %v; the owners' keys are there: %v, %v", i, again.l.keys.Core, again.l.HasKey(alice), again.l.HasKey(bob))
		}
		_, err = again.l.watchKeys(map[string]int64{KeysNames[0]: int64(len(d.files[KeysNames[0]])), KeysNames[1]: int64(len(d.files[KeysNames[1]]))})
		if testutil.Must(t, err); !bytes.Equal(d.files[KeysNames[0]], d.files[KeysNames[1]]) {
			t.Errorf("copy %d: after a start the copies still differ", i)
		}
	}
}
