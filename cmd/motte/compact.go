package main

import (
	"context"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"motte/client"
)

// compactView is the result of a compaction.
type compactView struct {
	MovedBytes     uint64 `json:"moved_bytes"`
	GivenBackBytes uint64 `json:"given_back_bytes"`
	LogBytes       uint64 `json:"log_bytes"`
	LiveBytes      uint64 `json:"live_bytes"`
}

func (a *app) compact() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:   "compact",
		Short: "Free the disk space of deleted and replaced objects",
		Long: `Free the disk space of deleted and replaced objects. The server also does so by itself, a
little at a time. This command does all of it now, and returns when it is done. The server
answers requests meanwhile.

The moved bytes are live records that had to be written again. The server needs that much
free space until it is done.`,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		before, err := look(ctx, c)
		if err != nil {
			return err
		}
		if before.Storage == nil {
			return client.ErrDenied
		}
		if err := a.compacting(ctx, c, before); err != nil {
			return err
		}
		after, err := look(ctx, c)
		if err != nil {
			return err
		}
		if after.Storage == nil || after.Server == nil {
			return client.ErrDenied // the right was revoked meanwhile
		}
		v := compactView{after.Storage.MovedBytes - before.Storage.MovedBytes,
			after.Storage.GivenBackBytes - before.Storage.GivenBackBytes, after.Server.LogBytes, after.Storage.LiveBytes}
		return a.done(v, "Gave back %s, and moved %s for it: the log now has %s, of which %s is live.",
			size(v.GivenBackBytes), size(v.MovedBytes), size(v.LogBytes), size(v.LiveBytes))
	})
}

// compacting compacts, and shows the progress.
func (a *app) compacting(ctx context.Context, c *client.Client, before *view) error {
	total := int64(-1) // unknown: there may be nothing to free, or this principal may not see it
	if s := before.Storage; s != nil && before.Server != nil && before.Server.LogBytes > s.LiveBytes {
		total = int64(before.Server.LogBytes - s.LiveBytes)
	}
	err := a.await(ctx, c, "compacting", total, func(v *view) int64 {
		return int64(v.Storage.GivenBackBytes - before.Storage.GivenBackBytes)
	}, c.Compact)
	if ctx.Err() != nil {
		a.note("The compaction continues on the server; 'motte status' shows the freed space.")
	}
	return err
}

// await runs long work of the server, and shows how many bytes of a total are done. A total of
// -1 is unknown.
func (a *app) await(ctx context.Context, c *client.Client, what string, total int64, done func(*view) int64,
	work func(context.Context) error) error {
	bar := a.bar(total, what, progressbar.OptionShowBytes(true))
	defer bar.Finish()
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
			// Ignore an error: only the progress is lost, and the answer still comes.
			if v, err := look(ctx, c); err == nil && v.Storage != nil {
				_ = bar.Set64(min(done(v), max(total, 0))) // ignore errors of the display
			}
		}
	}
}
