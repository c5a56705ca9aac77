package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"motte/client"
	"motte/internal/fakeregistry"
	"motte/internal/testutil"
)

// TestScripts runs the scripts in testdata/script. Each is a story of commands that a user
// types, and their output. At its end, servers in the background are interrupted.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := testutil.Executables(t)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("BIN", bin)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await, "exits": exits, "registry": registry, "until": until},
		Condition: func(name string) (bool, error) {
			if name != "swtpm" {
				return false, fmt.Errorf("unknown condition %q", name)
			}
			_, err := exec.LookPath("swtpm")
			if err != nil && os.Getenv("MOTTE_REQUIRE_SWTPM") == "1" {
				return false, fmt.Errorf("MOTTE_REQUIRE_SWTPM asks for it: %w", err)
			}
			return err == nil, nil
		},
	})
}

// until PROGRAM ARG… runs a program again and again until it succeeds.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: until PROGRAM ARG…")
	}
	var err error
	for end := time.Now().Add(testutil.Patience); time.Now().Before(end); testutil.Pause() {
		if err = ts.Exec(args[0], args[1:]...); err == nil {
			return
		}
	}
	ts.Fatalf("%v: %v", args, err)
}

// await PROFILE waits until the server of a profile answers.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await PROFILE")
	}
	ctx, cancel := context.WithTimeout(context.Background(), testutil.Patience)
	defer cancel()
	for {
		p, err := client.ReadProfile(ts.MkAbs(args[0]))
		if err == nil && p.Complete() {
			var c *client.Client
			if c, err = client.Dial(ctx, p); err == nil {
				c.Close()
				return
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			ts.Fatalf("the server of %s does not answer: %v", args[0], err)
		}
	}
}

// registry starts an empty registry, whose address is $REGISTRY.
func registry(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: registry")
	}
	r := fakeregistry.New()
	ts.Defer(r.Close)
	ts.Setenv("REGISTRY", r.Address)
}

// exits CODE PROGRAM ARG… runs a program that must end with this exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	got := 0
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%v ended with %d; want %d", args[1:], got, want)
	}
}
