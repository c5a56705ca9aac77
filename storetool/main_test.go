// Package storetool_test tests the tools that work on a store without its Core, with real
// servers: backups of a busy server, restored stores, erasures, and damage.
package storetool_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"motte/client"
	"motte/host/sandbox"
	"motte/internal/testutil"
	"motte/mottetest"
	"motte/storetool/backup"
	"motte/storetool/fsck"
	"motte/storetool/keyexport"
	"motte/storetool/restore"
)

func TestMain(m *testing.M) {
	sandbox.ReexecInit()
	os.Exit(m.Run())
}

// testServer is a running server. It ends with the test at the latest.
type testServer struct {
	*mottetest.Server
	t    *testing.T
	stop func()
}

// serve starts a server whose data is in dir/data.
func serve(t *testing.T, dir string) *testServer {
	t.Helper()
	l, err := mottetest.Start(dir, testutil.Executables(t))
	if err != nil {
		text, _ := os.ReadFile(filepath.Join(dir, "server.log"))
		t.Fatalf("%v\n%s", err, text)
	}
	s := &testServer{Server: l, t: t}
	stopped := false
	s.stop = func() {
		if !stopped {
			stopped = true
			if err := l.Stop(); err != nil {
				t.Errorf("the server stopped with %v", err)
			}
		}
	}
	t.Cleanup(s.stop)
	return s
}

// dial connects as the administrator, or with the given profile.
func (s *testServer) dial(as ...*client.Profile) *client.Client {
	s.t.Helper()
	p, err := s.Profile()
	if err != nil {
		s.t.Fatal(err)
	}
	if len(as) > 0 {
		as[0].Address, as[0].CoreKey = p.Address, p.CoreKey
		p = as[0]
	}
	p.Heads = nil // a restored store may lack the remembered head
	c, err := client.Dial(context.Background(), p)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// take makes a backup into a directory.
func take(t *testing.T, s *testServer, to string) *backup.Report {
	t.Helper()
	r, err := backup.ToDirectory(context.Background(), s.Dir, to, backup.Options{Now: time.Now()})
	if err != nil {
		t.Fatalf("back up: %v", err)
	}
	if r.Unclear {
		t.Error("the backup reports unrecognised bytes after the newest record; want none")
	}
	return r
}

// export exports the keys, and reads the export.
func export(t *testing.T, s *testServer) *keyexport.Keys {
	t.Helper()
	k, err := keyexport.Read(s.Dir, filepath.Join(s.Dir, "root.key"), time.Now())
	testutil.Must(t, err)
	id, err := age.GenerateX25519Identity()
	testutil.Must(t, err)
	r, w := io.Pipe()
	go func() { w.CloseWithError(k.Write(w, true, id.Recipient())) }()
	again, err := keyexport.Open(r, id)
	testutil.Must(t, err)
	return again
}

// restored restores dir/data from a backup in a directory, or in an archive.
func restored(t *testing.T, keys *keyexport.Keys, from string, archive io.Reader) (dir string, r *restore.Report) {
	t.Helper()
	dir = t.TempDir()
	data := filepath.Join(dir, "data")
	r, err := restore.Run(context.Background(), restore.Config{From: from, Archive: archive, Keys: keys, Dir: data,
		RootKey: filepath.Join(data, "root.key")})
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return dir, r
}

// check verifies the store in dir/data.
func check(t *testing.T, dir string, keys *keyexport.Keys) *fsck.Report {
	t.Helper()
	s, err := fsck.Open(filepath.Join(dir, "data"), keys.Root, false)
	testutil.Must(t, err)
	r, err := s.Check(context.Background(), nil)
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatalf("verify: %v", err)
	}
	return r
}

// lend copies the administrator's profile into a restored store, since no backup has it.
func lend(t *testing.T, s *testServer, dir string) {
	t.Helper()
	p, err := os.ReadFile(filepath.Join(s.Dir, "admin.profile"))
	testutil.Must(t, err)
	testutil.Must(t, os.WriteFile(filepath.Join(dir, "data", "admin.profile"), p, 0o600))
}

// contents lists the objects of a collection, by name.
func contents(t *testing.T, c *client.Client, collection string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for o, err := range c.List(context.Background(), collection) {
		testutil.Must(t, err)
		all[o.Name] = string(o.Data)
	}
	return all
}

// noise returns a line, followed by n random bytes.
func noise(line string, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.Read(p)
	return append([]byte(line+"\n"), p...)
}

// line returns the line before the noise.
func line(data string) string {
	text, _, _ := strings.Cut(data, "\n")
	return text
}
