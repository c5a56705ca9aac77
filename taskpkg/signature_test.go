package taskpkg

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"motte/client/frames"
	"motte/core/model"
	"motte/internal/testutil"
)

// newKey makes a signing key.
func newKey(t testing.TB, name string) *Key {
	t.Helper()
	text, key, err := NewKey(name)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseKey([]byte(text + "\n"))
	if err != nil || again.Verifier != key.Verifier {
		t.Fatalf("the key reads back as %v (%v)", again, err)
	}
	return key
}

// trust returns a trust file in which the keys may sign the names of a pattern.
func trust(t testing.TB, pattern string, keys ...*Key) *Trust {
	t.Helper()
	var list []string
	for _, k := range keys {
		list = append(list, fmt.Sprintf("%q", k.Verifier))
	}
	trust, err := ParseTrust([]byte(fmt.Sprintf(`{"version": 1, "publishers": [{"names": [%q], "keys": [%s]}]}`, pattern, strings.Join(list, ","))))
	if err != nil {
		t.Fatal(err)
	}
	return trust
}

// sign signs the package in a directory.
func sign(t *testing.T, dir string, key *Key) {
	t.Helper()
	p := open(t, dir)
	signature, err := p.Sign(key)
	testutil.Must(t, err, os.WriteFile(filepath.Join(dir, Prefix+p.Name+SignatureSuffix), signature, 0o644))
}

// fullRow has every field but the measurement.
var fullRow = model.Row{Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete, Type: model.TypeBytes, Ordered: true,
	MaxInput: 1 << 20, MaxResults: 1000, Deadline: 2000, Memory: 512 << 20, Shelf: 64 << 20, LeakBudget: 10_000, IndexBudget: 1_000_000}

// TestAStatementHasEveryField of a row: two rows that differ have different statements.
func TestAStatementHasEveryField(t *testing.T) {
	before := Statement("near", &fullRow)
	if Statement("far", &fullRow) == before {
		t.Error("another name has the same statement")
	}
	fields := reflect.TypeFor[model.Row]()
	for i := range fields.NumField() {
		row := fullRow
		switch field := reflect.ValueOf(&row).Elem().Field(i); field.Kind() {
		case reflect.Array:
			field.Index(31).SetUint(1)
		case reflect.Bool:
			field.SetBool(!field.Bool())
		default:
			field.SetUint(field.Uint() - 1)
		}
		if Statement("near", &row) == before {
			t.Errorf("another %s has the same statement", fields.Field(i).Name)
		}
	}
}

// TestTheStatementIsFixed: signatures of one version hold in the next.
func TestTheStatementIsFixed(t *testing.T) {
	row := fullRow
	row.Measurement = [32]byte{31: 0xab}
	const want = `motte-task-package-v1
name near
sha256 00000000000000000000000000000000000000000000000000000000000000ab
operations search,count,delete
type bytes
ordered true
max_input 1048576
max_results 1000
deadline_ms 2000
memory 536870912
shelf 67108864
leak_budget 10000
index_leak_budget 1000000
`
	if got := Statement("near", &row); got != want {
		t.Errorf("the statement is\n%s, want\n%s", got, want)
	}
}

func TestASignedPackageIsTrusted(t *testing.T) {
	key, dir := newKey(t, "acme.example"), lay(t, "acme-near")
	sign(t, dir, key)
	for pattern, required := range map[string]bool{"acme-near": true, "acme-*": true, "*": true, "acme": false, "near": false, "b*": false} {
		v, err := trust(t, pattern, key).Check(open(t, dir))
		if err != nil || v.Required != required || len(v.Signers) != 1 || !strings.HasPrefix(v.Signers[0], "acme.example+") || v.Strange != 0 {
			t.Errorf("names %s: %+v, %v", pattern, v, err)
		}
	}
	if v, err := (&Trust{}).Check(open(t, dir)); err != nil || v.Signers != nil || v.Strange != 1 || v.Required {
		t.Errorf("without a trust file: %+v, %v", v, err)
	}
}

// TestTamperedPackagesAreRefused: every change after the signature is noticed.
func TestTamperedPackagesAreRefused(t *testing.T) {
	key, other := newKey(t, "acme.example"), newKey(t, "acme.example")
	file := func(dir, part string) string { return filepath.Join(dir, Prefix+"acme-near"+part) }
	replace := func(part, old, new string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			text, err := os.ReadFile(file(dir, part))
			testutil.Must(t, err)
			if !bytes.Contains(text, []byte(old)) {
				t.Fatalf("%s has no %q", file(dir, part), old)
			}
			testutil.Must(t, os.WriteFile(file(dir, part), bytes.Replace(text, []byte(old), []byte(new), 1), 0o644))
		}
	}
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string)
		err    error
		why    string
	}{
		"the executable": {func(t *testing.T, dir string) {
			testutil.Must(t, os.WriteFile(file(dir, ""), image("other code"), 0o755))
		}, ErrSignature, "it is for another sha256"},
		"the row":           {replace(ManifestSuffix, `"max_results": 1000`, `"max_results": 1001`), ErrSignature, "it is for another max_results"},
		"the operations":    {replace(ManifestSuffix, `"count"`, `"delete"`), ErrSignature, "it is for another operations"},
		"a budget":          {replace(ManifestSuffix, `"version": 1`, `"version": 1, "leak_budget": 1`), ErrSignature, "another leak_budget"},
		"the signed row":    {replace(SignatureSuffix, "max_results 1000", "max_results 1001"), ErrSignature, "invalid signature"},
		"the signed digest": {replace(SignatureSuffix, "sha256 ", "sha256 0"), ErrSignature, "invalid signature"},
		"the name": {func(t *testing.T, dir string) {
			for _, part := range []string{"", ManifestSuffix, SignatureSuffix} {
				testutil.Must(t, os.Rename(file(dir, part), filepath.Join(dir, Prefix+"acme-far"+part)))
			}
			testutil.Must(t, os.WriteFile(filepath.Join(dir, Prefix+"acme-far"+ManifestSuffix), []byte(manifestOf("acme-far")), 0o644))
		}, ErrSignature, "it is for another name"},
		"no signature":       {func(t *testing.T, dir string) { testutil.Must(t, os.Remove(file(dir, SignatureSuffix))) }, ErrUntrusted, "has to be signed by acme.example+"},
		"an empty signature": {func(t *testing.T, dir string) { testutil.Must(t, os.Truncate(file(dir, SignatureSuffix), 0)) }, ErrSignature, "malformed"},
		"not a note":         {replace(SignatureSuffix, "\n\n", "\n"), ErrSignature, "malformed"},
		"another key's": {func(t *testing.T, dir string) {
			testutil.Must(t, os.Remove(file(dir, SignatureSuffix)))
			sign(t, dir, other)
		}, ErrUntrusted, "has to be signed by acme.example+"},
		"the signer's name":    {replace(SignatureSuffix, "— acme.example ", "— evil.example "), ErrUntrusted, "has to be signed by acme.example+"},
		"of another statement": {func(t *testing.T, dir string) { writeNote(t, file(dir, SignatureSuffix), "I sign nothing\n", key) }, ErrSignature, "another name, sha256"},
		"more than the statement": {func(t *testing.T, dir string) {
			p := open(t, dir)
			writeNote(t, file(dir, SignatureSuffix), Statement(p.Name, &p.Row)+"max_results 9\n", key)
		}, ErrSignature, "no statement about a Task"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := lay(t, "acme-near")
			sign(t, dir, key)
			trust := trust(t, "acme-*", key)
			if _, err := trust.Check(open(t, dir)); err != nil {
				t.Fatalf("before the change: %v", err)
			}
			c.change(t, dir)
			if v, err := trust.Check(open(t, dir)); !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%+v, %v; want: %v: %s", v, err, c.err, c.why)
			}
		})
	}
}

// writeNote signs any text.
func writeNote(t *testing.T, path, text string, key *Key) {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: text}, key)
	testutil.Must(t, err, os.WriteFile(path, signed, 0o644))
}

// TestASignatureOfAnotherPackageIsRefusedAnyway, also if no signature is needed and the key is not
// known.
func TestASignatureOfAnotherPackageIsRefusedAnyway(t *testing.T) {
	dir := lay(t, "near")
	sign(t, dir, newKey(t, "somebody"))
	testutil.Must(t, os.WriteFile(filepath.Join(dir, Prefix+"near"), image("other code"), 0o755))
	if v, err := (&Trust{}).Check(open(t, dir)); !errors.Is(err, ErrSignature) {
		t.Errorf("%+v, %v; want ErrSignature", v, err)
	}
}

func TestSeveralKeysSign(t *testing.T) {
	old, next, dir := newKey(t, "acme.example"), newKey(t, "acme.example/next"), lay(t, "near")
	for _, key := range []*Key{old, next, next} {
		sign(t, dir, key)
	}
	for _, key := range []*Key{old, next} {
		v, err := trust(t, "near", key).Check(open(t, dir))
		if err != nil || len(v.Signers) != 1 || v.Strange != 1 {
			t.Errorf("%s: %+v, %v", key.Verifier, v, err)
		}
	}
	testutil.Must(t, os.WriteFile(filepath.Join(dir, Prefix+"near"), image("the next version"), 0o755))
	sign(t, dir, next)
	if v, err := trust(t, "near", old, next).Check(open(t, dir)); err != nil || len(v.Signers) != 1 {
		t.Errorf("after a change %+v, %v; want the signature of the next key alone", v, err)
	}
}

func TestTextsThatAreNoKey(t *testing.T) {
	text, _, err := NewKey("acme")
	testutil.Must(t, err)
	for _, wrong := range []string{"", "PRIVATE+KEY+acme", text[:len(text)-4], "x" + text, strings.Replace(text, "acme", "acne", 1), text + "A"} {
		if _, err := ParseKey([]byte(wrong)); !errors.Is(err, errKey) {
			t.Errorf("%d bytes are taken for a key: %v", len(wrong), err)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb"} {
		if _, _, err := NewKey(name); err == nil {
			t.Errorf("a key is called %q", name)
		}
	}
}

// FuzzSignature: a signature that is accepted has the statement of the package, and a signature of
// the key. Nothing makes the check panic.
func FuzzSignature(f *testing.F) {
	key := newKey(f, "acme")
	p := &Package{Name: "near", Row: fullRow}
	signed, err := p.Sign(key)
	testutil.Must(f, err)
	trust := trust(f, "near", key)
	f.Add(signed)
	f.Add([]byte(strings.Replace(string(signed), "near", "far", 1)))
	f.Add(append(bytes.Clone(signed), "— acme AAAAAAAA\n"...))
	f.Add([]byte("\n\n— a AAAAAAA=\n"))
	f.Fuzz(func(t *testing.T, signature []byte) {
		p := &Package{Name: "near", Row: fullRow, Signature: signature}
		v, err := trust.Check(p)
		switch {
		case err == nil && (len(v.Signers) != 1 || !strings.HasPrefix(string(signature), Statement(p.Name, &p.Row)+"\n")):
			t.Errorf("%q is accepted: %+v", signature, v)
		case err != nil && !errors.Is(err, ErrSignature) && !errors.Is(err, ErrUntrusted):
			t.Errorf("%v is neither ErrSignature nor ErrUntrusted", err)
		}
		_, _ = p.Sign(key) // merges what is there
	})
}
