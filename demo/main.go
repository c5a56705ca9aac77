// Command demo shows Motte at work: a real server with confined Tasks, on a data set that
// every machine with Go has. It prints a story in numbered steps and checks each step. It ends
// with an error if a check fails.
package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"motte/client"
	"motte/host/sandbox"
	"motte/mottetest"
)

// demo is the state that the steps share.
type demo struct {
	story
	bin    string
	dir    string
	server *mottetest.Server

	admin, network, reader *client.Client
	networkKey, readerKey  ed25519.PrivateKey
	networkID, readerID    [32]byte

	library library // the expected content of the collection
}

func main() {
	sandbox.ReexecInit()
	bin := flag.String("bin", "bin", "directory of motte-core and the Tasks")
	keep := flag.Bool("keep", false, "keep the data of the demo")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *bin, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "\ndemo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, bin string, keep bool) (err error) {
	d := &demo{story: story{w: os.Stdout}}
	if d.bin, err = filepath.Abs(bin); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "motte-demo-"); err != nil {
		return err
	}
	began := time.Now()
	err = errors.Join(d.tell(ctx), d.close())
	if err != nil {
		return fmt.Errorf("%w\nThe data and the server's log are left in %s", err, d.dir)
	}
	fmt.Fprintf(d.w, "All checks passed, in %s.\n\n%s", brief(time.Since(began)), next)
	if keep {
		fmt.Fprintf(d.w, "\nThe data of this demo is kept: bin/motte serve --dir %s\n", filepath.Join(d.dir, "data"))
		return nil
	}
	return os.RemoveAll(d.dir)
}

const intro = `Motte keeps objects in a small trusted Core. Indexes of any kind and quality run outside it, in
confined processes called Tasks. A Task may be full of bugs, and an attacker may take it over. A
Task can only name objects, and the Core checks every name before a client gets one byte.

This is a real server, started in a temporary directory.

`

const next = `To try it yourself, run:

  bin/motte serve --dir /tmp/motte

and in another terminal, as this server's administrator:

  export PATH=$PWD/bin:$PATH MOTTE_PROFILE=/tmp/motte/admin.profile
  motte collection create parts
  motte index create parts by_weight --task ordered --config '{"path":"/grams","type":"int64"}'
  echo '{"name":"gate hinge","grams":410}' | motte put parts - --name hinge
  motte search parts by_weight '>= 100 and < 500'
  motte principal add workshop --out workshop.profile     another principal, which sees only
  motte grant parts workshop read-own,write               its own objects
  motte doctor                                            the confinement of a Task on this machine
  motte tcb                                               the size of the trusted code

README.md continues from here; docs/threat-model.md says which attackers Motte protects against.
`

// tell runs all steps.
func (d *demo) tell(ctx context.Context) error {
	fmt.Fprint(d.w, intro)
	for _, s := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"A server and three principals", d.start},
		{"Real data: what Go's standard library exports", d.load},
		{"Four indexes, each a confined process", d.index},
		{"Ranges", d.ranges},
		{"Full text", d.text},
		{"Several indexes in one query", d.combined},
		{"Nearest neighbours, with a filter", d.neighbours},
		{"A map", d.onTheMap},
		{"Rights", d.rights},
		{"A change is found immediately", d.overwrite},
		{"Deleting by predicate", d.deleteWhere},
		{"kill -9 of a Task, in the middle of searching", d.kill},
		{"A Task that was taken over", d.hostile},
		{"What the Core has recorded", d.record},
		{"Stop and start", d.restart},
	} {
		if err := d.step(s.title, func() error { return s.do(ctx) }); err != nil {
			return err
		}
	}
	return nil
}

// disconnect closes the three connections.
func (d *demo) disconnect() {
	for _, c := range []*client.Client{d.admin, d.network, d.reader} {
		if c != nil {
			c.Close()
		}
	}
}

func (d *demo) close() error {
	d.disconnect()
	if d.server == nil {
		return nil
	}
	return d.server.Stop()
}
