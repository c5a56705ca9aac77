package taskpkg

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"motte/internal/testutil"
)

func TestTrustFilesThatAreRefused(t *testing.T) {
	key := newKey(t, "acme").Verifier
	good := fmt.Sprintf(`{"version": 1, "publishers": [{"names": ["near"], "keys": [%q]}]}`, key)
	if _, err := ParseTrust([]byte(good)); err != nil {
		t.Fatal(err)
	}
	altered := key[:len(key)-6] + "AAAAA="
	for _, c := range []struct{ old, new, why string }{
		{`"version": 1`, `"version": 2`, "version is 2"},
		{`"publishers"`, `"publishrs"`, `no member "/publishrs"`},
		{`"names"`, `"name"`, `no member "/publishers/0/name"`},
		{`["near"]`, `[]`, "needs names and keys"},
		{`"names": ["near"], `, ``, "needs names and keys"},
		{`["near"]`, `[""]`, `"" is neither`},
		{`["near"]`, `["Near"]`, `"Near" is neither`},
		{`["near"]`, `["ne*r"]`, `"ne*r" is neither`},
		{`["near"]`, `["**"]`, `"**" is neither`},
		{`["near"]`, `["../*"]`, `"../*" is neither`},
		{`"` + key + `"`, ``, "needs names and keys"},
		{`"` + key + `"`, `"acme"`, "malformed verifier id"},
		{key, altered, "invalid verifier hash"},
		{good, `[]`, "not a JSON object"},
		{good, ``, "not JSON"},
	} {
		text := strings.Replace(good, c.old, c.new, 1)
		if _, err := ParseTrust([]byte(text)); !errors.Is(err, ErrTrust) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s in the place of %s: %v, want: %s", c.new, c.old, err, c.why)
		}
	}
}

// TestAnyMatchingPublisherMaySign: publishers that overlap add their keys.
func TestAnyMatchingPublisherMaySign(t *testing.T) {
	all, acme, dir := newKey(t, "all"), newKey(t, "acme"), lay(t, "acme-near")
	both, err := ParseTrust([]byte(fmt.Sprintf(`{"version": 1, "publishers": [
		{"names": ["*"], "keys": [%q]}, {"names": ["acme-*"], "keys": [%q]}]}`, all.Verifier, acme.Verifier)))
	testutil.Must(t, err)
	for _, key := range []*Key{all, acme} {
		testutil.Must(t, os.RemoveAll(filepath.Join(dir, Prefix+"acme-near"+SignatureSuffix)))
		sign(t, dir, key)
		if v, err := both.Check(open(t, dir)); err != nil || !v.Required {
			t.Errorf("%s: %+v, %v", key.Verifier, v, err)
		}
	}
	other := lay(t, "other")
	sign(t, other, acme)
	if v, err := both.Check(open(t, other)); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a key signs a name of another publisher: %+v, %v", v, err)
	}
}

// TestATrustFileIsTheOperators: others must not be able to change it, or remove it.
func TestATrustFileIsTheOperators(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, TrustFile)
	if _, err := ReadTrust(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	testutil.Must(t, os.WriteFile(path, []byte(`{"version": 1, "publishers": []}`), 0o644), CheckDirectory(dir))
	_, err := ReadTrust(path)
	testutil.Must(t, err)
	for _, mode := range []os.FileMode{0o664, 0o646} {
		testutil.Must(t, os.Chmod(path, mode))
		if _, err := ReadTrust(path); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
			t.Errorf("mode %v: %v", mode, err)
		}
		testutil.Must(t, os.Chmod(dir, mode|0o111))
		if err := CheckDirectory(dir); err == nil || !strings.Contains(err.Error(), "chmod go-w") {
			t.Errorf("directory of mode %v: %v", mode, err)
		}
	}
	testutil.Must(t, os.Chmod(dir, 0o755), os.Chmod(path, 0o644))
	if err := CheckDirectory(path); err == nil {
		t.Error("a file is accepted as directory")
	}
	if _, err := ReadTrust(dir); err == nil {
		t.Error("a directory is accepted as file")
	}
	testutil.Must(t, os.WriteFile(path, make([]byte, maxTrust+1), 0o644))
	if _, err := ReadTrust(path); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a file that is too large: %v", err)
	}
	if os.Geteuid() != 0 {
		return // only root can give a file away
	}
	const nobody = 65534
	testutil.Must(t, os.WriteFile(path, []byte(`{"version": 1, "publishers": []}`), 0o644), os.Chown(path, nobody, nobody))
	if _, err := ReadTrust(path); err == nil || !strings.Contains(err.Error(), "another user") {
		t.Errorf("a file of another user: %v", err)
	}
}
