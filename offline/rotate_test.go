package offline_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"motte/core/log"
	"motte/offline/escrow"
	"motte/offline/rotate"
)

// TestBackupsAndExportsOutliveARotation: of the root key. Each backup opens with each export,
// older or newer, and who was erased before stays so.
func TestBackupsAndExportsOutliveARotation(t *testing.T) {
	s, admin, alice := peopled(t)
	before := filepath.Join(t.TempDir(), "backup")
	take(t, s, before)
	exports := []*escrow.Keys{export(t, s)}
	put(t, admin, "later", "of the administrator")
	s.stop()

	root := filepath.Join(s.Dir, "root.key")
	next := filepath.Join(t.TempDir(), "next.key")
	must(t, rotate.Root(s.Dir, root, next))
	if err := rotate.Root(s.Dir, root, next); !errors.Is(err, rotate.ErrDone) {
		t.Errorf("again: %v", err)
	}
	if _, err := escrow.Read(s.Dir, root, exports[0].Made); !errors.Is(err, escrow.ErrKeys) {
		t.Errorf("the root key before: %v", err)
	}
	must(t, os.Rename(next, root))

	dir := filepath.Dir(s.Dir)
	s = serve(t, dir)
	if got := contents(t, s.dial(alice), "people"); len(got) != 3 {
		t.Errorf("alice sees %q", got)
	}
	after := filepath.Join(t.TempDir(), "backup")
	take(t, s, after)
	exports = append(exports, export(t, s))
	if exports[0].Root == exports[1].Root || exports[0].CoreKey() != exports[1].CoreKey() {
		t.Error("the root key is the same, or the Core's key is another")
	}
	for i, keys := range exports {
		for from, objects := range map[string]int{before: 2, after: 3} {
			dir, r := restored(t, keys, from, nil)
			if v := check(t, dir, keys); v.Damaged() || v.Objects != objects || r.Erased {
				t.Errorf("export %d: %+v", i, v)
			}
		}
	}
	must(t, s.dial().ErasePrincipal(context.Background(), alice.Principal()))
	s.stop()
	must(t, rotate.Root(s.Dir, root, next))
	keys, err := escrow.Read(s.Dir, next, exports[0].Made)
	must(t, err)
	_, r := restored(t, keys, after, nil)
	if !r.Erased {
		t.Error("who was erased before the rotation is there behind it")
	}
}

// TestARotationCutShort: a crash behind either copy leaves a store that opens; done again,
// it is done.
func TestARotationCutShort(t *testing.T) {
	s, _, _ := peopled(t)
	s.stop()
	root, next := filepath.Join(s.Dir, "root.key"), filepath.Join(t.TempDir(), "next.key")
	whole := make(map[string][]byte)
	for _, name := range log.KeysNames {
		p, err := os.ReadFile(filepath.Join(s.Dir, name))
		must(t, err)
		whole[name] = p
	}
	opens := func(rootKey string) bool {
		_, err := escrow.Read(s.Dir, rootKey, time.Now())
		if err != nil && !errors.Is(err, escrow.ErrKeys) {
			t.Error(err)
		}
		return err == nil
	}
	for _, name := range log.KeysNames {
		must(t, rotate.Root(s.Dir, root, next))
		if opens(root) || !opens(next) {
			t.Fatalf("done: opens with the key before: %v, with the next one: %v", opens(root), opens(next))
		}
		must(t, os.WriteFile(filepath.Join(s.Dir, name), whole[name], 0o600))
		if !opens(root) || !opens(next) {
			t.Fatalf("%s is not written: opens with the key before: %v, with the next one: %v", name, opens(root), opens(next))
		}
	}
	must(t, os.Remove(root))
	must(t, rotate.Root(s.Dir, root, next))
	if !opens(next) {
		t.Error("without the key before, it is not finished")
	}
	if err := rotate.Root(s.Dir, root, filepath.Join(t.TempDir(), "third.key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a key that opens the store: %v", err)
	}
}
