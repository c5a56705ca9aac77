package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"motte/host"
	"motte/host/notify"
)

// readyView is the line that says how clients reach a server, as JSON.
type readyView struct {
	Address       string `json:"address"`
	CoreKey       string `json:"core_key"`
	Profile       string `json:"profile,omitempty"` // file
	ProfileBase64 []byte `json:"profile_base64,omitempty"`
}

func (a *app) serve() *cobra.Command {
	var cfg host.Config
	var jsonLog bool
	cmd := a.leaf(&cobra.Command{
		Use:   "serve",
		Short: "Serve a store",
		Long: `Serve a store: start the Core on a data directory, and the Tasks that it asks for.

The first start makes the store, its keys, and the profile of its administrator,
DIR/admin.profile: all that a client needs. Give it to the other commands by
--profile or MOTTE_PROFILE. You may move it elsewhere; the built-in Tasks are then
no longer registered by themselves after an upgrade.

Without --root-key the root key lies in the store, so whoever takes the disk can read the
store. Put the file on another medium. Only its owner may be able to read it.

With --anchor a place outside the store remembers the head of the log: a file on another
volume, or this machine's TPM. If the log lacks that head, because an older copy was put in
the store's place, the store is not served. The command ends with exit code 8, and 'motte help
recover' says how to go on. To give an anchor to an existing store, run 'motte recover
--accept-loss' once. See docs/how-to/protect-against-rollback.md.

The Core, motte-core, and the Tasks' executables, motte-task-NAME, are those
beside this executable; --task-dir names directories of more Tasks, which are used
once they are registered: motte task register NAME --file FILE.

A Core that ends or hangs is started again. The command ends if the Core refuses the store or
its key, or if the first Core crashes six times before it serves. A service manager with
sd_notify(3), such as systemd, learns when clients can connect and how the server is. See
docs/how-to/run-as-a-service.md for a unit.

SIGTERM or Ctrl-C stops the server in order, a second one at once. The log goes to
standard error. With --json, a line on standard output tells each time that
clients can connect: {"address":…,"core_key":…,"profile":…}.`,
		Example: `  motte serve --dir store
  motte serve --dir /var/lib/motte --listen 0.0.0.0:7433 --root-key /run/keys/motte --metrics 127.0.0.1:9433
  motte serve --dir /var/lib/motte --anchor tpm:/dev/tpmrm0`,
	}, func(ctx context.Context, _ []string) error {
		if cfg.Dir == "" {
			return usage("--dir is missing: the directory of the store; it is made if it is not there")
		}
		var err error
		if cfg.Manager, err = notify.FromEnvironment(); err != nil {
			return err
		}
		if cfg.MetricsNames && cfg.Metrics == "" {
			return usage("--metrics-names says what --metrics shows: give both")
		}
		cfg.Logger = a.logger(jsonLog)
		cfg.Ready = a.ready(cfg.Logger)
		// The server outlives the readers of its log and its output. Without a reader a
		// write fails, and does not end the process.
		broken := make(chan os.Signal, 1)
		signal.Notify(broken, syscall.SIGPIPE)
		defer signal.Stop(broken)
		return runs(host.Run(ctx, cfg))
	})
	f := cmd.Flags()
	f.StringVar(&cfg.Dir, "dir", "", "data directory `DIR`, made if it is not there")
	cfg.Listen = "127.0.0.1:7433"
	f.Var(address{&cfg.Listen, true}, "listen", "TCP `ADDRESS` for clients; port 0: any that is free")
	f.StringVar(&cfg.RootKey, "root-key", "", "`FILE` with the root key, made with a new store (default: root.key in the data directory)")
	f.StringVar(&cfg.Anchor, "anchor", "", anchorUsage)
	f.Var(address{&cfg.Metrics, true}, "metrics", "TCP `ADDRESS` for Prometheus's /metrics and for /readyz and /livez")
	f.BoolVar(&cfg.MetricsNames, "metrics-names", false, "let /metrics show the names of collections and indexes, to all of its readers")
	f.StringArrayVar(&cfg.TaskDirs, "task-dir", nil, "directory `DIR` with more Tasks' executables; may be given several times")
	f.BoolVar(&jsonLog, "log-json", false, "write the log as JSON")
	for _, name := range []string{"dir", "task-dir"} {
		_ = cmd.MarkFlagDirname(name) // of the shell's completion
	}
	return cmd
}

// logger writes the server's log. With --quiet it writes only warnings and errors.
func (a *app) logger(asJSON bool) *slog.Logger {
	o := &slog.HandlerOptions{Level: slog.LevelInfo}
	if a.quiet {
		o.Level = slog.LevelWarn
	}
	if asJSON {
		return slog.New(slog.NewJSONHandler(a.stderr, o))
	}
	return slog.New(slog.NewTextHandler(a.stderr, o))
}

// ready prints that clients can connect: for programs at each start of the Core, for people
// once.
func (a *app) ready(log *slog.Logger) func(host.Ready) {
	var once sync.Once
	return func(r host.Ready) {
		var err error
		if a.json {
			v := readyView{Address: r.Address, CoreKey: identifier(r.CoreKey)}
			v.Profile, v.ProfileBase64 = textOrBytes(r.Profile)
			err = a.emit(v)
		} else if !a.quiet {
			once.Do(func() { err = a.welcome(r) })
		}
		switch {
		case errors.Is(err, syscall.EPIPE):
			a.stdout.forget() // the reader has closed the pipe
		case err != nil:
			log.Warn("can't print that clients can connect", "error", err)
		}
	}
}

// welcome tells a person how to continue.
func (a *app) welcome(r host.Ready) error {
	_, err := fmt.Fprintf(a.stdout, "Serving on %s.\n", r.Address)
	if path, errPath := filepath.Abs(r.Profile); err == nil && errPath == nil && r.Profile != "" {
		_, err = fmt.Fprintf(a.stdout, "In another terminal:\n\n  export MOTTE_PROFILE=%s\n  motte status\n\n", shellWord(path))
	}
	return err
}

// shellWord quotes a path for a shell, if that is necessary.
func shellWord(path string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@%:,"
	if strings.Trim(path, plain) == "" {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
