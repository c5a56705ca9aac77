package keyexport

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"golang.org/x/crypto/ssh"

	"motte/core/seal"
	"motte/core/seglog"
	"motte/core/server"
	"motte/internal/testutil"
)

// made returns the keys of a store that package seglog made.
func made(t *testing.T) *Keys {
	t.Helper()
	dir := t.TempDir()
	d, err := seglog.OpenDir(dir)
	testutil.Must(t, err)
	defer d.Close()
	root := seal.Root{1, 2, 3}
	l, err := seglog.Open(d, root, rand.Read, nil)
	testutil.Must(t, err)
	path := filepath.Join(dir, "root.key")
	testutil.Must(t, server.WriteRootKey(path, root))
	k, err := Read(dir, path, time.Unix(1_800_000_000, 0))
	testutil.Must(t, err)
	if want := ed25519.NewKeyFromSeed(l.Keys().Core[:]).Public().(ed25519.PublicKey); !bytes.Equal(want, func() []byte { k := k.CoreKey(); return k[:] }()) {
		t.Error("the keys have another Core key than the store")
	}
	return k
}

// sshKey makes an SSH key, and returns its private file and its public key.
func sshKey(t *testing.T, passphrase string) (private []byte, public string) {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	testutil.Must(t, err)
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(key, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	testutil.Must(t, err)
	p, err := ssh.NewPublicKey(pub)
	testutil.Must(t, err)
	return pem.EncodeToMemory(block), string(ssh.MarshalAuthorizedKey(p))
}

// TestEachRecipientOpensIt tests recipients of age, hybrid recipients of age, and SSH keys, with
// and without armor.
func TestEachRecipientOpensIt(t *testing.T) {
	k := made(t)
	x, err := age.GenerateX25519Identity()
	testutil.Must(t, err)
	hybrid, err := age.GenerateHybridIdentity()
	testutil.Must(t, err)
	private, public := sshKey(t, "")
	identities := [][]byte{[]byte("# mine\n" + x.String() + "\n"), private}
	to := []age.Recipient{}
	for _, s := range []string{x.Recipient().String(), public} {
		r, err := ParseRecipient(s)
		testutil.Must(t, err)
		to = append(to, r)
	}
	for _, armored := range []bool{false, true} {
		var b bytes.Buffer
		testutil.Must(t, k.Write(&b, armored, to...))
		if root := []byte(hex.EncodeToString(k.Root[:])); bytes.Contains(b.Bytes(), root) || bytes.Contains(b.Bytes(), k.Root[:]) || bytes.Contains(b.Bytes(), k.Data) {
			t.Error("the export has the keys in the clear")
		}
		for i, file := range identities {
			list, err := ParseIdentities(file)
			testutil.Must(t, err)
			got, err := Open(bytes.NewReader(b.Bytes()), list...)
			if err != nil || got.Root != k.Root || !bytes.Equal(got.Data, k.Data) || !got.Made.Equal(k.Made) {
				t.Errorf("identity %d: %v", i, err)
			}
		}
		if _, err := Open(bytes.NewReader(b.Bytes()), hybrid); err == nil {
			t.Error("an identity that is not a recipient opens the export")
		}
		for i := 0; i < b.Len(); i += 13 {
			p := bytes.Clone(b.Bytes())
			p[i] ^= 1
			if got, err := Open(bytes.NewReader(p), x); err == nil && got.Root != k.Root {
				t.Errorf("with byte %d altered the export opens with other keys; want an error", i)
			}
		}
	}
	r, err := ParseRecipient(hybrid.Recipient().String())
	testutil.Must(t, err)
	var b bytes.Buffer
	testutil.Must(t, k.Write(&b, false, r))
	if _, err := Open(&b, hybrid); err != nil {
		t.Error(err)
	}
}

// TestKeysBelongTogether: an export is refused if its root key does not open its data keys.
func TestKeysBelongTogether(t *testing.T) {
	k := made(t)
	x, err := age.GenerateX25519Identity()
	testutil.Must(t, err)
	for what, bad := range map[string]*Keys{
		"another root key": {Root: seal.Root{9}, Data: k.Data},
		"cut":              {Root: k.Root, Data: k.Data[:30]},
		"empty":            {Root: k.Root, Data: make([]byte, 24)},
	} {
		var b bytes.Buffer
		testutil.Must(t, bad.Write(&b, false, x.Recipient()))
		if _, err := Open(&b, x); !errors.Is(err, ErrKeys) {
			t.Errorf("%s: %v", what, err)
		}
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, x.Recipient())
	testutil.Must(t, err)
	_, err = w.Write([]byte(`{"format":"something else"}`))
	testutil.Must(t, errors.Join(err, w.Close()))
	if _, err := Open(&b, x); !errors.Is(err, ErrNoExport) {
		t.Errorf("an encrypted file that is not a key export returns %v; want an error", err)
	}
}

// TestWhatIsNoKeyIsNotRepeated: an error may end up in a log, so it does not quote the text.
func TestWhatIsNoKeyIsNotRepeated(t *testing.T) {
	x, err := age.GenerateX25519Identity()
	testutil.Must(t, err)
	locked, _ := sshKey(t, "secret")
	for what, file := range map[string]string{
		"a typing error": "AGE-SECRET-KEY-1QQQQQQQQ", "an SSH key with a passphrase": string(locked),
		"nothing": "", "an encrypted identity": "age-encryption.org/v1\n", "a broken SSH key": "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA",
	} {
		_, err := ParseIdentities([]byte(file))
		if err == nil || file != "" && strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, s := range []string{x.String(), "age1qqqq", "ssh-dss AAAA", ""} {
		_, err := ParseRecipient(s)
		if err == nil || strings.Contains(err.Error(), x.String()) {
			t.Errorf("%q: %v", s, err)
		}
	}
}
