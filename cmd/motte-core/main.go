// Command motte-core is the Core's process. It links only motte/core and the standard
// library, so its SHA-256 measures the whole trusted code. The host starts it, not a user.
//
// The exit status is 0 after an orderly stop. It is one of hostwire's Exit constants if the
// Core refuses to start, and another start would not help. It is 1 after any other error. Go's
// runtime ends the process with 2 after a panic.
package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"motte/core/access"
	"motte/core/hostwire"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/server"
)

func main() {
	var cfg server.Config
	flags := flag.NewFlagSet("motte-core", flag.ContinueOnError) // flag.Parse would exit with 2, as after a panic
	flags.StringVar(&cfg.Dir, "dir", "", "data directory")
	flags.StringVar(&cfg.Listen, "listen", "127.0.0.1:7433", "address to listen on")
	flags.StringVar(&cfg.RootKey, "root-key", "", "file with the root key (default: root.key in the data directory)")
	admin := flags.String("admin", "", "first administrator of a new store: SHA-256 of its public key, in hexadecimal")
	newAdmin := flags.String("new-admin", "", "the only administrator from this start on: SHA-256 of its public key, in hexadecimal")
	anchor := flags.String("anchor", "", "head that the store's anchor remembers, in hexadecimal")
	flags.BoolVar(&cfg.Accept, "accept-loss", false, "serve a store that lacks acknowledged writes, and record an alert")
	fd := flags.Uint("control-fd", 3, "descriptor of the channel to the host")
	if err := flags.Parse(os.Args[1:]); err != nil { // flags has printed the error
		os.Exit(hostwire.ExitUsage)
	}
	id, err := hex.DecodeString(*admin)
	if err != nil || len(id) != len(cfg.Admin) || cfg.Dir == "" || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "motte-core: needs -dir and -admin; it is started by 'motte serve'")
		os.Exit(hostwire.ExitUsage)
	}
	cfg.Admin = access.Principal(id)
	if *newAdmin != "" {
		id, err := hex.DecodeString(*newAdmin)
		if err != nil || len(id) != len(cfg.NewAdmin) {
			fmt.Fprintln(os.Stderr, "motte-core: -new-admin is not 64 hexadecimal digits")
			os.Exit(hostwire.ExitUsage)
		}
		cfg.NewAdmin = access.Principal(id)
	}
	if *anchor != "" {
		p, errHex := hex.DecodeString(*anchor)
		if cfg.Anchor, err = model.DecodeHead(p); errors.Join(err, errHex) != nil {
			fmt.Fprintln(os.Stderr, "motte-core: -anchor is not a head in hexadecimal")
			os.Exit(hostwire.ExitUsage)
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

// status returns the exit status for an error. The host learns only this status.
func status(err error) int {
	var passing syscall.Errno
	switch {
	case errors.Is(err, seglog.ErrLocked):
		return hostwire.ExitLocked
	case errors.Is(err, server.ErrOlder):
		return hostwire.ExitOlder
	case errors.As(err, &passing) && passes(passing):
		return 1
	case errors.Is(err, seglog.ErrDamaged), errors.Is(err, server.ErrKey), errors.Is(err, seglog.ErrVersion):
		return hostwire.ExitRefused
	}
	return 1
}

// passes reports whether an error of a system call is temporary: it says nothing about the
// store, and the next start may succeed.
func passes(e syscall.Errno) bool {
	switch e {
	case syscall.EIO, syscall.EINTR, syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ENOSPC:
		return true
	}
	return false
}

func run(cfg server.Config, fd uintptr) error {
	if err := harden(); err != nil {
		return err
	}
	f := os.NewFile(fd, "control")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return fmt.Errorf("channel to the host: %w", err)
	}
	channel, ok := c.(*net.UnixConn)
	if !ok {
		return errors.New("channel to the host: not a Unix socket")
	}
	cfg.Control = channel
	return server.Run(cfg)
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
	if err := lock(); err != nil && swaps() {
		fmt.Fprintln(os.Stderr, "motte-core: this machine swaps, and memory with keys can't be kept out of swap:", err)
	}
	return nil
}

// lock keeps the whole memory of this process out of swap. Keys, and values derived from keys,
// are in many places of it.
func lock() error {
	const memlock, onFault = 8, 4 // RLIMIT_MEMLOCK, MCL_ONFAULT: reserved pages take no memory until they are used
	// If the heap grew beyond the limit, the runtime would end the process. So the limit is lifted.
	// If that is forbidden, a limit of 0 makes mlockall fail, except for a process with
	// CAP_IPC_LOCK, to which no limit applies.
	if syscall.Setrlimit(memlock, &syscall.Rlimit{Cur: 1<<64 - 1, Max: 1<<64 - 1}) != nil {
		if err := syscall.Setrlimit(memlock, &syscall.Rlimit{}); err != nil {
			return fmt.Errorf("limit locked memory: %w", err)
		}
	}
	return syscall.Mlockall(syscall.MCL_CURRENT | syscall.MCL_FUTURE | onFault)
}

// swaps reports whether the machine may write memory to a disk.
func swaps() bool {
	list, err := os.ReadFile("/proc/swaps")
	return err != nil || bytes.Count(list, []byte("\n")) > 1 // the first line is a heading
}
