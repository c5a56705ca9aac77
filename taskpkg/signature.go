package taskpkg

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"motte/client"
	"motte/core/model"
	"motte/taskpkg/manifest"
)

// ErrSignature says that a signature does not hold for a package.
var ErrSignature = errors.New("the signature does not hold for this package")

// statementTitle is the first line of a statement, with its version.
const statementTitle = "motte-task-package-v1"

// Statement returns the text that a signature signs. Two packages have the same statement only if
// name, measurement and row are the same.
func Statement(name string, row *model.Row) string {
	return statementTitle + "\n" + strings.Join(claims(name, row), "\n") + "\n"
}

// claims are the lines of a statement after the title. Names and values have no line breaks.
func claims(name string, row *model.Row) []string {
	return []string{
		"name " + name,
		fmt.Sprintf("sha256 %x", row.Measurement),
		"operations " + strings.Join(manifest.OperationNames(row.Operations), ","),
		"type " + client.TypeName(row.Type),
		fmt.Sprintf("ordered %t", row.Ordered),
		fmt.Sprintf("max_input %d", row.MaxInput),
		fmt.Sprintf("max_results %d", row.MaxResults),
		fmt.Sprintf("deadline_ms %d", row.Deadline),
		fmt.Sprintf("memory %d", row.Memory),
		fmt.Sprintf("shelf %d", row.Shelf),
		fmt.Sprintf("leak_budget %d", row.LeakBudget),
		fmt.Sprintf("index_leak_budget %d", row.IndexBudget),
	}
}

// openNote opens a signature with the keys that are known. It returns the note also if none of the
// known keys has signed it; then the note has no verified signatures.
func openNote(signature []byte, known note.Verifiers) (*note.Note, error) {
	if len(signature) > maxSignature {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrSignature, maxSignature)
	}
	n, err := note.Open(signature, known)
	var unverified *note.UnverifiedNoteError
	if errors.As(err, &unverified) {
		return unverified.Note, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return n, nil
}

// checkStatement checks that a note is about the package. The error names what differs.
func (p *Package) checkStatement(n *note.Note) error {
	if n.Text == Statement(p.Name, &p.Row) {
		return nil
	}
	signed := make(map[string]bool)
	for line := range strings.Lines(n.Text) {
		signed[strings.TrimSuffix(line, "\n")] = true
	}
	var differ []string
	for _, c := range claims(p.Name, &p.Row) {
		if !signed[c] {
			member, _, _ := strings.Cut(c, " ")
			differ = append(differ, member)
		}
	}
	if differ == nil {
		return fmt.Errorf("%w: its text is no statement about a Task", ErrSignature)
	}
	return fmt.Errorf("%w: it is for another %s", ErrSignature, strings.Join(differ, ", "))
}

// Sign returns the signature of a package by one more key. Earlier signatures of the same statement
// stay.
func (p *Package) Sign(key note.Signer) ([]byte, error) {
	n := &note.Note{Text: Statement(p.Name, &p.Row)}
	if p.Signature != nil {
		if old, err := openNote(p.Signature, nil); err == nil && old.Text == n.Text {
			n = old
		}
	}
	signature, err := note.Sign(n, key)
	if err == nil && len(signature) > maxSignature {
		err = fmt.Errorf("the signature has more than %d bytes: remove some signatures", maxSignature)
	}
	return signature, err
}

// Key is a key that signs packages.
type Key struct {
	note.Signer
	Verifier string // its public half, for a trust file
}

// errKey says that a text is no signing key. It does not repeat the text, which is secret.
var errKey = errors.New("not a signing key: 'motte task key' makes one")

// NewKey makes a signing key. Its text is secret. A name has no space and no plus sign.
func NewKey(name string) (text string, key *Key, err error) {
	text, _, err = note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", nil, err
	}
	key, err = ParseKey([]byte(text))
	if err != nil {
		return "", nil, fmt.Errorf("%q can't name a key: it has to be text without space and plus sign", name)
	}
	return text, key, nil
}

// ParseKey reads the text of a signing key.
func ParseKey(text []byte) (*Key, error) {
	line := string(bytes.TrimSpace(text))
	signer, err := note.NewSigner(line)
	if err != nil {
		return nil, errKey
	}
	// The text is PRIVATE+KEY+NAME+HASH+BASE64. The last part is the algorithm, one byte, and the seed.
	fields := strings.SplitN(line, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(raw) != 1+ed25519.SeedSize {
		return nil, errKey
	}
	public := ed25519.NewKeyFromSeed(raw[1:]).Public().(ed25519.PublicKey)
	verifier, err := note.NewEd25519VerifierKey(signer.Name(), public)
	if err != nil {
		return nil, errKey
	}
	return &Key{signer, verifier}, nil
}
