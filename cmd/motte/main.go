// Command motte is what people and scripts type: it serves a store ("motte
// serve" is the host), and it is a client of one (nearly all the rest).
//
// It is not trusted: what it shows of a store is what the Core let its
// principal have. Results go to standard output, everything else (notes,
// progress, errors, the server's log) to standard error. "motte help exit-codes"
// says what its exit codes mean; docs/reference/cli.md is the full text.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"motte/host/sandbox"
)

func main() {
	sandbox.ReexecInit()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a := &app{stdin: os.Stdin, stdout: newOutput(os.Stdout), stderr: os.Stderr}
	os.Exit(a.run(ctx, os.Args[1:]))
}
