// Package taskpkg reads, checks, signs and copies Task packages. A package is a Task's executable,
// a manifest with the Task's name and row, and perhaps a signature. It lies in a directory, or in a
// registry as an OCI artefact.
//
// Everything in a package may come from an attacker. Invariants:
//
//  1. [Open] first makes a private copy of the executable, and then measures and checks that copy.
//     Later changes at the source have no effect.
//  2. [Package.Copy] writes only bytes that have this measurement.
//  3. A signature signs name, measurement and row together: see [Statement].
//  4. No text of a package becomes a path, except a name that [model.ValidIdentifier] accepts.
//  5. Every read is bounded before it begins. Nothing is decompressed, and no link is followed.
//
// The package does not decide what is installed. The operator decides, after reading what the
// command line shows.
package taskpkg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"motte/core/model"
	"motte/host/sandbox"
	"motte/internal/atomicfile"
	"motte/taskpkg/manifest"
)

// Prefix begins the file name of every Task's executable.
const Prefix = "motte-task-"

// Endings of the files beside an executable.
const (
	ManifestSuffix  = ".json"
	SignatureSuffix = ".sig"
)

// maxSignature bounds a signature, in bytes: a statement and about a hundred signatures.
const maxSignature = 16 << 10

// ErrChanged says that the copy of an executable is no longer what was measured.
var ErrChanged = errors.New("the executable has changed since it was measured: nothing was installed")

// Package is a package that was read and checked. The caller must call Close in the end.
type Package struct {
	Name      string
	Row       model.Row // with the measurement of the executable
	Size      int64     // bytes of the executable
	Signature []byte    // signed note, not verified; nil: there is none
	Source    string    // where the package comes from; for a registry with the digest

	copy     *os.File // private copy of the executable, without a name
	manifest []byte
}

// Open reads a package. The source is an executable, a directory with one package, or
// "oci://REGISTRY/REPOSITORY:TAG" or "…@DIGEST".
func Open(ctx context.Context, source string, access Access) (*Package, error) {
	var p *Package
	var err error
	if reference, ok := strings.CutPrefix(source, Scheme); ok {
		p, err = openArtefact(ctx, reference, access)
	} else {
		p, err = openFiles(source)
	}
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", source, err)
	}
	return p, nil
}

// parts are the parts of a package as a source delivers them.
type parts struct {
	manifest   []byte
	signature  []byte // nil: there is none
	executable io.Reader
}

// take copies and checks the parts of a package.
func take(from parts, source string) (*Package, error) {
	m, err := manifest.Parse(from.manifest)
	if err != nil {
		return nil, err
	}
	file, err := unnamedFile()
	if err != nil {
		return nil, err
	}
	p := &Package{Name: m.Name, Row: m.Row, Signature: from.signature, Source: source, copy: file, manifest: from.manifest}
	if err := p.fill(from.executable); err != nil {
		return nil, errors.Join(fmt.Errorf("the executable: %w", err), p.Close())
	}
	return p, nil
}

// fill makes the private copy of the executable, measures and checks it.
func (p *Package) fill(executable io.Reader) (err error) {
	digest := sha256.New()
	p.Size, err = io.Copy(io.MultiWriter(p.copy, digest), io.LimitReader(executable, sandbox.MaxExecutable+1))
	if err != nil {
		return err
	}
	p.Row.Measurement = [32]byte(digest.Sum(nil))
	return sandbox.CheckFile(p.copy)
}

// unnamedFile makes a file that no other process can open by a name.
func unnamedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "motte-package-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Close removes the private copy.
func (p *Package) Close() error { return p.copy.Close() }

// reader reads the private copy from its beginning.
func (p *Package) reader() io.Reader { return io.NewSectionReader(p.copy, 0, p.Size) }

// FileName is the name of the installed executable. It has the measurement, so that no installed
// version replaces another.
func (p *Package) FileName() string {
	return Prefix + p.Name + "." + hex.EncodeToString(p.Row.Measurement[:])
}

// installedMode lets everybody read an installed executable. Nobody can execute it by accident,
// outside of the confinement: the sandbox executes a copy of its own.
const installedMode = 0o644

// Copy copies the executable into a directory, and returns the path. The file appears whole, and is
// durable. Copy fails with ErrChanged if the private copy does not have the measurement any more.
func (p *Package) Copy(dir string) (path string, err error) {
	path = filepath.Join(dir, p.FileName())
	f, err := atomicfile.Begin(path, installedMode)
	if err != nil {
		return "", err
	}
	if err := errors.Join(p.place(f, path), f.Close()); err != nil {
		return "", err
	}
	return path, nil
}

// place fills a new file, and gives it its name if it has the measurement.
func (p *Package) place(f *atomicfile.File, path string) error {
	// Under the umask of many a root user, the server's user could not read the file.
	if err := os.Chmod(atomicfile.Temporary(path), installedMode); err != nil {
		return err
	}
	digest := sha256.New()
	if _, err := io.Copy(io.MultiWriter(f, digest), p.reader()); err != nil {
		return err
	}
	if !bytes.Equal(digest.Sum(nil), p.Row.Measurement[:]) {
		return ErrChanged
	}
	return f.Replace()
}
