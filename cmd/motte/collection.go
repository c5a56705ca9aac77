package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"motte/client"
)

func (a *app) collection() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "collection",
		Short: "Create, list and drop collections",
		Long: `A collection is a set of objects, with grants that say who may do what with them,
and indexes that find them.`,
	}, []*cobra.Command{a.collectionCreate(), a.collectionList(), a.collectionDrop()})
}

// collectionName is what was done to a collection, for programs.
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
The number of objects is shown to who may read them all.`,
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		return a.collections(v)
	})
}

func (a *app) collections(v *view) error {
	return table(a, v.Collections, "COLLECTION | OBJECTS | INDEXES | YOUR RIGHTS", func(c collectionView) []any {
		return []any{c.Collection, c.Objects, c.Indexes, strings.Join(c.Rights, ",")}
	})
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
