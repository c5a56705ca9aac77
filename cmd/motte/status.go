package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"motte/client"
)

func (a *app) status() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:   "status",
		Short: "Show the server, as far as you may see it",
		Long: `Show the server, its collections, indexes, Tasks, principals and grants: all of it to
a server administrator, to others what concerns them. With --json one value has it all.`,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		if err := c.SaveHead(); err != nil {
			v.HeadNotKept = err.Error()
		}
		if a.json {
			return a.emit(v)
		}
		me, err := a.readProfile()
		if err != nil {
			return err
		}
		return a.overview(v, identifier(me.Principal()))
	})
}

func (a *app) overview(v *view, me string) error {
	for _, p := range v.Principals {
		if p.Principal == me {
			fmt.Fprintf(a.stdout, "You are %s, principal %s.\n", p.Label, me)
		}
	}
	if s := v.Server; s != nil {
		disk := ""
		if s.DiskBytes > 0 { // 0: not counted yet
			disk = fmt.Sprintf(", which take %s of the disk with all else", size(s.DiskBytes))
		}
		fmt.Fprintf(a.stdout, "The server has run for %v: %s, %s of log in %s%s, %s, %s.\n",
			time.Duration(s.UptimeSeconds)*time.Second, plural(s.Objects, "object"), size(s.LogBytes), plural(s.Segments, "segment"), disk,
			plural(s.Connections, "connection"), plural(s.Alerts, "alert"))
		if s.RootKeyInStore {
			fmt.Fprintln(a.stdout, "The root key lies in the data directory: a stolen disk is readable. See 'motte help serve', --root-key.")
		}
		if s.ReadOnly {
			fmt.Fprintln(a.stdout, "THE DISK REFUSED A WRITE: the server serves reads only. It retries the write until the disk accepts it.")
		}
	}
	if s := v.Server; s != nil && s.DiskFull {
		fmt.Fprintln(a.stdout, "THE DISK IS FULL: the server refuses writes that need more space. Delete objects and 'motte compact', or give it a larger disk.")
	}
	if s := v.Storage; s != nil {
		fmt.Fprintln(a.stdout, s)
	}
	if v.HeadNotKept != "" {
		fmt.Fprintf(a.stdout, "The head of the log is not kept, so a rollback of the store may not be noticed: %s.\n", v.HeadNotKept)
	}
	fmt.Fprintln(a.stdout)
	for _, part := range []struct {
		any   bool
		print func(*view) error
	}{
		{len(v.Collections) > 0, a.collections},
		{len(v.Indexes) > 0, a.indexes},
		{len(v.Tasks) > 0, a.tasks},
		{len(v.Grants) > 0, a.grants},
	} {
		if !part.any {
			continue
		}
		if err := part.print(v); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout)
	}
	_, err := fmt.Fprintf(a.stdout, "Head of the log: %s\n", v.Head)
	return err
}

// String writes the storage for people.
func (s *storageView) String() string {
	checkpoint := "there is no checkpoint, so a start reads the whole log"
	if s.CheckpointBytes > 0 {
		age := "was written before this start"
		if s.CheckpointLSN > 0 {
			age = fmt.Sprintf("is %v old", time.Duration(s.CheckpointSeconds)*time.Second)
		}
		checkpoint = fmt.Sprintf("the newest checkpoint has %s and %s", size(s.CheckpointBytes), age)
	}
	scrub := fmt.Sprintf("The scrub has read %s since the start; its passes over the store: %d", size(s.ScrubbedBytes), s.ScrubPasses)
	if s.ScrubPasses > 0 {
		scrub += fmt.Sprintf(", the last one %v ago", time.Duration(s.ScrubSeconds)*time.Second)
	}
	if s.ScrubDamaged > 0 {
		scrub += fmt.Sprintf("; it found %s damaged: see 'motte alerts'", plural(int(s.ScrubDamaged), "record"))
	}
	return fmt.Sprintf("Of the log %s is live; %s. Compaction has moved %s and given back %s since the start. %s.",
		size(s.LiveBytes), checkpoint, size(s.MovedBytes), size(s.GivenBackBytes), scrub)
}

func (a *app) grants(v *view) error {
	return table(a, v.Grants, "PRINCIPAL | MAY | IN", func(g grantView) []any {
		who := g.Label
		if who == "" {
			who = g.Principal
		}
		return []any{who, strings.Join(g.Rights, ","), g.Collection}
	})
}

// alertView is an alert as JSON.
type alertView struct {
	LSN        uint64 `json:"lsn"`
	Time       string `json:"time"`
	Reason     string `json:"reason"`
	Collection string `json:"collection,omitempty"`
	Index      string `json:"index,omitempty"`
	Segment    uint32 `json:"segment,omitempty"`
	Offset     uint32 `json:"offset,omitempty"`
}

// unlessZero returns a number of an alert, or a dash for 0. Few alerts have a segment and an
// offset. An alert has no LSN while the log takes no writes.
func unlessZero[N uint32 | uint64](n N) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

func (a *app) alerts() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:   "alerts",
		Short: "List the newest alerts about Tasks, the disk and the operator",
		Long: `List the newest alerts, oldest first; for server administrators. An alert is recorded
in the sealed log when a Task breaks its contract or is much too slow; the server then ends that
Task and builds its index anew. It is also recorded when the disk returns other data than were
written:

  invalid-identity   the Task returned an identity that the Core never made, or one of an object that is gone
  other-collection   it returned an identity of another collection
  bad-frame          it sent something that can't be decoded
  unasked            it answered a question that was not asked, or answered it twice
  too-many-results   it returned more identities than it may
  too-slow           it exceeded its deadline, and did not recover: the machine may be busy
  task-ended         its process ended
  damaged-record     a stored record failed its check; SEGMENT and OFFSET say where
  storage            the disk refused a write
  checkpoint         a checkpoint failed its check: at a start the one before was used, later others were written
  loss-accepted      the operator accepted a store that lacks acknowledged writes
  file-lost          a file of the store was removed, cut off or replaced by another program
  keys-older         an older file of data keys was put back; it may hold keys that were destroyed
  directory-moved    the data directory was moved or replaced; nothing is written until it is back
  set-aside          the Task ended over an input, which the index does without from now on;
                     SEGMENT and OFFSET say where it is stored. See 'motte index retry'
  upgrade-refused    a new executable does not accept the configuration of the index, which serves
                     with the old one. See 'motte task upgrade --rollback'
  read-failed        the disk did not return a stored record, which may still be intact.
                     SEGMENT and OFFSET say where; at most one alert a minute
  new-administrator  the operator made a new administrator of the server, and all others lost that right

The time is that of a clock which the host controls.`,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		list, err := c.Alerts(ctx)
		if err != nil {
			return err
		}
		views := make([]alertView, len(list))
		for i, x := range list {
			views[i] = alertView{x.LSN, time.Unix(x.Time, 0).UTC().Format(time.RFC3339), client.ReasonName(x.Reason),
				x.Collection, x.Index, x.Segment, x.Offset}
		}
		return table(a, views, "TIME | REASON | COLLECTION | INDEX | LSN | SEGMENT | OFFSET", func(v alertView) []any {
			return []any{v.Time, v.Reason, v.Collection, v.Index, unlessZero(v.LSN), unlessZero(v.Segment), unlessZero(v.Offset)}
		})
	})
}
