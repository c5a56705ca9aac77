package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"motte/internal/atomicfile"
)

// writeOut writes an object to the file that --out names. The file is written whole or not at
// all. Only its owner may read it, even if it replaces a file that others could read. A
// symbolic link stays, and its target is replaced. A pipe or a device is written to.
func (a *app) writeOut(path string, data []byte) (err error) {
	// Opening the file also asks the kernel whether it may be written, and whether a link may be
	// followed.
	there, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s is a link to a file that is not there", path)
		}
		return atomicfile.Replace(path, 0o600, data)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, there.Close()) }()
	info, err := there.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		_, err = there.Write(data)
		return err
	}
	if own, err := a.stdout.file.Stat(); err == nil && os.SameFile(own, info) {
		_, err := a.stdout.Write(data) // /dev/stdout: keep the present content of the file
		return err
	}
	file, err := fileAt(path, info)
	if err != nil {
		return err
	}
	return atomicfile.Replace(file, 0o600, data)
}

// fileAt returns the path of a file without symbolic links. It must lead to the file of info.
func fileAt(path string, info os.FileInfo) (string, error) {
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err != nil {
		return "", err
	} else if strings.HasPrefix(dir, "/proc/") {
		return "", fmt.Errorf("%s is a file that is open already: name it, or send standard output there", path)
	}
	file, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	if now, err := os.Lstat(file); err != nil || !os.SameFile(now, info) {
		return "", errors.Join(err, fmt.Errorf("%s became another file meanwhile", path))
	}
	return file, nil
}
