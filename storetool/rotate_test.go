package storetool_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"motte/core/seal"
	"motte/core/seglog"
	"motte/core/server"
	"motte/internal/testutil"
	"motte/storetool/keyexport"
	"motte/storetool/rotate"
)

// TestBackupsAndExportsOutliveARotation of the root key. Each backup opens with each export,
// older or newer. A principal that was erased before stays erased.
func TestBackupsAndExportsOutliveARotation(t *testing.T) {
	s, admin, alice := peopled(t)
	before := filepath.Join(t.TempDir(), "backup")
	take(t, s, before)
	exports := []*keyexport.Keys{export(t, s)}
	put(t, admin, "later", "of the administrator")
	s.stop()

	root := filepath.Join(s.Dir, "root.key")
	next := filepath.Join(t.TempDir(), "next.key")
	turn(t, s, root, next)
	if _, err := rotate.Root(s.Dir, root, next); !errors.Is(err, rotate.ErrDone) {
		t.Errorf("again: %v", err)
	}
	if _, err := keyexport.Read(s.Dir, root, exports[0].Made); !errors.Is(err, keyexport.ErrKeys) {
		t.Errorf("a key export with the old root key returns %v; want that it does not open the store", err)
	}
	testutil.Must(t, os.Rename(next, root))

	dir := filepath.Dir(s.Dir)
	s = serve(t, dir)
	if got := contents(t, s.dial(alice), "people"); len(got) != 3 {
		t.Errorf("alice sees %q", got)
	}
	after := filepath.Join(t.TempDir(), "backup")
	take(t, s, after)
	exports = append(exports, export(t, s))
	if exports[0].Root == exports[1].Root || exports[0].CoreKey() != exports[1].CoreKey() {
		t.Error("after a rotation the root key must be another, and the Core key the same")
	}
	for i, keys := range exports {
		for from, objects := range map[string]int{before: 2, after: 3} {
			dir, r := restored(t, keys, from, nil)
			if v := check(t, dir, keys); v.Damaged() || v.Objects != objects || r.Erased {
				t.Errorf("export %d: %+v", i, v)
			}
		}
	}
	testutil.Must(t, s.dial().ErasePrincipal(context.Background(), alice.Principal()))
	s.stop()
	turn(t, s, root, next)
	keys, err := keyexport.Read(s.Dir, next, exports[0].Made)
	testutil.Must(t, err)
	_, r := restored(t, keys, after, nil)
	if !r.Erased {
		t.Error("the restore does not report the principal that was erased before the rotation")
	}
}

// TestARotationCutShort: after a crash between the copies, the store opens. A second run
// finishes the rotation.
func TestARotationCutShort(t *testing.T) {
	s, _, _ := peopled(t)
	s.stop()
	root, next := filepath.Join(s.Dir, "root.key"), filepath.Join(t.TempDir(), "next.key")
	whole := make(map[string][]byte)
	for _, name := range seglog.KeysNames {
		p, err := os.ReadFile(filepath.Join(s.Dir, name))
		testutil.Must(t, err)
		whole[name] = p
	}
	opens := func(rootKey string) bool {
		_, err := keyexport.Read(s.Dir, rootKey, time.Now())
		if err != nil && !errors.Is(err, keyexport.ErrKeys) {
			t.Error(err)
		}
		return err == nil
	}
	for _, name := range seglog.KeysNames {
		turn(t, s, root, next)
		if opens(root) || !opens(next) {
			t.Fatalf("a finished rotation opens with the old key: %v, with the new key: %v; want false, true", opens(root), opens(next))
		}
		testutil.Must(t, os.WriteFile(filepath.Join(s.Dir, name), whole[name], 0o600))
		if !opens(root) || !opens(next) {
			t.Fatalf("without the write of %s the store opens with the old key: %v, with the new key: %v", name, opens(root), opens(next))
		}
	}
	testutil.Must(t, os.Remove(root))
	turn(t, s, root, next)
	if !opens(next) {
		t.Error("a second run without the old key does not finish the rotation")
	}
	if _, err := rotate.Root(s.Dir, root, filepath.Join(t.TempDir(), "third.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a run without a key that opens the store returns %v; want an error", err)
	}
}

// turn rotates the root key of a store whose secrets do not follow from it.
func turn(t *testing.T, s *testServer, root, next string) {
	t.Helper()
	if remains, err := rotate.Root(s.Dir, root, next); err != nil || remains {
		t.Fatalf("rotate returns %v; the secrets follow from the old key: %v; want false", err, remains)
	}
}

// TestAStoreOfOlderKeys: for a store whose keys have version 2, the rotation reports that the
// secrets still follow from the first root key.
func TestAStoreOfOlderKeys(t *testing.T) {
	text, err := os.ReadFile("../core/seglog/testdata/store-v3.hex")
	testutil.Must(t, err)
	dir := t.TempDir()
	for line := range strings.Lines(string(text)) {
		name, data, _ := strings.Cut(strings.TrimSpace(line), " ")
		p, err := hex.DecodeString(data)
		testutil.Must(t, err)
		testutil.Must(t, os.WriteFile(filepath.Join(dir, name), p, 0o600))
	}
	root, next := filepath.Join(t.TempDir(), "root.key"), filepath.Join(t.TempDir(), "next.key")
	testutil.Must(t, server.WriteRootKey(root, seal.Root{1, 2, 3}))
	before, err := keyexport.Read(dir, root, time.Now())
	testutil.Must(t, err)
	if remains, err := rotate.Root(dir, root, next); err != nil || !remains {
		t.Errorf("rotate returns %v; the secrets follow from the old key: %v; want true", err, remains)
	}
	after, err := keyexport.Read(dir, next, time.Now())
	testutil.Must(t, err)
	if after.CoreKey() != before.CoreKey() {
		t.Error("the rotation of the root key changed the Core key")
	}
	k, err := rotate.Replace(dir, next)
	testutil.Must(t, err)
	again, err := keyexport.Read(dir, next, time.Now())
	if testutil.Must(t, err); again.CoreKey() == before.CoreKey() || k.Next != nil || string(k.Now) != string(func() []byte { c := again.CoreKey(); return c[:] }()) {
		t.Error("the rotation of the Core key did not change it")
	}
}

// TestARotationOfTheCoresKeyCutShort: after a crash between the copies, a second run finishes
// the step, and returns its keys.
func TestARotationOfTheCoresKeyCutShort(t *testing.T) {
	s, _, _ := peopled(t)
	s.stop()
	root, second := filepath.Join(s.Dir, "root.key"), filepath.Join(s.Dir, seglog.KeysNames[1])
	for name, step := range map[string]func(string, string) (rotate.CoreKeys, error){"begin": rotate.Begin, "finish": rotate.Finish} {
		if name == "finish" {
			_, _ = rotate.Begin(s.Dir, root) // an error says that it has begun already
		}
		before, err := os.ReadFile(second)
		testutil.Must(t, err)
		want, err := step(s.Dir, root)
		testutil.Must(t, err)
		testutil.Must(t, os.WriteFile(second, before, 0o600))
		got, err := step(s.Dir, root)
		if err != nil || !got.Now.Equal(want.Now) || !bytes.Equal(got.Next, want.Next) {
			t.Errorf("%s, again: %v", name, err)
		}
		testutil.Must(t, os.Remove(filepath.Join(s.Dir, seglog.KeysNames[0])))
		keys, err := keyexport.Read(s.Dir, root, time.Now())
		if testutil.Must(t, err); keys.CoreKey() != [32]byte(want.Now) {
			t.Errorf("%s: the second copy has the old key", name)
		}
		testutil.Must(t, os.WriteFile(filepath.Join(s.Dir, seglog.KeysNames[0]), keys.Data, 0o600))
		if _, err := step(s.Dir, root); err == nil {
			t.Errorf("%s: a further run does the step again; want that it is done", name)
		}
	}
}

// TestNoKeyOfAnotherUserBecomesTheRootKey: another user may put a key where the next root key
// should be made. Such a key must be refused, since that user could open the store.
func TestNoKeyOfAnotherUserBecomesTheRootKey(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a file of another user")
	}
	s, _, _ := peopled(t)
	s.stop()
	next := filepath.Join(t.TempDir(), "next.key")
	testutil.Must(t, server.WriteRootKey(next, seal.Root{1}))
	testutil.Must(t, os.Chown(next, 65534, 65534))
	if _, err := rotate.Root(s.Dir, filepath.Join(s.Dir, "root.key"), next); err == nil {
		t.Error("a key of another user becomes the root key; want an error")
	}
}
