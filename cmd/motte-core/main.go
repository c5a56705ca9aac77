// Command motte-core is the Core's own process. It links motte/core and the
// standard library, nothing else, so that its measurement means something. The
// host starts it; users don't.
//
// Exit status: 0 after an orderly stop, 2 for a wrong command line, 3 if the
// store or its key can't be opened or verified (starting again won't help), 4 if
// another Core has the store open (it may be about to stop), 5 if the store is
// older than its anchor, 1 for everything else.
package main

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"motte/core"
	"motte/core/access"
	"motte/core/log"
	"motte/core/wire"
)

func main() {
	var cfg core.Config
	flag.StringVar(&cfg.Dir, "dir", "", "data directory")
	flag.StringVar(&cfg.Listen, "listen", "127.0.0.1:7433", "address to listen on")
	flag.StringVar(&cfg.RootKey, "root-key", "", "file with the root key (default: root.key in the data directory)")
	admin := flag.String("admin", "", "first administrator of a new store: SHA-256 of its public key, in hexadecimal")
	anchor := flag.String("anchor", "", "head that the store's anchor remembers, in hexadecimal")
	flag.BoolVar(&cfg.Accept, "accept-loss", false, "serve a store that lacks what was written to it, and record an alert")
	fd := flag.Uint("control-fd", 3, "descriptor of the channel to the host")
	flag.Parse()
	id, err := hex.DecodeString(*admin)
	if err != nil || len(id) != len(cfg.Admin) || cfg.Dir == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "motte-core: needs -dir and -admin; it is started by 'motte serve'")
		os.Exit(2)
	}
	cfg.Admin = access.Principal(id)
	if *anchor != "" {
		p, errHex := hex.DecodeString(*anchor)
		if cfg.Anchor, err = wire.DecodeHead(p); errors.Join(err, errHex) != nil {
			fmt.Fprintln(os.Stderr, "motte-core: -anchor is no head")
			os.Exit(2)
		}
	}
	if cfg.RootKey == "" {
		cfg.RootKey = filepath.Join(cfg.Dir, "root.key")
	}
	if err := run(cfg, uintptr(*fd)); err != nil {
		fmt.Fprintln(os.Stderr, "motte-core:", err)
		os.Exit(status(err))
	}
}

// status is what the host learns of an error.
func status(err error) int {
	switch {
	case errors.Is(err, log.ErrDamaged), errors.Is(err, core.ErrKey):
		return 3
	case errors.Is(err, log.ErrLocked):
		return 4
	case errors.Is(err, core.ErrOlder):
		return 5
	}
	return 1
}

func run(cfg core.Config, fd uintptr) error {
	if err := harden(); err != nil {
		return err
	}
	f := os.NewFile(fd, "control")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("channel to the host: %w", err)
	}
	control, ok := c.(*net.UnixConn)
	if !ok {
		return errors.New("channel to the host: not a Unix socket")
	}
	cfg.Control = control
	return core.Run(cfg)
}

// harden keeps the keys in this process's memory out of core dumps and away
// from other processes of the same user.
func harden() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if _, _, e := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_DUMPABLE, 0, 0); e != 0 {
		return fmt.Errorf("make the process not dumpable: %w", e)
	}
	return nil
}
