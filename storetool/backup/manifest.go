package backup

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"motte/sdk/ijson"
)

// ManifestName is the name of a backup's manifest. It is written last: without it, a directory is
// not a backup.
const ManifestName = "MANIFEST"

// ErrManifest says that a manifest is missing or invalid.
var ErrManifest = errors.New("not a whole backup")

// The format of a manifest.
const (
	manifestFormat  = "motte-backup"
	manifestVersion = 1
	maxManifest     = 64 << 20 // bytes: more than a manifest of the largest store
)

// Manifest lists the files of a backup.
type Manifest struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Store   string    `json:"store"` // its identifier, 32 hexadecimal digits
	Made    time.Time `json:"made"`
	LSN     uint64    `json:"lsn"` // of the last record
	Files   []Entry   `json:"files"`
}

// Entry is a file of a backup.
type Entry struct {
	Name    string `json:"name"`              // in a data directory
	File    string `json:"file"`              // in the backup: files with other content have other names
	Size    int64  `json:"size"`              // bytes
	SHA256  string `json:"sha256"`            // of the file
	Header  string `json:"header"`            // SHA-256 of the first bytes, which differ between all segments and checkpoints
	Growing bool   `json:"growing,omitempty"` // the Core was appending to it: the last write may not be whole
}

// inBackup matches the names of files in a backup: the name in the store, and in a directory the
// first digits of the SHA-256.
var inBackup = regexp.MustCompile(`^[0-9]{8}\.(seg|ckp)(\.[0-9a-f]{16})?$`)

// decodeManifest reads a manifest from an untrusted source. It accepts only names of a store's
// files.
func decodeManifest(p []byte) (*Manifest, error) {
	m := new(Manifest)
	if err := json.Unmarshal(p, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrManifest, ManifestName, err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("%w: %s is something else", ErrManifest, ManifestName)
	}
	if m.Version != manifestVersion {
		return nil, fmt.Errorf("%w: the backup has version %d; this is for version %d", ErrManifest, m.Version, manifestVersion)
	}
	// This version knows all members. Another program wrote a manifest with a repeated or unknown
	// member.
	m = new(Manifest)
	if err := ijson.Decode(p, m); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrManifest, ManifestName, err)
	}
	names := make(map[string]bool)
	for _, e := range m.Files {
		sum, err := hex.DecodeString(e.SHA256)
		if !stored.MatchString(e.Name) || !inBackup.MatchString(e.File) || e.Size < 0 || err != nil || len(sum) != 32 || names[e.Name] {
			return nil, fmt.Errorf("%w: %s names %q, which can't be in it", ErrManifest, ManifestName, e.Name)
		}
		names[e.Name] = true
	}
	return m, nil
}

func (m *Manifest) encode() ([]byte, error) {
	p, err := json.MarshalIndent(m, "", "  ")
	return append(p, '\n'), err
}

// Bytes returns the total size of the files, in bytes.
func (m *Manifest) Bytes() (n int64) {
	for i := range m.Files {
		n += m.Files[i].Size
	}
	return n
}

// ReadManifest reads the manifest of the backup in a directory.
func ReadManifest(dir string) (*Manifest, error) {
	f, err := os.Open(filepath.Join(dir, ManifestName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s has no %s: %w", ErrManifest, dir, ManifestName, err)
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := readManifest(f)
	if err != nil {
		return nil, err
	}
	return decodeManifest(p)
}

func readManifest(r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, maxManifest+1))
	if err == nil && n > maxManifest {
		err = fmt.Errorf("%w: %s is too long", ErrManifest, ManifestName)
	}
	return b.Bytes(), err
}
