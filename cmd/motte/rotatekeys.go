package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/storetool/rotate"
)

// rotatedKeysView is the result of a rotation of a key of the store.
type rotatedKeysView struct {
	RootKey     string `json:"root_key,omitempty"` // file
	CoreKey     string `json:"core_key,omitempty"`
	NextCoreKey string `json:"next_core_key,omitempty"`
}

func (a *app) keyRotateRoot() *cobra.Command {
	var dir, rootKey, next string
	cmd := a.leaf(&cobra.Command{
		Use:   "rotate-root",
		Short: "Replace the root key of a store",
		Long: `Replace the root key of a store. The server has to be stopped. The root key seals only the
file data.keys and its copy, and both are written again.

The next key is made in the file --new-root-key, unless it is there. If the command is cut
short, the store opens with one of the two keys, or with both: run it again before the server
starts. Then give the next file to 'motte serve --root-key'.

Backups and key exports (motte key export) stay usable. So whoever has an export, or a copy
of data.keys with the old root key, can still open the store and its backups. Destroy those,
and make a new export.`,
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
		remains, err := rotate.Root(dir, rootKey, next)
		if err != nil && !errors.Is(err, rotate.ErrDone) {
			return err
		}
		v := rotatedKeysView{RootKey: next}
		if remains {
			fmt.Fprintf(a.stderr, "The secret of this store was derived from the key in %s, and stays the same: it opens all data except objects, and can forge it. See docs/how-to/rotate-keys.md.\n", rootKey)
		}
		if err != nil {
			return a.done(v, "The store has the root key in %s already.", next)
		}
		if err := a.done(v, "The store opens with the root key in %s, and no longer with that in %s.", next, rootKey); err != nil {
			return err
		}
		a.note("Next: motte serve --root-key %s; make a new key export, 'motte key export'; destroy the old root key and the older exports.", next)
		return nil
	})
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "data directory `DIR`")
	f.StringVar(&rootKey, "root-key", "", "`FILE` with the root key (default: root.key in the data directory)")
	f.StringVar(&next, "new-root-key", "", "`FILE` for the next root key; made, unless it is there")
	_ = cmd.MarkFlagDirname("dir") // of the shell's completion
	return cmd
}

// shows reports whether a Core with this key, in hexadecimal, is the Core of a profile.
func shows(p *client.Profile, key string) bool {
	return key == hex.EncodeToString(p.CoreKey) || p.NextCoreKey != nil && key == hex.EncodeToString(p.NextCoreKey)
}

func (a *app) keyRotateCore() *cobra.Command {
	var dir, rootKey string
	var finish, now bool
	cmd := a.leaf(&cobra.Command{
		Use:   "rotate-core",
		Short: "Replace the Core key, by which clients know the Core",
		Long: `Replace the Core key, by which clients know the Core. There are two steps, and the server has
to be stopped for each.

The first step makes the next key. From the next start on, the Core tells it to each client that
connects, and clients write it into their profiles. Wait until all clients have connected. The second
step, with --finish, destroys the old key. From the next start on, the Core shows the new key. A client
that did not connect in between refuses the Core until its owner runs: motte profile set FILE
--core-key KEY.

If the old key was stolen, use --now instead: a thief in the middle could tell clients any key. Then
give each client the new key by hand. Make a new key export after a rotation (motte key export).`,
		Example: `  motte key rotate-core --dir store
  motte key rotate-core --dir store --finish
  motte key rotate-core --dir store --root-key /run/keys/motte --now`,
	}, func(context.Context, []string) error {
		switch {
		case dir == "":
			return usage("--dir is missing: the directory of the store")
		case finish && now:
			return usage("either --finish or --now")
		case rootKey == "":
			rootKey = filepath.Join(dir, "root.key")
		}
		return a.rotateCore(dir, rootKey, finish, now)
	})
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "data directory `DIR`")
	f.StringVar(&rootKey, "root-key", "", "`FILE` with the root key (default: root.key in the data directory)")
	f.BoolVar(&finish, "finish", false, "destroy the old key: clients have learnt the new key")
	f.BoolVar(&now, "now", false, "destroy the old key at once: no client learns the new key by itself")
	_ = cmd.MarkFlagDirname("dir") // of the shell's completion
	return cmd
}

func (a *app) rotateCore(dir, rootKey string, finish, now bool) error {
	step, text := rotate.Begin, "From the next start on the Core tells clients its next key. When all clients have connected: motte key rotate-core --finish"
	if finish {
		step, text = rotate.Finish, "From the next start on the Core shows this key, and the old key is destroyed:"
	} else if now {
		step, text = rotate.Replace, "From the next start on the Core shows this key. Each client needs: motte profile set FILE --core-key"
	}
	k, err := step(dir, rootKey)
	if err != nil {
		return err
	}
	v := rotatedKeysView{CoreKey: hex.EncodeToString(k.Now), NextCoreKey: hex.EncodeToString(k.Next)}
	if a.json {
		return a.emit(v)
	}
	a.note("%s", text)
	key := v.CoreKey
	if k.Next != nil {
		key = v.NextCoreKey
	}
	_, err = fmt.Fprintln(a.stdout, key)
	return err
}
