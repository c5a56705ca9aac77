package main

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"motte/client"
	"motte/core/model"
)

// app is one run of the command: its streams, and the flags that all commands have.
type app struct {
	stdin  *os.File
	stdout *output
	stderr *os.File

	profile string // file
	json    bool
	quiet   bool
}

// run carries out a command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		err = a.stdout.failed() // also if the command ignored the error
	}
	if err == nil {
		return exitOK
	}
	a.json = a.json || asksForJSON(args)
	a.fail(cmd, err)
	return exitCode(err)
}

// asksForJSON looks for --json if an earlier mistake kept the parser from reading it.
func asksForJSON(args []string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	return slices.Contains(args, "--json")
}

// Groups of commands in the help.
const (
	groupServer    = "server"
	groupFiles     = "files"
	groupObjects   = "objects"
	groupCatalogue = "catalogue"
	groupAccess    = "access"
)

func (a *app) root() *cobra.Command {
	root := a.group(&cobra.Command{
		Use:   "motte",
		Short: "An encrypted object store whose extensions may be vulnerable",
		Long: `Motte keeps objects in a small trusted Core. Tasks, sandboxed processes that may
be full of bugs, index them and answer predicates; the Core checks every answer.

Start a server:

  motte serve --dir store

Use it from another terminal:

  export MOTTE_PROFILE=store/admin.profile
  motte collection create people
  motte index create people by_age --task ordered --config '{"path":"/age","type":"int64"}'
  echo '{"name":"Ada","age":36}' | motte put people - --name ada
  motte search people by_age '>= 30 and < 40'`,
	},
		in(groupServer, a.serve(), a.status(), a.alerts(), a.head(), a.compact(), a.recover(), a.doctor(), a.tcb(), a.version()),
		in(groupFiles, a.backup(), a.key(), a.restore(), a.verify()),
		in(groupObjects, a.put(), a.get(), a.search(), a.count(), a.delete(), a.importLines(), a.export()),
		in(groupCatalogue, a.collection(), a.index(), a.task()),
		in(groupAccess, a.principal(), a.grant(), a.revoke(), a.keygen(), a.profileFile()),
		topics(),
	)
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "The server:"},
		&cobra.Group{ID: groupFiles, Title: "Backups, and the files of a store:"},
		&cobra.Group{ID: groupObjects, Title: "Objects:"},
		&cobra.Group{ID: groupCatalogue, Title: "Collections, indexes and Tasks:"},
		&cobra.Group{ID: groupAccess, Title: "Who may do what:"},
	)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetOut(sink{a.stdout})
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(wrongFlag)
	root.SetHelpCommand(a.help())
	f := root.PersistentFlags()
	f.StringVar(&a.profile, "profile", "", "profile `FILE`: where the server is, and your key (default: $MOTTE_PROFILE)")
	f.BoolVar(&a.json, "json", false, "print results and errors for programs: JSON, one value on a line")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print results and errors only: no confirmations, notes or progress")
	root.InitDefaultCompletionCmd()
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		a.group(c) // so an unknown shell is an error
		for _, shell := range c.Commands() {
			shell.Args = arguments
		}
	}
	strictly(root)
	return root
}

// in puts commands into a group of the help.
func in(group string, list ...*cobra.Command) []*cobra.Command {
	for _, c := range list {
		c.GroupID = group
	}
	return list
}

// help is cobra's help command, except that an unknown page is an error.
func (a *app) help() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Print what a command does, or a page of the help",
		Args:  cobra.ArbitraryArgs,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if found, rest, err := cmd.Root().Find(args); err == nil && len(rest) == 0 {
				for _, c := range found.Commands() {
					names = append(names, cobra.CompletionWithDesc(c.Name(), c.Short))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("there is no help about %q", strings.Join(args, " "))
			}
			return found.Help()
		},
	}
}

// group finishes a command that only has subcommands.
func (a *app) group(c *cobra.Command, lists ...[]*cobra.Command) *cobra.Command {
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		text := ""
		if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
			text = "; did you mean " + strings.Join(similar, " or ") + "?"
		}
		return usage("unknown command %q%s", args[0], text)
	}
	c.SuggestionsMinimumDistance = 2
	for _, list := range lists {
		c.AddCommand(list...)
	}
	return c
}

// leaf finishes a command that does work. The Use line names its arguments.
func (a *app) leaf(c *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	c.Args = arguments
	c.ValidArgsFunction = a.complete
	c.RunE = func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), args) }
	return c
}

// queried finishes a command that takes a query after the collection: an index and a predicate, or
// an expression.
func (a *app) queried(c *cobra.Command, run func(ctx context.Context, args []string) error) *cobra.Command {
	a.leaf(c, run)
	c.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 1 && beginsExpression(args[1]):
			return check(cmd, "COLLECTION", args[0])
		case len(args) > 3 && isWord(args[3]):
			return usage("%s belongs to an expression, where index and predicate are one argument: %s %s …",
				args[3], short(args[1]+": "+args[2]), args[3])
		}
		return arguments(cmd, args)
	}
	c.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 1 && beginsExpression(args[1]) {
			return a.completeExpression(cmd, args[0], args[1:])
		}
		return a.complete(cmd, args, begun)
	}
	return c
}

// remote finishes a command that needs a server.
func (a *app) remote(c *cobra.Command, run func(ctx context.Context, c *client.Client, args []string) error) *cobra.Command {
	return a.leaf(c, func(ctx context.Context, args []string) error {
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		return run(ctx, c, args)
	})
}

// alternative is the rest of a choice in a Use line, from the second form on.
var alternative = regexp.MustCompile(` \|[^)\]]*`)

// words returns the arguments that the Use line of a command names. Optional arguments are in
// square brackets. Of a choice, such as (INDEX PREDICATE | EXPRESSION…), it returns the first form.
func words(c *cobra.Command) []string {
	first := alternative.ReplaceAllString(c.Use, "")
	return strings.Fields(strings.NewReplacer("(", "", ")", "").Replace(first))[1:]
}

func word(w string) (name string, optional bool) {
	return strings.Trim(w, "[]"), strings.HasPrefix(w, "[")
}

// arguments checks the arguments of a command against its Use line.
func arguments(cmd *cobra.Command, args []string) error {
	list := words(cmd)
	for i, w := range list {
		name, optional := word(w)
		if i < len(args) {
			if err := check(cmd, name, args[i]); err != nil {
				return err
			}
		} else if !optional {
			return usage("%s is missing: %s", strings.Join(list[i:], " "), cmd.UseLine())
		}
	}
	if len(args) <= len(list) {
		return nil
	}
	if where := cmd.Flags().Lookup("where"); where != nil && !where.Changed {
		return usage("%q is one argument too many: a predicate belongs to --where: --where by_age '< 18'", args[len(list)])
	}
	if len(list) > 0 && strings.Contains(list[len(list)-1], "PREDICATE") {
		return usage("%q is one argument too many: put the predicate in quotes: '>= 30 and < 40'", args[len(list)])
	}
	return usage("%q is one argument too many: %s", args[len(list)], cmd.UseLine())
}

// check checks one argument of a command by its name in the Use line.
func check(cmd *cobra.Command, name, value string) error {
	if value == "" && name != "PREDICATE" { // the empty predicate finds all objects
		return usage("%s is empty: %s", name, cmd.UseLine())
	}
	return argument(name, value)
}

// theServer is the name of the server itself in the place of a collection.
const theServer = "@server"

// argument checks one argument by its name in the Use line.
func argument(name, value string) error {
	switch name {
	case "COLLECTION", "INDEX", "TASK", "NAME":
		if !model.ValidIdentifier(value) {
			return usage("%q can't be the name of a collection, index or Task: 1 to %d of a–z, 0–9, '_' and '-', a letter first",
				value, model.MaxIdentifier)
		}
	case "COLLECTION|" + theServer:
		if value != theServer {
			return argument("COLLECTION", value)
		}
	case "RIGHTS":
		if _, err := client.ParseRights(value); err != nil {
			return usage("%v", err)
		}
	case "LABEL":
		if !model.ValidLabel(value) {
			return usage("%q can't label a principal: 1 to %d printable ASCII characters without space", value, model.MaxLabel)
		}
		if _, err := parseHex(value); err == nil {
			return usage("%q can't label a principal: 64 hexadecimal digits are the name of a principal itself", value)
		}
	}
	return nil
}
