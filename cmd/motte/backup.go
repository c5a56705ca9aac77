package main

import (
	"context"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"motte/storetool/backup"
)

// backupView is the result of a backup.
type backupView struct {
	Store       string    `json:"store"`
	Made        time.Time `json:"made"`
	LSN         uint64    `json:"lsn"`
	Files       int       `json:"files"`
	Bytes       int64     `json:"bytes"`
	Copied      int       `json:"copied"`
	CopiedBytes int64     `json:"copied_bytes"`
	Removed     int       `json:"removed"`
	Unclear     bool      `json:"unclear"`
}

// toStream, in the place of a directory, stands for standard output or input.
const toStream = "-"

func (a *app) backup() *cobra.Command {
	var dir, to string
	var o backup.Options
	cmd := a.leaf(&cobra.Command{
		Use:   "backup",
		Short: "Copy a store, sealed as it is, while it is served",
		Long: `Copy the data of a store, sealed as it is. The server may run, and does not stop or wait
for it. The backup has every write that was acknowledged before the backup began.

The directory given with --to is the backup. The next backup into it copies only new files,
and removes files that are not needed any more. If it is interrupted, the backup before can
still be restored. Use another directory, or snapshots of this one, to keep older states. With
--to - a whole backup goes to standard output, as a tar archive.

A backup holds no key. So it is useless to a thief, and alone it is useless to you, too.
Export the keys once, and again after each erasure: see 'motte help key export'.`,
		Example: `  motte backup --dir store --to /mnt/backup/store
  motte backup --dir store --to - | ssh backup.example 'cat >store.tar'`,
	}, func(ctx context.Context, _ []string) error {
		if dir == "" || to == "" {
			return usage("--dir and --to are needed: the directory of the store, and that of the backup")
		}
		bar := a.byteBar("copying", to == toStream)
		o.Now, o.Progress = time.Now(), bar.tell
		var r *backup.Report
		var err error
		if to == toStream {
			if isTerminal(a.stdout) {
				return usage("standard output is a terminal: send the archive into a file")
			}
			r, err = backup.ToTar(ctx, dir, a.stdout, o)
		} else {
			r, err = backup.ToDirectory(ctx, dir, to, o)
		}
		bar.finish()
		if err != nil {
			return err
		}
		return a.backedUp(r, to)
	})
	f := cmd.Flags()
	f.StringVar(&dir, "dir", "", "data directory `DIR`")
	f.StringVar(&to, "to", "", "directory `DEST` of the backup, made if it is not there; -: a tar archive to standard output")
	f.BoolVar(&o.AcceptOlder, "accept-older", false, "replace a backup of a newer state of the store")
	f.BoolVar(&o.Recheck, "recheck", false, "read the files of the backup, too, and copy altered ones again")
	for _, name := range []string{"dir", "to"} {
		_ = cmd.MarkFlagDirname(name) // of the shell's completion
	}
	return cmd
}

// backedUp prints the result of a backup. If the backup went to standard output, it prints to
// standard error.
func (a *app) backedUp(r *backup.Report, to string) error {
	if r.Unclear {
		a.note("Unrecognised bytes follow the newest record of the store: a write that a crash cut short, or damage. To find out, run 'motte verify' on the restored backup, or on the stopped store.")
	}
	if to == toStream {
		a.note("Wrote a backup of %s, up to record %d.", size(uint64(r.Bytes)), r.Manifest.LSN)
		return nil
	}
	m := r.Manifest
	v := backupView{m.Store, m.Made, m.LSN, r.Files, r.Bytes, r.Copied, r.CopiedBytes, r.Removed, r.Unclear}
	return a.done(v, "%s holds the store up to record %d: %s in %s, of which %s was copied now.",
		filepath.Clean(to), m.LSN, size(uint64(r.Bytes)), plural(r.Files, "file"), size(uint64(r.CopiedBytes)))
}

// byteBar is a progress bar that counts bytes.
type byteBar struct {
	bar   *progressbar.ProgressBar
	total int64
}

func (a *app) byteBar(what string, hide bool) *byteBar {
	return &byteBar{bar: a.bar(-1, what, append(hidden(hide && isTerminal(a.stdout)), progressbar.OptionShowBytes(true))...)}
}

// tell moves the progress bar. It ignores errors of the terminal.
func (b *byteBar) tell(done, total int64) {
	if total != b.total && total > 0 {
		b.total = total
		b.bar.ChangeMax64(total)
	}
	_ = b.bar.Set64(done)
}

func (b *byteBar) finish() { _ = b.bar.Finish() }
