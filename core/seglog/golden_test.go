package seglog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"motte/internal/testutil"
)

// golden reads a store from a file. Each line has a file name, and its bytes in hexadecimal.
func golden(t testing.TB, file string) *disk {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	testutil.Must(t, err)
	d := newDisk()
	for line := range strings.Lines(string(text)) {
		name, data, _ := strings.Cut(strings.TrimSpace(line), " ")
		d.files[name], err = hex.DecodeString(data)
		testutil.Must(t, err)
	}
	return d
}

// TestGoldenStore reads golden stores of version 3: with two checkpoints, with removed segments
// and relocated records, and with records of an erased owner. The data keys of one have version
// 2, and those of the other version 3. The test writes the latter again, byte for byte.
func TestGoldenStore(t *testing.T) {
	d := settled(t)
	w := mustOpen(t, d, 5)
	testutil.Must(t, w.l.Erase(bob))
	if testutil.Updating() {
		var b strings.Builder
		for _, name := range slices.Sorted(maps.Keys(d.files)) {
			fmt.Fprintf(&b, "%s %x\n", name, d.files[name])
		}
		testutil.Must(t, os.WriteFile(filepath.Join("testdata", "store-v3-keys-v3.hex"), []byte(b.String()), 0o644))
	}
	stored := golden(t, "store-v3-keys-v3.hex")
	if !maps.EqualFunc(d.files, stored.files, bytes.Equal) {
		t.Error("the store is now written with other bytes than the golden one")
	}
	readsGolden(t, stored, w)
	old := golden(t, "store-v3.hex")
	w, err := open(old.clone(), 5)
	testutil.Must(t, err)
	readsGolden(t, old, w)
	if w.l.keys.Own != root {
		t.Error("the secrets of data keys of version 2 do not follow from the root key")
	}
	testutil.Must(t, w.l.Erase(bob)) // writes the data keys, in the newest version
	readsGolden(t, w.disk, w)
	for _, name := range KeysNames {
		if w.disk.files[name][4] != KeysVersion {
			t.Errorf("%s is of version %d", name, w.disk.files[name][4])
		}
	}
}

// readsGolden reads a golden store from both checkpoints. It must have the state of w.
func readsGolden(t *testing.T, stored *disk, w *world) {
	t.Helper()
	for _, n := range w.l.Checkpoints()[:2] {
		again, err := openFrom(stored, 9, n)
		testutil.Must(t, err)
		if again.l.Position() != w.l.Position() || !maps.Equal(again.objects, w.objects) {
			t.Errorf("from checkpoint %d: %v, %d objects", n, again.l.Position(), len(again.objects))
		}
		if readable, gone := ofOwner(t, again, alice); readable == 0 || gone > 0 {
			t.Errorf("from checkpoint %d: %d of hers are readable, %d are gone", n, readable, gone)
		}
		if readable, gone := ofOwner(t, again, bob); readable > 0 || gone == 0 {
			t.Errorf("from checkpoint %d: %d of his are readable, %d are gone", n, readable, gone)
		}
	}
}

// TestOtherVersions: stores of versions 1 and 2, which no release wrote, are refused by name. So
// is a store of a future version. No file of them is changed.
func TestOtherVersions(t *testing.T) {
	for _, version := range []byte{1, 2, 4} {
		d := settled(t)
		for _, name := range d.names(segmentSuffix) {
			d.files[name][4] = version
		}
		before := d.clone()
		d.calls = nil
		_, err := Open(d, root, random{}.Read, nil)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("version %d", version)) || !strings.Contains(err.Error(), ".seg") {
			t.Errorf("version %d: %v", version, err)
		}
		if errors.Is(err, ErrDamaged) {
			t.Errorf("version %d is reported as damage; want ErrVersion", version)
		}
		if len(d.calls) > 0 || !maps.EqualFunc(d.files, before.files, bytes.Equal) {
			t.Errorf("a refused store of version %d was changed by %v", version, d.calls)
		}
	}
}
