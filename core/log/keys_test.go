package log

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"syscall"
	"testing"
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
	must(t, w.l.Erase(alice))
	erased("at once", w)
	for _, n := range w.l.Checkpoints()[:2] {
		w, err := openFrom(d, 10, n)
		must(t, err)
		erased("after a restart", w)
	}
	w, err := open(d, 11)
	must(t, err, w.checkpoint(), w.carry(4), w.l.Erase(alice), w.l.Erase(), w.l.Erase(99))
	erased("carried", w)
	w, err = open(d, 12)
	must(t, err)
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
	must(t, mustOpen(t, d, 9).l.Erase(alice))
	backup.files[KeysNames[0]] = d.files[KeysNames[0]]
	w, err := open(backup, 10)
	must(t, err)
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
	must(t, w.l.Erase(alice))
	if readable, _ := ofOwner(t, w, alice); readable > 0 {
		t.Errorf("%d of hers are readable", readable)
	}
}

// TestAlteredKeys: whatever bit of both copies is flipped, wherever they are cut, if they
// are missing, or another store's: the log is refused, and a file is named.
func TestAlteredKeys(t *testing.T) {
	good := settled(t)
	must(t, mustOpen(t, good, 9).l.Erase(alice))
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
		refused("a bit flipped", bad)
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
	must(t, w.write(5))
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
