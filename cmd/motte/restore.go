package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"motte/storetool/keyexport"
	"motte/storetool/restore"
)

// restoredView is the result of a restore.
type restoredView struct {
	Dir           string    `json:"dir,omitempty"`
	DirBase64     []byte    `json:"dir_base64,omitempty"`
	RootKey       string    `json:"root_key,omitempty"` // file
	RootKeyBase64 []byte    `json:"root_key_base64,omitempty"`
	CoreKey       string    `json:"core_key"`
	Made          time.Time `json:"made"` // the backup
	LSN           uint64    `json:"lsn"`
	Erased        bool      `json:"erased"`
	Damage        string    `json:"damage,omitempty"`
}

// restoring is the command line of a restore.
type restoring struct {
	from, dir, key, rootKey string
	identities              []string
	damaged                 bool
}

func (a *app) restore() *cobra.Command {
	var c restoring
	cmd := a.leaf(&cobra.Command{
		Use:   "restore",
		Short: "Make a store from a backup and a key export",
		Long: `Make a data directory from a backup ('motte backup') and a key export ('motte key
export'). The identity given, an age identity or an SSH private key, decrypts the export.
'motte serve' then serves all objects, principals and rights under the same Core key, so
profiles stay valid. Neither the backup nor the export alone is enough.

Any export of a store opens any backup of it, except for erased principals: a principal that
was erased before the export is gone from older backups, too.

The store lacks all writes after the backup. Clients notice that it was rolled back, and
each accepts that with 'motte head accept'. For a server with an anchor, use 'motte recover
--accept-loss'. A backup does not hold the administrator's profile: keep a copy of it.`,
		Example: `  motte restore --from /mnt/backup/store --dir store --key store.keys.age --identity me.key
  motte restore --from - --dir /var/lib/motte --root-key /run/keys/motte --key store.keys.age --identity ~/.ssh/id_ed25519 <store.tar
  age -d me.key.age | motte restore --from /mnt/backup/store --dir store --key store.keys.age --identity -`,
	}, func(ctx context.Context, _ []string) error {
		if c.from == "" || c.dir == "" || c.key == "" || len(c.identities) == 0 {
			return usage("--from, --dir, --key and --identity are needed")
		}
		if c.rootKey == "" {
			c.rootKey = filepath.Join(c.dir, "root.key")
		}
		return a.restoreStore(ctx, &c)
	})
	f := cmd.Flags()
	f.StringVar(&c.from, "from", "", "directory `DEST` of the backup; -: a tar archive on standard input")
	f.StringVar(&c.dir, "dir", "", "data directory `DIR` to make, or to fill if it is empty")
	f.StringVar(&c.key, "key", "", "`FILE` with the key export")
	f.StringArrayVar(&c.identities, "identity", nil, "`FILE` with what decrypts the export; may be given several times; -: standard input")
	f.StringVar(&c.rootKey, "root-key", "", "`FILE` to put the root key into (default: root.key in the data directory)")
	f.BoolVar(&c.damaged, "damaged", false, "restore also a damaged store, which must be salvaged before it can be served")
	for _, name := range []string{"dir", "from"} {
		_ = cmd.MarkFlagDirname(name) // of the shell's completion
	}
	return cmd
}

func (a *app) restoreStore(ctx context.Context, c *restoring) error {
	keys, err := a.openExport(c)
	if err != nil {
		return err
	}
	bar := a.byteBar("restoring", false)
	cfg := restore.Config{From: c.from, Keys: keys, Dir: c.dir, RootKey: c.rootKey, Damaged: c.damaged, Progress: bar.tell}
	if c.from == toStream {
		cfg.Archive = a.stdin
	}
	r, err := restore.Run(ctx, cfg)
	bar.finish()
	if err != nil {
		return damaged(err)
	}
	v := restoredView{CoreKey: identifier(keys.CoreKey()), Made: r.Manifest.Made, LSN: r.LSN, Erased: r.Erased}
	v.Dir, v.DirBase64 = textOrBytes(c.dir)
	v.RootKey, v.RootKeyBase64 = textOrBytes(c.rootKey)
	if r.Damage != nil {
		v.Damage = r.Damage.Error()
		a.note("The store is damaged, and is not served before 'motte verify --dir %s --salvage': %v", c.dir, r.Damage)
	}
	if r.Erased {
		a.note("Principals were erased after this backup was made: the restored store lacks them, and all objects that they put.")
	}
	return a.done(v, "%s is the store as of %s, up to record %d. Its root key is %s.",
		filepath.Clean(c.dir), r.Manifest.Made.Format(time.DateTime+" MST"), r.LSN, c.rootKey)
}

// openExport decrypts the export of the keys.
func (a *app) openExport(c *restoring) (*keyexport.Keys, error) {
	streams := 0
	for _, path := range append([]string{c.from, c.key}, c.identities...) {
		if path == toStream {
			streams++
		}
	}
	if streams > 1 {
		return nil, usage("only one of --from, --key and --identity can be standard input")
	}
	var identities []age.Identity
	for _, path := range c.identities {
		p, err := a.readText(path, maxIdentity)
		if err != nil {
			return nil, fmt.Errorf("read the identity: %w", err)
		}
		list, err := keyexport.ParseIdentities(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		identities = append(identities, list...)
	}
	in, err := a.input(c.key)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	keys, err := keyexport.Open(in, identities...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.key, err)
	}
	return keys, nil
}

// maxIdentity bounds a file of private keys.
const maxIdentity = 1 << 20 // bytes

// input opens a file, or standard input.
func (a *app) input(path string) (io.ReadCloser, error) {
	if path == toStream {
		return io.NopCloser(a.stdin), nil
	}
	return os.Open(path)
}
