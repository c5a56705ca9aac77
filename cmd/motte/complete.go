package main

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"motte/core/wire"
)

// completeWithin bounds how long the shell waits for a server.
const completeWithin = 2 * time.Second

// complete offers values for the next argument of a command, by the argument's name in the
// Use line. It asks the server for names. If there is no server, it offers no value.
func (a *app) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	list := words(cmd)
	if len(args) >= len(list) {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	switch name, _ := word(list[len(args)]); name {
	case "FILE", "EXECUTABLE", "SOURCE":
		return nil, cobra.ShellCompDirectiveDefault
	case "RIGHTS":
		return []string{"read", "read-own", "write", "delete", "admin", "read,write", "all"}, cobra.ShellCompDirectiveNoFileComp
	case "COLLECTION|" + theServer:
		return append(a.known(cmd, wire.StatusCollection, nil), theServer), cobra.ShellCompDirectiveNoFileComp
	case "COLLECTION":
		return a.known(cmd, wire.StatusCollection, nil), cobra.ShellCompDirectiveNoFileComp
	case "INDEX":
		return a.known(cmd, wire.StatusIndex, args), cobra.ShellCompDirectiveNoFileComp
	case "TASK":
		return a.known(cmd, wire.StatusTask, nil), cobra.ShellCompDirectiveNoFileComp
	case "PRINCIPAL":
		return a.known(cmd, wire.StatusPrincipal, nil), cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// completeExpression offers what may follow the arguments of an expression: an operator, or indexes.
func (a *app) completeExpression(cmd *cobra.Command, collection string, before []string) ([]string, cobra.ShellCompDirective) {
	last := before[len(before)-1]
	if last == wordClose || !isWord(last) {
		return []string{wordAnd, wordNot, wordOr}, cobra.ShellCompDirectiveNoFileComp
	}
	var begun []string
	for _, index := range a.known(cmd, wire.StatusIndex, []string{collection}) {
		begun = append(begun, index+":")
	}
	return begun, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// offer completes a flag with names that the server has.
func (a *app) offer(cmd *cobra.Command, flag string, kind wire.StatusKind) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		return a.known(cmd, kind, args), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // there is no such flag
	}
}

// offerNothing completes a flag without any value, not even a file.
func offerNothing(cmd *cobra.Command, flag string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.NoFileCompletions); err != nil {
		panic(err) // there is no such flag
	}
}

// known lists the names of one kind that the server has. If args names a collection, it lists
// only indexes of that collection.
func (a *app) known(cmd *cobra.Command, kind wire.StatusKind, args []string) (names []string) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	c, err := a.connect(ctx)
	if err != nil {
		return nil
	}
	defer c.Close()
	status, err := c.Status(ctx)
	if err != nil {
		return nil
	}
	switch kind {
	case wire.StatusCollection:
		for _, s := range status.Collections {
			names = append(names, s.Collection)
		}
	case wire.StatusIndex:
		for _, s := range status.Indexes {
			if len(args) == 0 || s.Collection == args[0] {
				names = append(names, s.Index)
			}
		}
	case wire.StatusTask:
		for _, s := range status.Tasks {
			names = append(names, s.Task)
		}
	case wire.StatusPrincipal:
		for _, s := range status.Principals {
			names = append(names, s.Label)
		}
	}
	return slices.Compact(names)
}
