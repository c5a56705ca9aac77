// Package owner checks the owner of a file. A process may use an existing key file only if its
// owner has the same access anyway. In a directory like /tmp, another user can put a key file
// there.
package owner

import (
	"fmt"
	"os"
	"syscall"
)

// Check returns an error unless a file belongs to this process's user, or to the owner of the
// store in dir. The same holds for a symbolic link that leads to the file. If there is no file,
// Check returns an os.ErrNotExist.
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
				"use a directory that no other user can write to", path)
		}
	}
	return nil
}

func of(info os.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }
