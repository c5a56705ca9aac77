package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/seglog"
	"motte/core/server"
	"motte/storetool/backup"
	"motte/storetool/fsck"
)

// damageError says that a store or a backup is damaged.
type damageError struct{ error }

func (e damageError) Unwrap() error { return e.error }

// damaged turns an error about damage into a damageError, for its exit code.
func damaged(err error) error {
	if errors.Is(err, seglog.ErrDamaged) || errors.Is(err, fsck.ErrHopeless) || errors.Is(err, backup.ErrAltered) {
		return damageError{err}
	}
	return err
}

// salvagedView is the result of a salvage, with the losses.
type salvagedView struct {
	*fsck.Report
	Salvaged *fsck.Salvaged `json:"salvaged"`
}

func (a *app) verify() *cobra.Command {
	var dir, rootKey string
	var salvage, yes, online bool
	cmd := a.leaf(&cobra.Command{
		Use:   "verify",
		Short: "Read all of a store, and print the damage",
		Long: `Read every file and every record of a store, while no server runs on it. The store may also be
a restored backup. The command compares each object's content with its identity. Both
checkpoints have to lead to the same state. It changes no file. If it finds damage, it prints
the damage and the losses, and the exit code is 9.

With --salvage the command repairs the store so that it can be served again. Only damaged
records are lost. An object whose newest version can't be read is gone, even if an older
version can be read. Live records in damaged files are relocated to new files. The damaged files
are kept under the name damaged-…: remove them when they are not needed any more. The command
prints the losses first. If a backup has the lost objects, restore it instead.

With --online the running server reads every live record, as for a client, and says how many are
damaged. 'motte alerts' says where. The server also reads the checkpoints, and replaces a
damaged one. It rests half of the time. It does not read dead records.`,
		Example: `  motte verify --dir store
  motte verify --dir /var/lib/motte --root-key /run/keys/motte --json
  motte verify --dir store --salvage
  motte verify --online`,
	}, func(ctx context.Context, _ []string) error {
		if online {
			if dir != "" || rootKey != "" || salvage {
				return usage("--online asks the server: --dir, --root-key and --salvage are for a store that no server has open")
			}
			return a.verifyOnline(ctx)
		}
		if dir == "" {
			return usage("--dir is missing: the directory of the store")
		}
		if rootKey == "" {
			rootKey = filepath.Join(dir, "root.key")
		}
		root, err := server.ReadRootKey(rootKey)
		if err != nil {
			return fmt.Errorf("read the root key: %w", err)
		}
		s, err := fsck.Open(dir, root, salvage)
		if errors.Is(err, seglog.ErrLocked) {
			return fmt.Errorf("%w: stop it, or restore a backup of it elsewhere and verify that", err)
		} else if err != nil {
			return err
		}
		if err = a.verifyStore(ctx, s, salvage, yes); err != nil {
			return errors.Join(damaged(err), s.Close())
		}
		return s.Close()
	})
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "data directory `DIR`")
	f.StringVar(&rootKey, "root-key", "", "`FILE` with the root key (default: root.key in the data directory)")
	f.BoolVar(&salvage, "salvage", false, "keep all readable records, and accept the loss of the others")
	f.BoolVar(&online, "online", false, "let the running server read every live record")
	f.BoolVar(&yes, "yes", false, "do not ask")
	_ = cmd.MarkFlagDirname("dir") // of the shell's completion
	return cmd
}

// onlineView is the result of 'motte verify --online'.
type onlineView struct {
	Objects uint64 `json:"objects"`
	Bytes   uint64 `json:"bytes"`
	Damaged uint64 `json:"damaged"`
}

// verifyOnline lets the server read every live record, and shows the progress.
func (a *app) verifyOnline(ctx context.Context) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	before, err := look(ctx, c)
	if err != nil {
		return err
	} else if before.Storage == nil {
		return client.ErrDenied
	}
	var v client.Verified
	err = a.await(ctx, c, "reading", int64(before.Storage.LiveBytes), func(now *view) int64 {
		return int64(now.Storage.ScrubbedBytes - before.Storage.ScrubbedBytes)
	}, func(ctx context.Context) (err error) {
		v, err = c.Verify(ctx)
		return err
	})
	if err != nil {
		return err
	}
	shown := onlineView{v.Objects, v.Bytes, v.Damaged}
	if v.Damaged == 0 {
		return a.done(shown, "Every live record is as it was written: %s, %s.", plural(int(v.Objects), "object"), size(v.Bytes))
	}
	if a.json {
		if err := a.emit(shown); err != nil {
			return err
		}
	}
	return damageError{fmt.Errorf("%d of %s and the checkpoints failed their check: 'motte alerts' says where", v.Damaged, plural(int(v.Objects), "object"))}
}

func (a *app) verifyStore(ctx context.Context, s *fsck.Store, salvage, yes bool) error {
	bar := a.byteBar("reading", false)
	r, err := s.Check(ctx, bar.tell)
	bar.finish()
	if err != nil {
		return err
	}
	if !salvage || !r.Damaged() {
		return a.verified(r)
	}
	if !a.json {
		a.printReport(r)
	}
	if r.Hopeless == "" { // otherwise Salvage returns an error
		question := fmt.Sprintf("Go on, and lose %s?", losses(r))
		if err := a.confirm(ctx, yes, question); err != nil {
			return err
		}
	}
	out, err := s.Salvage(time.Now())
	if err != nil {
		return err
	}
	if a.json {
		return a.emit(salvagedView{r, out})
	}
	return a.done(nil, "The store can be served: it has %s; %d %s gone, %d found in other places. Damaged files are kept: %s.",
		plural(out.Objects, "object"), out.Gone, map[bool]string{true: "is", false: "are"}[out.Gone == 1], out.Found, orNothing(out.SetAside))
}

// losses lists the losses, for people.
func losses(r *fsck.Report) string {
	text := known(r)
	if r.Open() {
		text += fmt.Sprintf(", and an unknown number of records more: %s", r.Unknown[len(r.Unknown)-1])
	}
	return text
}

// known lists the known losses, for people.
func known(r *fsck.Report) string {
	var parts []string
	if n := len(r.Gone); n > 0 {
		parts = append(parts, plural(n, "object"))
	}
	if n := len(r.Changes); n > 0 {
		parts = append(parts, plural(n, "change")+" of the catalogue")
	}
	if n := r.Count(); n > 0 {
		parts = append(parts, plural(n, "unreadable record"))
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func orNothing(list []string) string {
	if len(list) == 0 {
		return "there are none"
	}
	text := list[0]
	for _, s := range list[1:] {
		text += ", " + s
	}
	return text
}

// verified prints a report. Damage is an error.
func (a *app) verified(r *fsck.Report) error {
	if a.json {
		if err := a.emit(r); err != nil {
			return err
		}
	} else {
		a.printReport(r)
	}
	if r.Damaged() {
		return damageError{fmt.Errorf("the store is damaged; lost: %s", losses(r))}
	}
	return a.noJSON(r)
}

// noJSON prints that the store is undamaged, for people.
func (a *app) noJSON(r *fsck.Report) error {
	if a.json {
		return nil
	}
	return a.done(nil, "All that lies here is as it was written: %s, %s in %s, %s.\n%s.", plural(r.Objects, "object"),
		plural(r.Records, "record"), plural(r.Segments, "segment"), plural(r.Checkpoints, "checkpoint"), r.Unseen())
}

// printReport prints the findings, for people.
func (a *app) printReport(r *fsck.Report) {
	for _, d := range r.Damage {
		extent := ""
		if d.Bytes > 0 {
			extent = fmt.Sprintf(", %d bytes", d.Bytes)
		}
		fmt.Fprintf(a.stdout, "%s, offset %d%s: %s\n    lost: %s\n", d.File, d.Offset, extent, d.What, d.Lost)
	}
	for _, o := range r.Gone {
		fmt.Fprintf(a.stdout, "lost: object %s of collection %s\n    %s\n", o.ID, o.Collection, o.Why)
	}
	for _, c := range r.Changes {
		fmt.Fprintf(a.stdout, "lost: record %d, by which %s\n", c.LSN, c.What)
	}
	for _, x := range r.Unknown {
		fmt.Fprintf(a.stdout, "lost: %s, which can't be read: their puts, deletions, grants and revocations have no effect\n", x)
	}
	if r.Hopeless != "" {
		fmt.Fprintf(a.stdout, "lost: %s\n", r.Hopeless)
	}
	for _, n := range r.Notes {
		a.note("note: %s", n)
	}
}
