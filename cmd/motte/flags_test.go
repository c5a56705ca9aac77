package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"motte/client"
	"motte/core/model"
)

// typed runs a command line in this process. The command must not need a server.
func typed(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	t.Setenv("MOTTE_PROFILE", "no-such-profile")
	dir := t.TempDir()
	t.Chdir(dir) // a command that is not refused must not write among the sources
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	in, out, diagnosis := open("in"), open("out"), open("err")
	a := &app{stdin: in, stdout: &output{file: out}, stderr: diagnosis}
	code = a.run(t.Context(), args)
	read := func(f *os.File) string {
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	return code, read(out), read(diagnosis)
}

// commands calls f with every command that does work, and with the words that name it.
func commands(f func(c *cobra.Command, path []string)) {
	var walk func(c *cobra.Command, path []string)
	walk = func(c *cobra.Command, path []string) {
		if c.Runnable() {
			f(c, path)
		}
		for _, sub := range c.Commands() {
			walk(sub, append(slices.Clone(path), sub.Name()))
		}
	}
	walk((&app{}).root(), nil)
}

// flags calls f with every flag of a command.
func flags(c *cobra.Command, f func(*pflag.Flag)) {
	c.NonInheritedFlags().VisitAll(f)
	c.InheritedFlags().VisitAll(f)
}

// TestEveryFlagRefusesAnEmptyValue: an empty variable in a script must not change the meaning of
// a command. No flag gives a meaning to an empty value.
func TestEveryFlagRefusesAnEmptyValue(t *testing.T) {
	n := 0
	commands(func(c *cobra.Command, path []string) {
		flags(c, func(f *pflag.Flag) {
			n++
			lines := [][]string{append(slices.Clone(path), "--"+f.Name+"=")}
			if f.Value.Type() != "bool" {
				lines = append(lines, append(slices.Clone(path), "--"+f.Name, ""))
			}
			for _, line := range lines {
				code, _, stderr := typed(t, line...)
				if code != exitUsage || !strings.Contains(stderr, "--"+f.Name+": the value is empty") {
					t.Errorf("motte %q ends with %d and says %q; want %d, and that the value is empty", line, code, stderr, exitUsage)
				}
			}
		})
	})
	if n < 100 {
		t.Errorf("the test saw only %d flags; want all flags of the command", n)
	}
}

// TestEveryArgumentRefusesAnEmptyValue: only a predicate may be empty. Then it finds all objects
// of an index. The predicate of delete must not be empty, since delete would remove all objects.
func TestEveryArgumentRefusesAnEmptyValue(t *testing.T) {
	good := map[string]string{"COLLECTION": "people", "INDEX": "by_age", "TASK": "ordered", "NAME": "people", "FILE": "file",
		"PREDICATE": "all", "PRINCIPAL": "alice", "LABEL": "alice", "RIGHTS": "read", "COLLECTION|@server": "people",
		"EXECUTABLE": "near", "SOURCE": "near", "SIGNER": "acme.example", "REFERENCE": "oci://registry.example/near:v1"}
	n := 0
	commands(func(c *cobra.Command, path []string) {
		if c.Name() == "help" || c.Name() == "__complete" {
			return
		}
		list := words(c)
		if len(list) > 0 && list[len(list)-1] == "[flags]" { // cobra's own
			return
		}
		for i, w := range list {
			n++
			line := slices.Clone(path)
			for j, other := range list {
				name, _ := word(other)
				switch value, ok := good[name]; {
				case !ok:
					t.Fatalf("%q takes %s, which this test does not know", path, name)
				case i == j:
					line = append(line, "")
				default:
					line = append(line, value)
				}
			}
			code, _, stderr := typed(t, line...)
			refused := code == exitUsage && strings.Contains(stderr, "empty")
			if name, _ := word(w); refused == (name == "PREDICATE") {
				t.Errorf("motte %q with an empty argument ends with %d and says %q", line, code, stderr)
			}
		}
	})
	if n < 25 {
		t.Errorf("the test saw only %d arguments; want all arguments of the command", n)
	}
	for _, predicate := range []string{"", " \t"} {
		if code, _, stderr := typed(t, "delete", "people", "--where", "by_age", predicate); code != exitUsage || !strings.Contains(stderr, "empty") {
			t.Errorf("delete with the predicate %q ends with %d and says %q", predicate, code, stderr)
		}
	}
}

// TestAFlagTakesOneValue: a second value must not silently replace the first.
func TestAFlagTakesOneValue(t *testing.T) {
	values := map[string][2]string{"string": {"a", "b"}, "bool": {"true", "false"}, "number": {"1", "2"}, "size": {"1KiB", "2KiB"},
		"duration": {"1s", "2s"}, "address": {"a:1", "b:1"}, "stringArray": {"a", "b"},
		"identities": {strings.Repeat("0", 64), strings.Repeat("1", 64)}, "pointers": {"/a", "/b"}}
	commands(func(c *cobra.Command, path []string) {
		flags(c, func(f *pflag.Flag) {
			v, ok := values[f.Value.Type()]
			if !ok {
				t.Fatalf("--%s of %q is a %s, which this test does not know", f.Name, path, f.Value.Type())
			}
			if name, _ := pflag.UnquoteUsage(f); (name == "HOST:PORT" || name == "ADDRESS") != (f.Value.Type() == "address") {
				t.Errorf("--%s of %q takes %s, and is of type %s", f.Name, path, name, f.Value.Type())
			}
			if f.Name == "help" && !c.HasParent() {
				return // --help ends the parsing
			}
			const text = "another value was given before"
			code, _, stderr := typed(t, append(slices.Clone(path), "--"+f.Name+"="+v[0], "--"+f.Name+"="+v[1])...)
			if refused := code == exitUsage && strings.Contains(stderr, text); refused == (f.Value.Type() == "stringArray") {
				t.Errorf("motte %q with two values for --%s ends with %d and says %q", path, f.Name, code, stderr)
			}
		})
	})
	_, _, stderr := typed(t, "get", "people", "--name", "a", "--name", "a", "--json", "--json")
	if strings.Contains(stderr, "given before") {
		t.Errorf("the same value given twice is refused: %q", stderr)
	}
}

// TestAnEmptyVariableIsNoProfile: doctor runs without a profile, but not with an empty
// MOTTE_PROFILE, which was meant to name one.
func TestAnEmptyVariableIsNoProfile(t *testing.T) {
	for _, line := range [][]string{{"status"}, {"doctor"}, {"profile", "show"}} {
		t.Setenv("MOTTE_PROFILE", "")
		a := &app{stdin: os.Stdin, stdout: &output{file: os.Stdout}, stderr: os.Stderr}
		root := a.root()
		root.SetArgs(line)
		err := root.ExecuteContext(context.Background())
		if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "MOTTE_PROFILE is set, and empty") {
			t.Errorf("motte %q: %v", line, err)
		}
	}
}

func TestAddressesAreChecked(t *testing.T) {
	for s, want := range map[string][2]bool{ // valid for a server, valid to listen on
		"motte.example:7433": {true, true}, "127.0.0.1:1": {true, true}, "[::1]:65535": {true, true}, "[fe80::1%eth0]:7433": {true, true},
		":7433": {false, true}, "127.0.0.1:0": {false, true}, "[::]:0": {false, true},
		"host": {}, "host:": {}, "host:99999": {}, "host:65536": {}, "host:-1": {}, "host:+1": {}, "host:0x10": {}, "host:http": {}, "host:٣": {},
		"host:1:2": {}, "::1:7433": {}, "a b:1": {}, "https://host:1": {}, "host\ncore-key 00:1": {}, "[fe80::1%\n]:1": {}, "ho\xffst:1": {},
		strings.Repeat("h", 254) + ":1": {},
	} {
		if got := [2]bool{checkAddress(s) == nil, checkListen(s) == nil}; got != want {
			t.Errorf("%q is an address of a server, and one to listen on: %v; want %v", s, got, want)
		}
	}
}

func TestIdentitiesHaveCommasBetweenThem(t *testing.T) {
	one, two := strings.Repeat("01", 32), strings.Repeat("ab", 32)
	nine := strings.Repeat(one+",", model.MaxAfter) + one
	for s, want := range map[string]int{one: 1, one + "," + two: 2, strings.TrimSuffix(nine, ","+one): model.MaxAfter} {
		var list []client.Identity
		f := identities{&list}
		if err := f.Set(s); err != nil || len(list) != want || f.String() != s {
			t.Errorf("%q is %d identities, %q, %v; want %d", s, len(list), f.String(), err, want)
		}
	}
	for _, s := range []string{"", ",", one + ",", "," + one, one + ", " + two, one[1:], one + "0", one + two, "x" + one[1:], nine} {
		list := []client.Identity{{7}}
		if err := (identities{&list}).Set(s); err == nil || len(list) != 1 {
			t.Errorf("%q is %x, %v; want an error", s, list, err)
		}
	}
}

func TestNumbersAreDecimal(t *testing.T) {
	for s, want := range map[string]uint32{"1": 1, "010": 10, "4096": 4096} {
		var n uint32
		if err := (whole[uint32]{&n, 1, 4096}).Set(s); err != nil || n != want {
			t.Errorf("%q is %d, %v; want %d", s, n, err, want)
		}
	}
	for _, s := range []string{"", " 5", "5 ", "+5", "-5", "0", "4097", "99999999999999999999", "0x10", "0b1", "1_0", "1e3", "1.0", "NaN", "٣", "five"} {
		n := uint32(7)
		if err := (whole[uint32]{&n, 1, 4096}).Set(s); err == nil || n != 7 {
			t.Errorf("%q is %d, %v; want an error", s, n, err)
		}
	}
}

// TestMistakesAreToldFirst: each of these commands fails before it reads a profile.
func TestMistakesAreToldFirst(t *testing.T) {
	for _, c := range []struct {
		line []string
		text string
	}{
		{[]string{"delete", "people", "by_age", "< 18"}, `"< 18" is one argument too many: a predicate belongs to --where`},
		{[]string{"search", "people", "by_age", "all", "--limit", "0"}, `--limit "0": it has to be a whole number from 1`},
		{[]string{"search", "people", "by_age", "all", "--limit", "-5"}, `--limit "-5"`},
		{[]string{"serve", "--dir", "x", "--listen", "localhost:99999"}, `--listen "localhost:99999": it has to be HOST:PORT`},
		{[]string{"serve", "--dir", "x", "--metrics", "9433"}, `--metrics "9433": it has to be HOST:PORT`},
		{[]string{"profile", "set", "--address", "host:99999"}, `--address "host:99999": it has to be HOST:PORT`},
		{[]string{"principal", "add", "alice", "--out", "x", "--address", "host"}, `--address "host"`},
		{[]string{"principal", "add", strings.Repeat("0A", 32), "--out", "x"}, "64 hexadecimal digits are the name of a principal itself"},
		{[]string{"put", "people", "x", "--attribute", "by_age=1", "--attribute", "by_age=2"}, "gives the index by_age two inputs"},
		{[]string{"search", "people", "by_age", "-5"}, "an argument that begins with - goes after --"},
		{[]string{"keygen", "--out", "-"}, `--out "-": a profile holds a private key`},
		{[]string{"task", "register", "t", "--file", "x", "--deadline", "1500us"}, "--deadline must be in whole milliseconds"},
		{[]string{"task", "register", "t", "--file", "x", "--deadline", "-5s"}, "--deadline must be from 1ms"},
		{[]string{"task", "register", "t", "--file", "x", "--deadline", "5"}, `--deadline "5": time: missing unit`},
		{[]string{"task", "register", "t", "--file", "x", "--max-input", "0"}, "--max-input must be from 1 to"},
		{[]string{"task", "register", "t", "--file", "x", "--max-results", "0x10"}, `--max-results "0x10": it has to be a whole number from 1 to`},
		{[]string{"task", "register", "t", "--file", "x", "--operations", "search,,count"}, `--operations: unknown operation ""`},
		{[]string{"status", "--json=maybe"}, `--json "maybe": it has to be true or false`},
		{[]string{"index", "create", "people", "x", "--task", "ordered", "--config", "@"}, "the name of the file is missing"},
		{[]string{"index", "create", "people", "x", "--task", "ordered", "--wait", "--no-wait"}, "exclude each other"},
		{[]string{"collection", "quota", "people", "--objects", "1e3"}, `--objects "1e3"`},
		{[]string{"collection", "quota", "people", "--bytes", "1 0 GiB"}, `--bytes "1 0 GiB": a size is`},
		{[]string{"help", "no-such-page"}, `there is no help about "no-such-page"`},
		{[]string{"help", "collection", "no-such"}, `there is no help about "collection no-such"`},
		{[]string{"completion", "no-such"}, "no-such"},
		{[]string{"completion", "zsh", "extra"}, `"extra" is one argument too many`},
	} {
		if code, _, stderr := typed(t, c.line...); code != exitUsage || !strings.Contains(stderr, c.text) {
			t.Errorf("motte %q ends with %d and says %q; want %d and %q", c.line, code, stderr, exitUsage, c.text)
		}
	}
}

// TestLostOutputIsAnError for the output of any command, and for its help.
func TestLostOutputIsAnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, line := range [][]string{{}, {"--help"}, {"help"}, {"help", "put"}, {"put", "--help"}, {"collection"}, {"help", "exit-codes"}, {"exit-codes"},
		{"version"}, {"version", "--json"}, {"completion", "bash"}, {"completion", "fish"}, {"__complete", "put", ""}, {"completion"}} {
		read, write, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		a := &app{stdin: os.Stdin, stdout: &output{file: full}, stderr: write}
		code := a.run(t.Context(), line)
		write.Close()
		text := make([]byte, 4096)
		n, _ := read.Read(text)
		read.Close()
		if code != exitError || strings.Count(string(text[:n]), "no space left on device") != 1 {
			t.Errorf("motte %q ends with %d and says %q; want %d, and the reason once", line, code, text[:n], exitError)
		}
	}
}
