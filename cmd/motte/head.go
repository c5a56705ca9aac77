package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"motte/client"
)

func (a *app) head() *cobra.Command {
	cmd := a.remote(&cobra.Command{
		Use:   "head",
		Short: "Print the head of the log, which shows whether a store was rolled back",
		Long: `Print the head of the log: the sequence number of the last durable record, the ID of
its segment, and the chain value that commits to all records up to it.

Every answer of a server has the head. Every command keeps the newest head in FILE.head,
beside the profile FILE. The next command first asks the server whether its log still has
that head in its history. If not, the store was rolled back, or is a fork: two copies of it
were served. Then the command sends no request and ends with exit code 8. See 'motte help
head accept'.`,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		h, err := c.Ping(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return a.emit(newHead(h))
		}
		_, err = fmt.Fprintln(a.stdout, newHead(h))
		return err
	})
	cmd.AddCommand(a.headAccept())
	return cmd
}

// acceptedView shows the head that a profile remembered, and the head that it remembers now.
type acceptedView struct {
	Remembered *headView `json:"remembered,omitempty"` // nil: no head could be read
	Accepted   *headView `json:"accepted,omitempty"`   // nil: there was nothing to accept
}

func (a *app) headAccept() *cobra.Command {
	var yes bool
	cmd := a.leaf(&cobra.Command{
		Use:   "accept",
		Short: "Go on with a store that was rolled back, or is a fork",
		Long: `Go on with a store that was rolled back, or is a fork: replace the remembered head in
FILE.head, beside the profile FILE, by the server's present head.

Use it after exit code 8: the log lacks a head that the server, or another copy of it, had
said was on its disk. Either somebody put an older copy of the store in its place, or two
copies of it were served. First ask the store's operator, not through the server. If the
store was restored from a backup after a loss, accept it, and write again what was written
after the backup. Otherwise it may be an attack: deleted objects, revoked rights and erased
principals since then are there again.

This accepts the store for this profile only. Running programs with this profile go on by
themselves.`,
		Example: `  motte head accept
  motte head accept --yes`,
	}, func(ctx context.Context, _ []string) error {
		path, err := a.profilePath()
		if err != nil {
			return err
		}
		p, err := a.readProfile()
		if err != nil {
			return err
		}
		found, v, err := compareHeads(ctx, p)
		if err != nil {
			return err
		}
		if v.Accepted == nil {
			return a.done(v, "The server's log has the remembered head: there is nothing to accept.")
		}
		remembered := "unreadable"
		if v.Remembered != nil {
			remembered = v.Remembered.String()
		}
		question := fmt.Sprintf("Remembered:  %s\nThe server:  %s\nGo on with the store as the server has it?", remembered, v.Accepted)
		if err := a.confirm(ctx, yes, question); err != nil {
			return err
		}
		if err := client.HeadFileOf(path).Replace(p.LogKey(), found); err != nil {
			return err
		}
		return a.done(v, "The head of the log is now %s.", v.Accepted)
	})
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return cmd
}

// compareHeads asks the server for its head, and whether it has the remembered head.
func compareHeads(ctx context.Context, p *client.Profile) (found client.Head, v acceptedView, err error) {
	c, err := dial(ctx, p)
	var back *client.RolledBackError
	switch {
	case errors.As(err, &back):
		found = back.Found
		v.Remembered = new(newHead(back.Remembered))
	case errors.Is(err, client.ErrHeadFile):
		p.Heads = nil // without a remembered head there is no comparison
		if c, err = dial(ctx, p); err != nil {
			return found, v, err
		}
		found = c.Head()
		_ = c.Close() // an error of Close loses nothing: the connection stores no head
	case err != nil:
		return found, v, err
	default:
		return found, v, c.Close()
	}
	v.Accepted = new(newHead(found))
	return found, v, nil
}
