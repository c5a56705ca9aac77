package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"motte/client"
)

func (a *app) count() *cobra.Command {
	return a.queried(&cobra.Command{
		Use:   "count COLLECTION (INDEX PREDICATE | EXPRESSION…)",
		Short: "Print how many objects a predicate finds that you may read, or several",
		Long: `Print how many objects a predicate finds that you may read. If the index may not give all
of them in one answer, the number is too low, and the command fails.

An expression asks several indexes: see 'motte help expressions'.`,
		Example: `  motte count people by_age '< 18'
  motte count people 'by_age: < 18' AND 'notes: enclave'`,
	}, func(ctx context.Context, args []string) error {
		q, err := parseQuery(args[0], args[1:])
		if err == nil {
			err = checkQuery(&q)
		}
		if err != nil {
			return err
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		found, err := c.Count(ctx, q)
		if err == nil {
			err = a.printCount(found)
		}
		if err != nil {
			return a.queryError(ctx, c, &q, err)
		}
		return nil
	})
}

// printCount prints a count. If the count is incomplete, it also returns an error.
func (a *app) printCount(found client.Found) (err error) {
	if a.json {
		err = a.emit(struct {
			Count     uint32 `json:"count"`
			Truncated bool   `json:"truncated"`
		}{found.Count, found.Truncated})
	} else {
		_, err = fmt.Fprintln(a.stdout, found.Count)
	}
	if err == nil && found.Truncated {
		err = client.ErrTruncated
	}
	return err
}
