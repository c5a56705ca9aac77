package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"motte/client"
	"motte/host"
	"motte/internal/owner"
)

// newAdminFile is the file for the profile of a new administrator.
type newAdminFile struct {
	path    string
	replace bool // an existing file may be replaced
	address string
}

// making is the path of the profile until the Core knows its key. An interrupted run leaves it
// there. The next run uses the same key, since the Core may know it already.
func (f newAdminFile) making() string { return f.path + ".recovered" }

// newAdmin makes a new administrator, the only one of the server. The profile is complete on
// disk before the Core learns the key.
func (a *app) newAdmin(ctx context.Context, cfg host.Config, out newAdminFile, yes bool) error {
	if out.path == "" {
		out.path = filepath.Join(cfg.Dir, "admin.profile")
	}
	if err := errors.Join(host.Find(cfg.Dir), out.free()); err != nil {
		return err
	}
	question := "This makes a new administrator of the server. All others lose the right to administer it. Go on?"
	if err := a.confirm(ctx, yes, question); err != nil {
		return err
	}
	p, made, err := out.make(cfg.Dir)
	if err != nil {
		return fmt.Errorf("make the profile: %w", err)
	}
	key, err := host.NewAdmin(ctx, cfg, p.Principal())
	if errors.Is(err, host.ErrRefused) && made { // the Core never learned this key
		return runs(errors.Join(err, os.Remove(out.making())))
	}
	if err != nil {
		return runs(fmt.Errorf("%w; run the command again: it goes on with the key in %s", err, out.making()))
	}
	p.Address, p.CoreKey = out.address, key[:]
	if err := out.place(p); err != nil {
		return fmt.Errorf("the administrator is made, and its key is in %s: %w", out.making(), err)
	}
	if err := a.done(newProfile(out.path, p), "The only administrator of the server is %s now; its profile is %s.", identifier(p.Principal()), out.path); err != nil {
		return err
	}
	a.note("The former administrators keep their objects, and their rights in collections. If a key was stolen: motte principal remove NAME")
	return nil
}

// free returns an error if a file exists that must not be replaced.
func (f newAdminFile) free() error {
	if _, err := os.Lstat(f.path); !errors.Is(err, os.ErrNotExist) && !f.replace {
		return errors.Join(err, fmt.Errorf("%s exists: choose another file with --out, or pass --replace if the key in it is not needed", f.path))
	}
	return nil
}

// make makes a key, or reads the key of an interrupted run.
func (f newAdminFile) make(store string) (p *client.Profile, made bool, err error) {
	if err = owner.Check(f.making(), store); err == nil {
		p, err = client.ReadProfile(f.making())
	}
	if !errors.Is(err, os.ErrNotExist) {
		return p, false, err
	}
	p, err = makeKey(f.making(), client.Profile{})
	return p, true, err
}

// place renames the profile to its final name. It replaces a file, even one that appeared
// meanwhile, only with --replace.
func (f newAdminFile) place(p *client.Profile) error {
	write := p.Write
	if f.replace {
		write = p.Replace
	}
	if err := write(f.path); err != nil {
		return err
	}
	return os.Remove(f.making())
}
