package taskpkg

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"motte/host/sandbox"
	"motte/taskpkg/manifest"
)

// openFiles reads a package from a directory, or the package of an executable.
func openFiles(source string) (*Package, error) {
	path, err := Executable(source)
	if err != nil {
		return nil, err
	}
	executable, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer executable.Close()
	if err := sandbox.CheckFile(executable); err != nil { // before it is copied; the copy is checked again
		return nil, fmt.Errorf("the executable: %w", err)
	}
	from := parts{executable: executable}
	from.manifest, err = readRegular(path+ManifestSuffix, manifest.MaxSize)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no manifest %s: write it, or register the executable with 'motte task register'",
			path+ManifestSuffix)
	}
	if err != nil {
		return nil, err
	}
	from.signature, err = readRegular(path+SignatureSuffix, maxSignature)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	p, err := take(from, source)
	if err != nil {
		return nil, err
	}
	if want := Prefix + p.Name; filepath.Base(path) != want {
		p.Close()
		return nil, fmt.Errorf("the manifest is for %s, and lies beside %q", want, filepath.Base(path))
	}
	return p, nil
}

// Executable returns the path of the executable of a package: the source itself, or the only
// executable in a directory that has a manifest.
func Executable(source string) (string, error) {
	info, err := os.Stat(source)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return source, nil
	}
	dir, err := os.Open(source)
	if err != nil {
		return "", err
	}
	defer dir.Close()
	found := ""
	for {
		names, err := dir.Readdirnames(256)
		for _, name := range names {
			stem, ok := strings.CutSuffix(name, ManifestSuffix)
			if !ok || !strings.HasPrefix(stem, Prefix) {
				continue
			}
			if found != "" {
				return "", errors.New("the directory has several packages: name the executable of one")
			}
			found = stem
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	if found == "" {
		return "", fmt.Errorf("the directory has no manifest: a file %sNAME%s beside the executable %sNAME", Prefix, ManifestSuffix, Prefix)
	}
	return filepath.Join(source, found), nil
}

// openRegular opens a regular file. It follows no symbolic link, and never waits for a pipe.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: a package has regular files only", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// readRegular reads a regular file of at most limit bytes.
func readRegular(path string, limit int) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readBounded(f, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

// readBounded reads at most limit bytes, and refuses more.
func readBounded(r io.Reader, limit int) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(text) > limit {
		return nil, fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, nil
}
