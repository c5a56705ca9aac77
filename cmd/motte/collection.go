package main

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"motte/client"
)

func (a *app) collection() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "collection",
		Short: "Create, list, limit and drop collections",
		Long: `A collection is a set of objects, with grants that say who may do what with them,
and indexes that find them.`,
	}, []*cobra.Command{a.collectionCreate(), a.collectionList(), a.collectionQuota(), a.collectionDrop()})
}

// collectionName is the result of a change to a collection, for programs.
type collectionName struct {
	Collection string `json:"collection"`
}

func (a *app) collectionCreate() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:     "create NAME",
		Short:   "Make a collection, in which you get all rights",
		Example: `  motte collection create people`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.CreateCollection(ctx, args[0]); err != nil {
			return fmt.Errorf("collection %s: %w", args[0], err)
		}
		return a.done(collectionName{args[0]}, "Collection %s is made.", args[0])
	})
}

func (a *app) collectionList() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:   "list",
		Short: "List the collections in which you have a right",
		Long: `List the collections in which you have a right; a server administrator sees all.
Numbers, sizes and quotas are shown to principals that may read all objects.`,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		return a.collections(v)
	})
}

func (a *app) collections(v *view) error {
	return table(a, v.Collections, "COLLECTION | OBJECTS | SIZE | QUOTA | INDEXES | YOUR RIGHTS", func(c collectionView) []any {
		return []any{c.Collection, c.Objects, size(c.Bytes), c.quota(), c.Indexes, strings.Join(c.Rights, ",")}
	})
}

// quota writes a quota for people.
func (c *collectionView) quota() string {
	var parts []string
	if c.QuotaBytes > 0 {
		parts = append(parts, strings.ReplaceAll(size(c.QuotaBytes), " ", ""))
	}
	if c.QuotaObjects > 0 {
		parts = append(parts, fmt.Sprintf("%d objects", c.QuotaObjects))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// quotaView is a quota that was set, for programs.
type quotaView struct {
	Collection   string `json:"collection"`
	QuotaBytes   uint64 `json:"quota_bytes"`
	QuotaObjects uint64 `json:"quota_objects"`
}

func (a *app) collectionQuota() *cobra.Command {
	var bytes byteSize
	var objects uint64
	var cmd *cobra.Command
	cmd = a.remote(&cobra.Command{
		Use:   "quota COLLECTION",
		Short: "Set the most that a collection may hold",
		Long: `Set the most bytes and objects that a collection may hold; 0 is no limit. A limit that
is not given stays as it is. For server administrators.

Each object counts with its seals, as the log stores it: 118 to 125 bytes more than its
name, its attributes and itself. A write that would let the collection grow beyond its
quota is refused, with exit code 10. Deletions, and writes that do not let it grow,
always go on: so a quota may be lower than the present size.`,
		Example: `  motte collection quota people --bytes 10GiB --objects 1000000
  motte collection quota people --bytes 0`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		if !cmd.Flags().Changed("bytes") && !cmd.Flags().Changed("objects") {
			return usage("--bytes or --objects is needed")
		}
		q, err := quotaOf(ctx, c, args[0])
		if cmd.Flags().Changed("bytes") {
			q.Bytes = uint64(bytes)
		}
		if cmd.Flags().Changed("objects") {
			q.Objects = objects
		}
		if err == nil {
			err = c.SetQuota(ctx, args[0], q)
		}
		if err != nil {
			return fmt.Errorf("collection %s: %w", args[0], err)
		}
		v := collectionView{QuotaBytes: q.Bytes, QuotaObjects: q.Objects}
		if q == (client.Quota{}) {
			return a.done(quotaView{args[0], 0, 0}, "Collection %s has no quota.", args[0])
		}
		return a.done(quotaView{args[0], q.Bytes, q.Objects}, "Collection %s may hold %s.", args[0], v.quota())
	})
	cmd.Flags().Var(&bytes, "bytes", "the most bytes, such as 64MiB or 10GiB")
	cmd.Flags().Lookup("bytes").DefValue = "" // no default: a limit that is not given stays
	cmd.Flags().Var(whole[uint64]{&objects, 0, math.MaxUint64}, "objects", "the most objects")
	return cmd
}

// quotaOf asks for the quota that a collection has.
func quotaOf(ctx context.Context, c *client.Client, collection string) (client.Quota, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return client.Quota{}, err
	}
	for _, s := range status.Collections {
		if s.Collection == collection {
			return s.Quota, nil
		}
	}
	return client.Quota{}, nil
}

func (a *app) collectionDrop() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:     "drop COLLECTION",
		Short:   "Remove a collection with all of its objects and indexes",
		Example: `  motte collection drop people`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.DropCollection(ctx, args[0]); err != nil {
			return fmt.Errorf("collection %s: %w", args[0], err)
		}
		return a.done(collectionName{args[0]}, "Collection %s is dropped.", args[0])
	})
}
