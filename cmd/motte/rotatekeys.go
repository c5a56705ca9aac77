package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"motte/offline/rotate"
)

// rotatedKeysView is what a rotation of a key of the store came to.
type rotatedKeysView struct {
	RootKey     string `json:"root_key,omitempty"` // file
	CoreKey     string `json:"core_key,omitempty"`
	NextCoreKey string `json:"next_core_key,omitempty"`
}

func (a *app) keyRotateRoot() *cobra.Command {
	var dir, rootKey, next string
	cmd := a.leaf(&cobra.Command{
		Use:   "rotate-root",
		Short: "Let another root key take the place of a store's",
		Long: `Let another root key take the place of a store's. The server has to be stopped. The root key
seals the file data.keys and its copy, and nothing else; both are written again.

The next key is made in the file --new-root-key, unless it is there. If the command is cut
short, the store opens with one of the two keys, or with both: run it again before the server
starts. Then give the next file to 'motte serve --root-key'.

Backups stay good, and so do exports of the keys (motte key export). So whoever has an
export, or a copy of data.keys together with the key before, can still open the store and its
backups: destroy those, and make a new export.`,
		Example: `  motte key rotate-root --dir store --root-key /run/keys/motte --new-root-key /run/keys/motte-2`,
	}, func(context.Context, []string) error {
		if dir == "" {
			return usage("--dir is missing: the directory of the store")
		}
		if next == "" {
			return usage("--new-root-key is missing: the file for the next root key")
		}
		if rootKey == "" {
			rootKey = filepath.Join(dir, "root.key")
		}
		err := rotate.Root(dir, rootKey, next)
		if err != nil && !errors.Is(err, rotate.ErrDone) {
			return err
		}
		v := rotatedKeysView{RootKey: next}
		if err != nil {
			return a.done(v, "The store has the root key in %s already.", next)
		}
		if err := a.done(v, "The store opens with the root key in %s, and no longer with that in %s.", next, rootKey); err != nil {
			return err
		}
		a.note("Next: motte serve --root-key %s; a new export of the keys, 'motte key export'; and destroy the key before, and exports from before.", next)
		return nil
	})
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "data directory `DIR`")
	f.StringVar(&rootKey, "root-key", "", "`FILE` with the root key (default: root.key in the data directory)")
	f.StringVar(&next, "new-root-key", "", "`FILE` for the next root key; made, unless it is there")
	_ = cmd.MarkFlagDirname("dir") // of the shell's completion
	return cmd
}
