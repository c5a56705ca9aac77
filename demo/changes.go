package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"motte/client"
)

// rights shows what each principal finds, gets and may do.
func (d *demo) rights(ctx context.Context) error {
	d.say("Three principals ask the same questions. An index knows nothing of rights: it names all matching objects, " +
		"and the Core leaves out what the principal may not see.")
	d.gap()
	d.row("%-10s  %-36s %8s %8s %8s", "", "", "admin", "reader", "network")
	for _, q := range []struct {
		index, predicate string
		is               func(symbol) bool // what the answer must hold, if the demo can compute it
	}{
		{"by_lines", "all", everything},
		{"by_package", `prefix "net/"`, func(s symbol) bool { return strings.HasPrefix(s.Package, "net/") }},
		{"by_package", `= "strings"`, func(s symbol) bool { return s.Package == "strings" }},
		{"doc", "timeout", nil},
	} {
		var n [3]int
		for i, c := range []*client.Client{d.admin, d.reader, d.network} {
			found, err := c.Count(ctx, client.Query{Collection: collection, Index: q.index, Predicate: q.predicate})
			if err != nil {
				return err
			}
			n[i] = int(found.Count)
		}
		d.row("%-10s  %-36s %8d %8d %8d", q.index, q.predicate, n[0], n[1], n[2])
		if q.is == nil {
			if err := check(n[0] == n[1] && n[2] > 0 && n[2] < n[0], "the counts are %d", n); err != nil {
				return err
			}
			continue
		}
		all := len(d.library.where(q.is))
		own := len(d.library.where(func(s symbol) bool { return q.is(s) && ofNetwork(s) }))
		if err := check(n == [3]int{all, all, own}, "the counts are %d; want %d, %d, %d", n, all, all, own); err != nil {
			return err
		}
	}
	d.gap()
	if err := d.listsOwn(ctx); err != nil {
		return err
	}
	return d.refusals(ctx)
}

// listsOwn lists the collection as network, which sees only the objects that it put.
func (d *demo) listsOwn(ctx context.Context) error {
	var listed []string
	for o, err := range d.network.List(ctx, collection) {
		if err != nil {
			return err
		}
		listed = append(listed, o.Name)
	}
	slices.Sort(listed)
	d.row("%-46s %d objects, all its own", "network lists the collection:", len(listed))
	return check(slices.Equal(listed, d.library.where(ofNetwork)), "network lists %d objects", len(listed))
}

// refusals makes calls that the three principals may not make. The Core must refuse each.
func (d *demo) refusals(ctx context.Context) error {
	for _, try := range []struct {
		what string
		do   func() error
		want error
	}{
		{"network gets fmt.Println, which admin put:", func() error { _, err := d.network.Get(ctx, collection, "fmt.Println"); return err }, client.ErrNotFound},
		{"network gets fmt.Nothing, which no principal put:", func() error { _, err := d.network.Get(ctx, collection, "fmt.Nothing"); return err }, client.ErrNotFound},
		{"reader puts an object:", func() error { _, err := d.reader.Put(ctx, collection, []byte("{}")); return err }, client.ErrDenied},
		{"reader deletes by predicate:", func() error {
			_, err := d.reader.DeleteWhere(ctx, client.Query{Collection: collection, Index: "by_lines", Predicate: "all"})
			return err
		}, client.ErrDenied},
	} {
		err := try.do()
		if err := check(errors.Is(err, try.want), "%s %v; want %v", try.what, err, try.want); err != nil {
			return err
		}
		d.row("%-46s %v", try.what, err)
	}
	return nil
}

// overwrite replaces an object, and searches for it immediately.
func (d *demo) overwrite(ctx context.Context) error {
	const name, word = "fmt.Println", "drawbridge"
	d.say("A PUT returns when the object is on the disk and every index has confirmed it, so any later search finds " +
		"it. An identity names one content, so the old identity is no longer valid.")
	d.gap()
	before, err := d.admin.Get(ctx, collection, name)
	if err != nil {
		return err
	}
	none, err := d.count(ctx, d.reader, "doc", word)
	if err != nil {
		return err
	}
	s := d.library[name]
	s.Doc += "\n\nFor the demo, this comment mentions a " + word + "."
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	put, err := d.admin.Put(ctx, collection, data, client.Name(name), client.IfIdentity(before.Identity))
	if err != nil {
		return err
	}
	d.library[name] = s
	d.row("admin puts %s again, with a comment that says “%s”:", name, word)
	d.row("  was  %x", before.Identity)
	d.row("  is   %x", put.Identity)
	d.row("  the first half names the object, the second half its content")
	found, err := d.search(ctx, d.reader, "doc", word, 0)
	if err != nil {
		return err
	}
	_, gone := d.reader.GetIdentity(ctx, collection, before.Identity)
	d.row("%-46s %v", "reader gets the object by its old identity:", gone)
	_, stale := d.admin.Put(ctx, collection, data, client.Name(name), client.IfIdentity(before.Identity))
	d.row("%-46s %v", "admin puts, if the old identity is still current:", stale)
	return errors.Join(
		check(none == 0 && len(found) == 1 && found[0].Symbol == name, "before the PUT %d objects were found, after it %d; want 0 and 1", none, len(found)),
		check(before.Identity.Value() == put.Identity.Value() && before.Identity != put.Identity, "the new identity must differ from the old one only in its second half"),
		check(errors.Is(gone, client.ErrNotFound) && errors.Is(stale, client.ErrPreconditionFailed), "%v; %v", gone, stale))
}

// deleteWhere deletes the objects that match a predicate.
func (d *demo) deleteWhere(ctx context.Context) error {
	const predicate = "deprecated"
	d.say("The Core deletes each named object that is live and that admin may delete. Then every other index forgets it.")
	d.gap()
	before, err := d.count(ctx, d.admin, "by_lines", "all")
	if err != nil {
		return err
	}
	list, err := d.search(ctx, d.admin, "doc", predicate, 0)
	if err != nil {
		return err
	}
	deleted, err := d.admin.DeleteWhere(ctx, client.Query{Collection: collection, Index: "doc", Predicate: predicate})
	if err != nil {
		return err
	}
	for _, s := range list {
		delete(d.library, s.Symbol)
	}
	d.row("%-58s %6d deleted", fmt.Sprintf("admin deletes where doc has “%s”:", predicate), deleted.Count)
	none, err := d.count(ctx, d.admin, "doc", predicate)
	if err != nil {
		return err
	}
	after, err := d.count(ctx, d.admin, "by_lines", "all")
	if err != nil {
		return err
	}
	return check(int(deleted.Count) == len(list) && len(list) > 0 && none == 0 && after == before-len(list) && after == len(d.library),
		"deleted %d of %d; %d of these are left, and %d objects in all", deleted.Count, len(list), none, after)
}
