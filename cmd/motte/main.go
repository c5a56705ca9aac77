// Command motte is the command line of Motte. "motte serve" is the host, which serves a
// store. Nearly all other commands are clients of a server.
//
// The command is not trusted: it gets only the data that the Core gives to its principal.
// Results go to standard output. Notes, progress, errors and the server's log go to standard
// error. "motte help exit-codes" explains the exit codes, and docs/reference/cli.md all
// commands.
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
