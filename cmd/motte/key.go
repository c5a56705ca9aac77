package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"motte/internal/atomicfile"
	"motte/storetool/keyexport"
)

// exportedView is the result of a key export, without the keys.
type exportedView struct {
	Store      string    `json:"store"`
	CoreKey    string    `json:"core_key"`
	Made       time.Time `json:"made"`
	Recipients int       `json:"recipients"`
	Out        string    `json:"out,omitempty"` // file; missing if the export went to standard output
	OutBase64  []byte    `json:"out_base64,omitempty"`
}

func (a *app) key() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "key",
		Short: "The keys of a store",
	}, []*cobra.Command{a.keyExport(), a.keyRotateRoot(), a.keyRotateCore()})
}

// exporting is the command line of an export.
type exporting struct {
	dir, rootKey, out string
	recipients, files []string
	armor             bool
}

func (a *app) keyExport() *cobra.Command {
	var c exporting
	cmd := a.leaf(&cobra.Command{
		Use:   "export",
		Short: "Write the keys of a store, encrypted to the given recipients",
		Long: `Write a key export: the keys of a store, encrypted with age to the given recipients. Each
recipient alone can decrypt it and so restore any backup of the store ('motte restore'). A
recipient is an age recipient (age1…, from age-keygen) or an SSH public key. The server may run.

Keep key exports apart from backups: whoever has both can read the store. After 'motte
principal remove --erase' make a new export, and destroy the older ones: they still open the
erased objects in older copies of the store.`,
		Example: `  motte key export --dir store --recipient age1u4l9… --out store.keys.age
  motte key export --dir store --root-key /run/keys/motte --recipients-file admins.txt --armor >store.keys.asc
  motte key export --dir store --recipient "$(cat ~/.ssh/id_ed25519.pub)" --out store.keys.age`,
	}, func(context.Context, []string) error {
		if c.dir == "" {
			return usage("--dir is missing: the directory of the store")
		}
		if c.rootKey == "" {
			c.rootKey = filepath.Join(c.dir, "root.key")
		}
		if c.out == toStream {
			c.out = ""
		}
		return a.exportKeys(&c)
	})
	f := cmd.Flags()
	f.StringVar(&c.dir, "dir", "", "data directory `DIR`")
	f.StringVar(&c.rootKey, "root-key", "", "`FILE` with the root key (default: root.key in the data directory)")
	f.StringArrayVar(&c.recipients, "recipient", nil, "`RECIPIENT` to encrypt to; may be given several times")
	f.StringArrayVar(&c.files, "recipients-file", nil, "`FILE` with recipients, one on a line; may be given several times")
	f.StringVar(&c.out, "out", "", "`FILE` to make (default, and -: standard output)")
	f.BoolVar(&c.armor, "armor", false, "write text, not bytes")
	_ = cmd.MarkFlagDirname("dir") // of the shell's completion
	return cmd
}

func (a *app) exportKeys(c *exporting) error {
	to, err := a.parseRecipients(c)
	if err != nil {
		return err
	}
	if c.out == "" && !c.armor && isTerminal(a.stdout) {
		return usage("standard output is a terminal: say --armor, or --out FILE")
	}
	keys, err := keyexport.Read(c.dir, c.rootKey, time.Now())
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := keys.Write(&text, c.armor, to...); err != nil {
		return err
	}
	store := keys.Store()
	v := exportedView{Store: hex.EncodeToString(store[:]), CoreKey: identifier(keys.CoreKey()), Made: keys.Made, Recipients: len(to)}
	v.Out, v.OutBase64 = textOrBytes(c.out)
	if c.out == "" {
		_, err := a.stdout.Write(text.Bytes())
		return err
	}
	if err := atomicfile.Create(c.out, 0o600, text.Bytes()); err != nil {
		return err
	}
	return a.done(v, "%s holds the keys of the store whose Core key is %s, for %s.", c.out, v.CoreKey, plural(len(to), "recipient"))
}

func (a *app) parseRecipients(c *exporting) (list []age.Recipient, err error) {
	lines := c.recipients
	for _, path := range c.files {
		p, err := a.readText(path, maxIdentity)
		if err != nil {
			return nil, err
		}
		before := len(lines)
		for line := range strings.Lines(string(p)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines = append(lines, line)
			}
		}
		if len(lines) == before { // the expected recipients could not restore the store
			return nil, fmt.Errorf("%s names no recipient", path)
		}
	}
	if len(lines) == 0 {
		return nil, usage("--recipient is missing: who may restore the store, age1… or an SSH public key")
	}
	for _, line := range lines {
		r, err := keyexport.ParseRecipient(line)
		if err != nil {
			return nil, usage("%v", err)
		}
		list = append(list, r)
	}
	return list, nil
}
