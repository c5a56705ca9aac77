package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// executables and thirdParty are directories of the archive for files that are not in the
// commit.
const (
	executables = "bin/"
	thirdParty  = "third-party/"
)

// file is a file of an archive.
type file struct {
	mode int64
	data []byte
}

// archive holds the files of a release by their paths.
type archive map[string]file

// collect puts all files of a release into an archive.
func (b *builder) collect(a archive) error {
	if err := a.add(os.DirFS(b.bin), ".", executables, 0o755); err != nil {
		return err
	}
	source := os.DirFS(b.source)
	pages, err := fs.Glob(source, "*.md")
	if err != nil {
		return err
	}
	for _, name := range append(pages, "LICENSE", "docs", "systemd") {
		if err := a.add(source, name, "", 0o644); err != nil {
			return err
		}
	}
	return b.addLicences(a)
}

// add adds a file, or all files of a directory except Go's tests, under a prefix.
func (a archive) add(from fs.FS, root, prefix string, mode int64) error {
	return fs.WalkDir(from, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is not a file", name)
		}
		data, err := fs.ReadFile(from, name)
		a[prefix+name] = file{mode, data}
		return err
	})
}

// licence matches the names of files with terms of use.
var licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)`)

var errNoLicence = errors.New("there is no licence")

// addLicences adds the licences of Go and of all linked modules. The licences demand that a copy
// accompanies executables.
func (b *builder) addLicences(a archive) error {
	root, err := b.goOutput("env", "GOROOT")
	if err != nil {
		return err
	}
	if err := a.addLicence("go", root); err != nil {
		return err
	}
	modules, err := b.modules()
	if err != nil {
		return err
	}
	directories, err := b.goOutput(append([]string{"list", "-m", "-f", "{{.Path}} {{.Dir}}"}, modules...)...)
	if err != nil {
		return err
	}
	for line := range strings.Lines(directories) {
		module, dir, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if err := a.addLicence(module, dir); err != nil {
			return err
		}
	}
	return nil
}

func (a archive) addLicence(name, dir string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	err = fmt.Errorf("%s: %w in %s", name, errNoLicence, dir)
	for _, f := range list {
		if !f.Type().IsRegular() || !licence.MatchString(f.Name()) {
			continue
		}
		data, problem := os.ReadFile(filepath.Join(dir, f.Name()))
		if problem != nil {
			return problem
		}
		a[path.Join(thirdParty+name, f.Name())] = file{0o644, data}
		err = nil
	}
	return err
}

// measured lists the executables that have a measurement.
func (a archive) measured() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(a)) {
		name, ok := strings.CutPrefix(name, executables)
		if ok && name != "motte" {
			names = append(names, name)
		}
	}
	return names
}

// pack writes the archive as a compressed tar file with a single top directory. Its bytes depend
// only on the files, the name and the time.
func (a archive) pack(name string, modified time.Time) ([]byte, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed) // its header has no name and no time
	w := tar.NewWriter(z)
	entries := a.directories()
	maps.Copy(entries, a)
	for _, p := range slices.Sorted(maps.Keys(entries)) {
		f := entries[p]
		// A name that ends with a slash makes the entry a directory.
		h := &tar.Header{Name: name + "/" + p, Mode: f.mode, Size: int64(len(f.data)), ModTime: modified, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err := z.Close()
	return packed.Bytes(), err
}

// directories returns the parent directories of all files. Without these entries, the modes of
// directories would depend on the umask of the user who unpacks the archive.
func (a archive) directories() archive {
	list := archive{"": {mode: 0o755}}
	for p := range a {
		for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
			list[dir+"/"] = file{mode: 0o755}
		}
	}
	return list
}
