package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"motte/client"
	"motte/core/model"
)

// until waits until a condition holds. It repeats the check, also after an error that is
// temporary.
func (d *demo) until(ctx context.Context, what string, holds func() (bool, error)) error {
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		var ok bool
		if ok, err = holds(); ok {
			return nil
		}
		if err != nil && !client.Temporary(err) {
			return err
		}
	}
	return errors.Join(fmt.Errorf("waiting for %s took too long", what), err, ctx.Err())
}

// found counts objects.
func found(objects iter.Seq2[client.Object, error]) (n int, err error) {
	for _, err := range objects {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// record shows the alerts, and what the leak meter counted.
func (d *demo) record(ctx context.Context) error {
	alerts, err := d.admin.Alerts(ctx)
	if err != nil {
		return err
	}
	d.say("The sealed log keeps all alerts.")
	d.gap()
	d.row("%-10s %-10s %-20s %s", "record", "time", "index", "reason")
	reasons := make(map[model.Reason]int)
	for _, a := range alerts {
		reasons[a.Reason]++
		d.row("%-10d %-10s %-20s %s", a.LSN, time.Unix(a.Time, 0).Format(time.TimeOnly), a.Collection+" "+a.Index, client.ReasonName(a.Reason))
	}
	s, err := d.status(ctx, "doc")
	if err != nil {
		return err
	}
	d.gap()
	d.say("A Task that was taken over can hide a message in the choice and the order of the objects that it names. The Core counts "+
		"these bits for each index and principal: so far at most %d bits to admin through doc. An index can be given a budget.", s.LeakedBits)
	return check(reasons[model.ReasonTaskEnded] >= 1 && reasons[model.ReasonInvalidIdentity] >= 3 &&
		reasons[model.ReasonOtherCollection] >= 1 && reasons[model.ReasonBadFrame] >= 1, "alerts of three kinds are expected, and the alerts are %v", reasons)
}

// restart stops the whole server, starts it on the same data, and compares its state.
func (d *demo) restart(ctx context.Context) error {
	answers, err := d.ask(ctx)
	if err != nil {
		return err
	}
	alerts, err := d.admin.Alerts(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	server := d.server
	d.disconnect()
	d.server, d.admin, d.network, d.reader = nil, nil, nil, nil
	if err := server.Stop(); err != nil {
		return err
	}
	d.row("%-46s %9s", "stop the host, the Core and all Tasks", brief(time.Since(began)))
	began = time.Now()
	if err := d.serve(ctx); err != nil {
		return err
	}
	if err := d.connect(ctx); err != nil {
		return err
	}
	o, err := d.reader.Get(ctx, collection, "strings.Cut")
	if err := errors.Join(err, check(o.Name == "strings.Cut", "strings.Cut is not there")); err != nil {
		return err
	}
	d.row("%-46s %9s", "start again, verify every record, first GET", brief(time.Since(began)))
	for _, x := range indexes {
		if err := d.serving(ctx, x.name); err != nil {
			return err
		}
	}
	d.row("%-46s %9s", "… all indexes fed and serving", brief(time.Since(began)))
	d.gap()
	return d.allThere(ctx, answers, alerts)
}

// allThere compares the restarted server with its state before the restart.
func (d *demo) allThere(ctx context.Context, answers []map[client.Identity]bool, alerts []client.Alert) error {
	again, err := d.ask(ctx)
	if err != nil {
		return err
	}
	kept, err := d.admin.Alerts(ctx)
	if err != nil {
		return err
	}
	n, err := found(d.reader.List(ctx, collection))
	if err != nil {
		return err
	}
	own, err := found(d.network.List(ctx, collection))
	if err != nil {
		return err
	}
	d.say("%d objects, of which network sees %d; %d alerts; the same answers to all %d questions.", n, own, len(kept), len(questions))
	mine := len(d.library.where(ofNetwork))
	return errors.Join(
		check(same(answers, again), "the answers differ from those before the restart"),
		check(len(kept) >= len(alerts), "of %d alerts %d are left; want all", len(alerts), len(kept)),
		check(n == len(d.library) && own == mine, "%d objects, %d of network; want %d and %d", n, own, len(d.library), mine))
}
