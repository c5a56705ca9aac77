package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"motte/internal/atomicfile"
)

// writeOut puts an object into the file that --out names. A file is there whole or not at
// all, and only its owner may read it, also if there was one that others could read. A link
// stays, and the file that it points to is replaced. What is no file, a pipe or a device,
// is written to.
func (a *app) writeOut(path string, data []byte) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is a link to a file that is not there", path)
		}
		return atomicfile.Replace(path, 0o600, data)
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case !info.Mode().IsRegular():
		return writeInto(path, data)
	}
	if own, err := a.stdout.file.Stat(); err == nil && os.SameFile(own, info) {
		_, err := a.stdout.Write(data) // /dev/stdout: what the file has already is to stay
		return err
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err != nil || strings.HasPrefix(dir, "/proc/") {
		return errors.Join(err, fmt.Errorf("%s is a file that is open already: name it, or send standard output there", path))
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	return atomicfile.Replace(path, 0o600, data)
}

// writeInto writes to a pipe or a device.
func writeInto(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
