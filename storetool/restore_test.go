package storetool_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"motte/client"
	"motte/core/model"
	"motte/internal/testutil"
	"motte/mottetest"
	"motte/storetool/backup"
	"motte/storetool/keyexport"
	"motte/storetool/restore"
)

// peopled returns a server with a collection, in which the administrator and alice have put
// objects.
func peopled(t *testing.T) (s *testServer, admin *client.Client, alice *client.Profile) {
	t.Helper()
	ctx := context.Background()
	s = serve(t, t.TempDir())
	admin = s.dial()
	testutil.Must(t, admin.CreateCollection(ctx, "people"))
	key, id, err := mottetest.NewPrincipal(ctx, admin, "alice")
	testutil.Must(t, err)
	testutil.Must(t, admin.Grant(ctx, "people", id, model.RightRead|model.RightWrite))
	alice = &client.Profile{Key: key}
	put(t, s.dial(alice), "hers", "of alice")
	put(t, admin, "his", "of the administrator")
	return s, admin, alice
}

func put(t *testing.T, c *client.Client, name, data string) {
	t.Helper()
	_, err := c.Put(context.Background(), "people", []byte(data), client.Name(name))
	testutil.Must(t, err)
}

// TestRestoredStoreIsTheStore: all principals can continue, with the same Core key.
func TestRestoredStoreIsTheStore(t *testing.T) {
	s, admin, alice := peopled(t)
	to := filepath.Join(t.TempDir(), "backup")
	take(t, s, to)
	keys := export(t, s)
	put(t, admin, "later", "not in the backup")
	p, err := s.Profile()
	testutil.Must(t, err)
	if key := keys.CoreKey(); !bytes.Equal(key[:], p.CoreKey) {
		t.Error("the export has another Core key than the store")
	}
	dir, r := restored(t, keys, to, nil)
	if r.Erased {
		t.Error("the report says that principals were erased; none was")
	}
	if v := check(t, dir, keys); v.Damaged() || v.Objects != 2 {
		t.Errorf("restored: %+v", v)
	}
	lend(t, s, dir)
	again := serve(t, dir)
	c := again.dial(alice) // fails if the Core has another key
	if got := contents(t, c, "people"); len(got) != 2 || got["hers"] != "of alice" {
		t.Errorf("alice sees %q", got)
	}
	put(t, c, "more", "of alice")
}

// TestNeitherHalfIsEnough: neither a backup alone nor an export alone opens any data, and a
// backup has no file with a key.
func TestNeitherHalfIsEnough(t *testing.T) {
	s, _, _ := peopled(t)
	to := filepath.Join(t.TempDir(), "backup")
	take(t, s, to)
	var archive bytes.Buffer
	_, err := backup.ToTar(context.Background(), s.Dir, &archive, backup.Options{Now: time.Now()})
	testutil.Must(t, err)
	root, err := os.ReadFile(filepath.Join(s.Dir, "root.key"))
	testutil.Must(t, err)
	secret, err := os.ReadFile(filepath.Join(s.Dir, "data.keys"))
	testutil.Must(t, err)
	entries, err := os.ReadDir(to)
	testutil.Must(t, err)
	for _, e := range entries {
		p, err := os.ReadFile(filepath.Join(to, e.Name()))
		testutil.Must(t, err)
		for what, key := range map[string][]byte{"the root key": root, "the data keys": secret} {
			if bytes.Contains(p, key) || bytes.Contains(archive.Bytes(), key) {
				t.Errorf("the file %s of the backup holds %s", e.Name(), what)
			}
		}
		for _, word := range []string{"of alice", "hers", "people"} {
			if bytes.Contains(p, []byte(word)) {
				t.Errorf("the file %s of the backup has %q in the clear", e.Name(), word)
			}
		}
	}
	keys := export(t, s)
	other := *keys
	other.Root[0] ^= 1
	dir := filepath.Join(t.TempDir(), "data")
	cfg := restore.Config{From: to, Keys: &other, Dir: dir, RootKey: filepath.Join(dir, "root.key")}
	if _, err := restore.Run(context.Background(), cfg); err == nil {
		t.Error("a backup was restored with another root key; want an error")
	}
	cfg.Keys, cfg.From = keys, t.TempDir()
	if _, err := restore.Run(context.Background(), cfg); !errors.Is(err, backup.ErrManifest) {
		t.Errorf("a restore without a backup returns %v; want an error", err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) > 0 {
		t.Errorf("a failed restore left the files %v", entries)
	}
	// The export can't be opened by an identity that is not a recipient.
	id, err := age.GenerateX25519Identity()
	testutil.Must(t, err)
	stranger, err := age.GenerateX25519Identity()
	testutil.Must(t, err)
	var text bytes.Buffer
	testutil.Must(t, keys.Write(&text, false, id.Recipient()))
	if _, err := keyexport.Open(&text, stranger); err == nil {
		t.Error("an identity that is not a recipient opens the export")
	}
}

// TestErasureReachesBackups: with an export from after an erasure, the erased objects can't be
// opened in any backup, and all other objects can. With an export from before, they can in older
// backups. So the older export must be destroyed.
func TestErasureReachesBackups(t *testing.T) {
	ctx := context.Background()
	s, admin, alice := peopled(t)
	before, after := filepath.Join(t.TempDir(), "before"), filepath.Join(t.TempDir(), "after")
	take(t, s, before)
	old := export(t, s)
	testutil.Must(t, admin.ErasePrincipal(ctx, alice.Principal()))
	put(t, admin, "later", "after the erasure")
	take(t, s, after)
	young := export(t, s)

	for _, c := range []struct {
		name   string
		from   string
		keys   *keyexport.Keys
		erased bool
		want   string
	}{
		{"old backup, new export", before, young, true, "his"},
		{"new backup, new export", after, young, false, "his later"},
		{"new backup, old export", after, old, false, "his later"},
		{"old backup, old export", before, old, false, "hers his"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, r := restored(t, c.keys, c.from, nil)
			if r.Erased != c.erased {
				t.Errorf("erased: %v", r.Erased)
			}
			if v := check(t, dir, c.keys); v.Damaged() {
				t.Errorf("damaged: %+v", v)
			}
			lend(t, s, dir)
			again := serve(t, dir)
			a := again.dial()
			got := contents(t, a, "people")
			for name := range got {
				if !strings.Contains(c.want, name) {
					t.Errorf("the restored store has the file %s", name)
				}
			}
			if len(got) != len(strings.Fields(c.want)) {
				t.Errorf("the restored store holds %q, want %s", got, c.want)
			}
			p, err := again.Profile()
			testutil.Must(t, err)
			hers := *alice
			hers.Address, hers.CoreKey = p.Address, p.CoreKey
			if cl, err := client.Dial(ctx, &hers); (err == nil) != strings.Contains(c.want, "hers") {
				t.Errorf("alice's connection returns %v; want success only if her objects are restored", err)
			} else if err == nil {
				cl.Close()
			}
			put(t, a, "more", "the store takes writes")
			again.stop()
			if v := check(t, dir, c.keys); v.Damaged() {
				t.Errorf("after the restored store was served it is damaged: %+v", v)
			}
		})
	}
}

// TestRestoreLeavesAlone checks that a restore changes no existing file, and refuses an altered
// backup.
func TestRestoreLeavesAlone(t *testing.T) {
	s, _, _ := peopled(t)
	to := filepath.Join(t.TempDir(), "backup")
	r := take(t, s, to)
	keys := export(t, s)
	dir := t.TempDir()
	testutil.Must(t, os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600))
	cfg := restore.Config{From: to, Keys: keys, Dir: dir, RootKey: filepath.Join(t.TempDir(), "root.key")}
	if _, err := restore.Run(context.Background(), cfg); !errors.Is(err, restore.ErrNotEmpty) {
		t.Errorf("a restore into a directory with a file returns %v; want an error", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "mine")); err != nil {
		t.Error(err)
	}
	cfg.Dir = filepath.Join(t.TempDir(), "data")
	path := filepath.Join(to, r.Manifest.Files[0].File)
	p, err := os.ReadFile(path)
	testutil.Must(t, err)
	p[len(p)/2] ^= 1
	testutil.Must(t, os.WriteFile(path, p, 0o600))
	if _, err := restore.Run(context.Background(), cfg); !errors.Is(err, backup.ErrAltered) {
		t.Errorf("a restore of an altered backup returns %v; want an error", err)
	}
	testutil.Must(t, os.Truncate(path, int64(len(p)-8)))
	if _, err := restore.Run(context.Background(), cfg); !errors.Is(err, backup.ErrAltered) {
		t.Errorf("a restore of an incomplete backup returns %v; want an error", err)
	}
	for _, name := range []string{cfg.Dir, cfg.RootKey} {
		if entries, err := os.ReadDir(name); err == nil && len(entries) > 0 {
			t.Errorf("after a failed restore %s holds %v", name, entries)
		}
	}
	if _, err := os.Stat(cfg.RootKey); err == nil {
		t.Error("a failed restore left the root key")
	}
	// The keys of another store.
	cfg.Keys = export(t, serve(t, t.TempDir()))
	take(t, s, filepath.Join(t.TempDir(), "again"))
	if _, err := restore.Run(context.Background(), cfg); err == nil {
		t.Error("a backup was restored with the keys of another store; want an error")
	}
}
