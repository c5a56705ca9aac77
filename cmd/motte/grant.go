package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/model"
)

const rightsHelp = `RIGHTS is a list with commas:

  read      every object of the collection
  read-own  the objects that the principal put itself
  write     put objects; to replace another's takes delete and read too
  delete    what the principal may read
  admin     change the collection's indexes and grants, or drop it
  all       all of these

` + theServer + ` stands for the server itself, on which only admin can be granted: to make
collections, register Tasks and principals, and see alerts. Admin alone reads no
object.`

func (a *app) grant() *cobra.Command {
	return a.changeRights(&cobra.Command{
		Use:   "grant COLLECTION|" + theServer + " PRINCIPAL RIGHTS",
		Short: "Give a principal rights in a collection",
		Long:  "Give a principal rights in a collection, in addition to those that it has.\n\n" + rightsHelp,
		Example: `  motte grant people alice read,write
  motte grant ` + theServer + ` alice admin`,
	}, "has", (*client.Client).Grant)
}

func (a *app) revoke() *cobra.Command {
	return a.changeRights(&cobra.Command{
		Use:     "revoke COLLECTION|" + theServer + " PRINCIPAL RIGHTS",
		Short:   "Take rights in a collection back",
		Long:    "Take rights in a collection back from a principal.\n\n" + rightsHelp,
		Example: `  motte revoke people alice write`,
	}, "no longer has", (*client.Client).Revoke)
}

// changeRights finishes a command that changes what a principal may do.
func (a *app) changeRights(c *cobra.Command, now string,
	change func(*client.Client, context.Context, string, [32]byte, client.Rights) error) *cobra.Command {
	return a.remote(c, func(ctx context.Context, c *client.Client, args []string) error {
		rights, err := client.ParseRights(args[2])
		if err != nil {
			return err
		}
		collection := args[0]
		if collection == theServer {
			collection = ""
			if rights != model.RightAdmin {
				return usage("on the server itself there is only the right admin")
			}
		}
		id, err := principalID(ctx, c, args[1])
		if err != nil {
			return err
		}
		err = change(c, ctx, collection, id, rights)
		if collection == "" && errors.Is(err, client.ErrInvalidRequest) {
			return fmt.Errorf("%s is the last administrator of the server: this could not be undone", args[1])
		}
		if err != nil {
			return fmt.Errorf("%s in %s: %w", args[1], args[0], err)
		}
		v := grantView{Collection: args[0], Principal: identifier(id), Rights: rightNames(rights)}
		if _, err := parseHex(args[1]); err != nil {
			v.Label = args[1]
		}
		return a.done(v, "%s %s %s in %s.", args[1], now, client.RightsName(rights), args[0])
	})
}
