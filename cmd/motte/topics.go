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
  contains all (V, V, …)  arrays that have each of them
  all                     every object that has a value
  … order asc|desc        if the index was made with --ordered

Conditions are joined by and, or, and parentheses. Strings are in double quotes,
numbers are not, times (RFC 3339) may be.

The predicate of an index with the Task filter is about exact values of fields:

  section = "devel" and not tags has "x"
  priority in ("optional", "extra") or missing homepage
  tags contains all ("c", "program")      all, or any

The predicate of an index with the Task text is what people type into a search box:

  engine analytical       either word, best matches first if the index is ordered
  +engine +analytical     both
  engine -babbage         the first and not the second; put a predicate that begins with - after --
  "analytical engine"     a phrase
  analy*                  words that begin so
  analitical~1            up to one letter (or two) different
  title:engine^3          in one field of the index, counting three times

The predicate of an index with the Task geo is about places:

  nearest 48.85 2.35      latitude and longitude; the nearest first, if the index is ordered
  radius 48.85 2.35 10km  m, km, mi or nmi
  within box 5.9 45.8 10.5 47.8       west, south, east and north
  within polygon ((5 45, 8 45, 8 48, 5 45))   WKT or GeoJSON: the longitude first
  intersects point (7 46)

The predicate of an index with the Task series is about times in series:

  series = "bern" and from 2024-05-01T00:00:00Z to 2024-06-01T00:00:00Z and value >= 30
  series prefix "be" every 1h last    one object of each hour: first, last, min or max
  last 5                              of each series
  … order desc            the newest first, if the index was made with --ordered

The predicate of an index with the Task trigram is about parts of texts:

  "sub string"            with the same capitals; "sub string"i in any
  ^"lib", "-dev"$         at the beginning, at the end
  name:/colou?r/i and not "x"         a regular expression, in one field of the index

The predicate of an index with the Task sql is a WHERE clause, with texts in single quotes:

  age between 30 and 40 and (city = 'Paris' or name like 'a%') order by age desc, name

The predicate of an index with the Task scan is an expression of CEL over the object:

  object.size > 10000 && "c" in object.tags && has(object.home)

The predicate of an index with the Task vector, or image, gives what is near, the nearest first:

  near [0.1, 0.7, 0.2] within 0.5     a vector of as many numbers as the index has dimensions
  similar "BASE64" within 10          a picture; near p:d892c96908cfe577 gives its hash instead

The pages in docs/reference/tasks have all of it, and the configurations.`,
	}, {
		Use:   "expressions",
		Short: "How to ask several indexes at once",
		Long: `search, count and delete --where take an expression in the place of INDEX PREDICATE:

  'INDEX: PREDICATE'      a leaf: what one index finds. It is one argument, in quotes
  X AND Y                 what both find
  X OR Y                  what at least one finds
  X NOT Y                 what X finds without what Y finds; also X AND NOT Y
  '(' X ')'               parentheses, each an argument of its own

AND and NOT may stand side by side, and OR with OR. Where AND or NOT meets OR, parentheses say
which goes first; without them the expression is refused. An expression has 1 to 16 leaves.

  motte search people 'by_age: >= 30 and < 40' AND 'notes: +enclave'
  motte search people 'by_age: >= 30' NOT 'notes: sgx' --order by_age --limit 10
  motte count people '(' 'by_age: < 18' OR 'by_age: > 65' ')' AND 'notes: enclave'
  motte delete people --where 'by_age: < 18' NOT 'notes: enclave'

Of several leaves, the answer is sorted by identity. --order INDEX takes the order of an ordered
index, of the first leaf that asks it and that every match satisfies: no leaf below OR or NOT.

The words within a leaf are the index's own: 'by_age: >= 30 and < 40' is one predicate of by_age.
A shell removes one pair of quotes: 'notes: "analytical engine"' keeps the inner pair for the index.`,
	}, {
		Use:   "fields",
		Short: "How to print and sort parts of JSON objects",
		Long: `search and get print parts of JSON objects with --fields. A part is named by a JSON Pointer:
/age, /address/city, /tags/0; ~1 stands for / in a name, ~0 for ~.

  motte search people by_age 'all' --fields /name,/address/city

Each object is one line, with a tab between its parts. A string stands without quotes; tab,
line break and other control characters in it are written \t, \n, \r and \u001b, a backslash
as \\. Any other value is JSON. A part that is missing is empty. --json tells types and missing
parts apart: {"id":…,"name":…,"fields":{"/name":"Ada"}}.

--sort sorts the objects of an answer by their parts, - for descending:

  motte search people by_age 'all' --sort /address/city,-/age

Numbers come first, by value, then strings by their code points, false, true, arrays and objects
by their text. Objects without the part, or with null, come last, also with -. Equal objects keep
the order of the answer. --limit says how many objects the answer has, before they are sorted. An
answer may have 10,000 objects, 64 MiB together.

An object that is not JSON, or ambiguous JSON, has no parts: --sort puts it last, and --fields
leaves it out and names it on standard error; then the exit code is 11.`,
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
