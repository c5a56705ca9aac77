// Package owner checks the owner of a file. A prepared key file is used only if its owner could do
// as much without it. In a directory like /tmp another user can put a key file there.
package owner

import (
	"fmt"
	"os"
	"syscall"
)

// Check returns an error unless a file belongs to this process's user or to the owner
// of the store in dir, and so does the link that leads to it, if there is one.
// If there is no file, that is an os.ErrNotExist.
func Check(path, dir string) error {
	store, err := os.Stat(dir)
	if err != nil {
		return err
	}
	for _, look := range []func(string) (os.FileInfo, error){os.Lstat, os.Stat} {
		info, err := look(path)
		if err != nil {
			return err
		}
		if user := of(info); user != os.Geteuid() && user != of(store) {
			return fmt.Errorf("%s belongs to another user, who may know the key in it: "+
				"use a directory that nobody else can write to", path)
		}
	}
	return nil
}

func of(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
