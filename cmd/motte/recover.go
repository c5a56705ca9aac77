package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"motte/host"
	"motte/host/anchor"
)

const anchorUsage = "`PLACE` outside the store that remembers the head of its log: " + anchor.Specs

// acceptedLossView is the result of 'motte recover --accept-loss'.
type acceptedLossView struct {
	Accepted string `json:"accepted"` // difference between store and anchor
}

func (a *app) recover() *cobra.Command {
	// The Core is started to check and record, not for clients.
	cfg := host.Config{Listen: "127.0.0.1:0"}
	var acceptLoss, newAdmin, yes bool
	var made newAdminFile
	cmd := a.leaf(&cobra.Command{
		Use:   "recover",
		Short: "Go on with a store that is refused, or that has lost its administrators",
		Long: `Change a store that 'motte serve' refuses so that it is served again, or give a store a
new administrator. The server has to be stopped.

With --accept-loss: go on with a store that its anchor does not know. 'motte serve' ends
with exit code 8 if the log lacks the head that the anchor remembers. Then somebody put an
older copy of the store in its place, the disk lost writes, or two copies were served. It
also ends so if the anchor is empty and the store is not new. Then the anchor is used with
this store for the first time, or somebody emptied it.

If you did not restore a backup, and did not set up this anchor just now, stop here. Keep a
copy of the store, and find out who can write its disk. Deleted objects, revoked rights and
erased principals since then are there again. If the right store is somewhere else, put it in
this place instead.

The command first prints what is known about the store and the anchor. Then it records an
alert, loss-accepted, in the log for good, and the anchor remembers the present head. Clients
also notice that the store was rolled back: each accepts it with 'motte head accept'.

With --new-admin: make a new administrator if the profiles of all administrators are lost or
stolen. The command makes a key, whose owner is then the only administrator of the server, and
writes the profile to --out. All other administrators lose the right admin on the server. They
stay principals, with their objects and their rights in collections: remove those whose keys
were stolen ('motte principal remove'). The command needs the root key, and records an alert,
new-administrator, in the log for good. Give the same --anchor as to 'motte serve': then the
command does not change a store that was rolled back. If the command was cut short, run it
again.`,
		Example: `  motte recover --dir store --new-admin
  motte recover --dir store --anchor file:/mnt/other/motte.head --accept-loss
  motte recover --dir /var/lib/motte --root-key /run/keys/motte --anchor tpm:/dev/tpmrm0 --accept-loss --yes`,
	}, func(ctx context.Context, _ []string) error {
		// Errors of the Core are returned, and its other lines are expected.
		cfg.Logger = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
		switch {
		case cfg.Dir == "":
			return usage("--dir is missing: the directory of the store")
		case acceptLoss && newAdmin:
			return usage("either --accept-loss or --new-admin, one after the other")
		case acceptLoss:
			return a.acceptLoss(ctx, cfg, yes)
		case newAdmin:
			return a.newAdmin(ctx, cfg, made, yes)
		}
		return usage("say what to do: --accept-loss or --new-admin, see 'motte help recover'")
	})
	f := cmd.Flags()
	f.StringVar(&cfg.Dir, "dir", "", "data directory `DIR`")
	f.StringVar(&cfg.RootKey, "root-key", "", "`FILE` with the root key (default: root.key in the data directory)")
	f.StringVar(&cfg.Anchor, "anchor", "", anchorUsage)
	f.BoolVar(&acceptLoss, "accept-loss", false, "go on with a store that its anchor does not know")
	f.BoolVar(&newAdmin, "new-admin", false, "make a new administrator, the only one of the server")
	f.StringVar(&made.path, "out", "", "`FILE` for the new administrator's profile (default: admin.profile in the data directory)")
	f.BoolVar(&made.replace, "replace", false, "let --out replace a file that is there")
	made.address = "127.0.0.1:7433"
	f.Var(address{to: &made.address}, "address", "`HOST:PORT` at which the new administrator reaches the server")
	f.BoolVar(&yes, "yes", false, "do not ask")
	_ = cmd.MarkFlagDirname("dir") // of the shell's completion
	return cmd
}

func (a *app) acceptLoss(ctx context.Context, cfg host.Config, yes bool) error {
	if cfg.Anchor == "" {
		return usage("--anchor is missing: the one that 'motte serve' is given")
	}
	why := runs(host.Verify(ctx, cfg))
	switch {
	case why == nil:
		return errors.New("the store is not older than its anchor: there is nothing to accept")
	case !errors.Is(why, host.ErrOlder) && !errors.Is(why, host.ErrForgotten):
		return why
	}
	if !a.json {
		a.say("%v\n", why) // also with --quiet, since the user decides about it
	}
	if err := a.confirm(ctx, yes, "Go on with the store as it is?"); err != nil {
		return err
	}
	if err := host.AcceptLoss(ctx, cfg); err != nil {
		return runs(err)
	}
	return a.done(acceptedLossView{why.Error()}, "The loss is accepted, and recorded as an alert. The anchor remembers the present head.")
}
