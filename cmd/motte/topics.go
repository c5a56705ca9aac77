package main

import "github.com/spf13/cobra"

// topics are pages of the help that belong to no command.
func topics() []*cobra.Command {
	return []*cobra.Command{{
		Use:   "exit-codes",
		Short: "What the exit codes mean",
		Long: `Exit codes, for scripts:

  0  it is done
  1  any other error, also if an answer is truncated, or the output can't be written
  3  not found: an object, collection, index, Task or principal
  4  denied, or the key is not registered with the server
  5  a precondition does not hold, or it exists already
  6  temporary: the index is being built, the query takes it too much work, or the server is
     overloaded or stops; try again
  7  no connection to the server, or another server than the profile's
  8  the log of the store lacks the head that this profile or the anchor remembers: the store
     was rolled back, or is a fork
  9  an object, a store or a backup is damaged: 'motte help verify'
 10  the collection's quota is used up: delete objects, or have it raised
 11  an import left out lines, or an export or a search left out objects; all others are
     stored, or printed
 12  the Core refuses the store, its key or its command line: another start does not help
 64  the command line is wrong

2 is the code of a program that crashed: report it.

With --json an error is one line on standard error:
{"error":TEXT,"code":NAME,"exit":NUMBER}. The name is that of the Core's code
(docs/reference/wire-protocol.md: not-found, no-index, …), or else usage,
no-connection, refused, left-out, truncated or error. An error about a line of an import has "line", its number.`,
	}, {
		Use:   "predicates",
		Short: "What the built-in Tasks can be asked",
		Long: `The predicate of an index with the Task ordered is about its values:

  < <= = != >= > VALUE    '>= 30 and < 40', '= "Lyon"', '< 18 or > 65'
  between V and V         both ends belong to it
  in (V, V, …)
  prefix "Ly"             strings only
  all                     every object that has a value
  … order asc|desc        if the index was made with --ordered

Conditions are joined by and, or, and parentheses. Strings are in double quotes,
numbers are not, times (RFC 3339) may be.

The predicate of an index with the Task text is what people type into a search box:

  engine analytical       either word, best matches first if the index is ordered
  +engine +analytical     both
  engine -babbage         the first and not the second; put a predicate that begins with - after --
  "analytical engine"     a phrase
  analy*                  words that begin so
  analitical~1            up to one letter (or two) different
  title:engine^3          in one field of the index, counting three times

The pages in docs/reference/tasks have all of it, and the configurations.`,
	}, {
		Use:   "environment",
		Short: "The environment variable and files that motte uses",
		Long: `MOTTE_PROFILE names the file of the profile, if --profile does not. It may be unset, but
must not be empty.

A profile is a text file with mode 0600: the line motte-profile-v1, then address, core-key
and client-key, each with its value. It holds a private key. 'motte serve' writes
DIR/admin.profile, 'motte principal add' and 'motte keygen' write others.

FILE.head, beside a profile FILE, holds the newest head of the log that was seen with the
profile. By it motte notices a store that was rolled back. See 'motte help head'.

'motte serve' finds motte-core and the Tasks' executables, motte-task-NAME, beside
itself.`,
	}}
}
