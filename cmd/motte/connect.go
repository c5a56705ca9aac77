package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"motte/client"
)

// connectWithin bounds how long a server may take to answer at first.
const connectWithin = 15 * time.Second

var errNoProfile = usage("no profile: pass --profile FILE or set MOTTE_PROFILE; 'motte serve' writes DIR/admin.profile")

// profilePath is the file of the profile to use.
func (a *app) profilePath() (string, error) {
	if a.profile != "" {
		return a.profile, nil
	}
	path, set := os.LookupEnv("MOTTE_PROFILE")
	switch {
	case path != "":
		return path, nil
	case set:
		return "", usage("MOTTE_PROFILE is set, and empty: name a file, unset it, or pass --profile FILE")
	}
	return "", errNoProfile
}

func (a *app) readProfile() (*client.Profile, error) {
	path, err := a.profilePath()
	if err != nil {
		return nil, err
	}
	p, err := client.ReadProfile(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, usage("there is no profile %s; 'motte serve' writes DIR/admin.profile", path)
	case err != nil:
		return nil, err
	case !p.Complete():
		return nil, fmt.Errorf("profile %s does not say where the server is; ask its administrator, then run: motte profile set %s --address A --core-key K", path, path)
	}
	if err := checkAddress(p.Address); err != nil {
		return nil, fmt.Errorf("profile %s: the address is %q, and %w; run: motte profile set %s --address A", path, p.Address, err, path)
	}
	return p, nil
}

// connect connects to the server of the profile.
func (a *app) connect(ctx context.Context) (*client.Client, error) {
	p, err := a.readProfile()
	if err != nil {
		return nil, err
	}
	c, err := dial(ctx, p)
	if err != nil {
		return nil, err
	}
	if _, err := c.CoreKeys(); err != nil {
		fmt.Fprintf(a.stderr, "The Core's key is being replaced, and the next one can't be kept: %v\n", err)
	}
	return c, nil
}

// dial connects to the server of a profile.
func dial(ctx context.Context, p *client.Profile) (*client.Client, error) {
	within, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	c, err := client.Dial(within, p)
	var refused *client.Error
	var file *os.PathError
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil, errors.As(err, &refused), errors.Is(err, client.ErrHeadFile), errors.As(err, &file):
		return nil, err
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("the server at %s does not answer within %v", p.Address, connectWithin)
	}
	return nil, connectionError{err}
}

// principalID finds a principal by its label, or by its 64 hexadecimal digits.
func principalID(ctx context.Context, c *client.Client, name string) (id [32]byte, err error) {
	if id, err := parseHex(name); err == nil {
		return id, nil
	}
	status, err := c.Status(ctx)
	if err != nil {
		return id, err
	}
	for _, s := range status.Principals {
		if s.Label == name {
			return s.Principal, nil
		}
	}
	return id, fmt.Errorf("principal %q: %w that you can see; use its 64 hexadecimal digits, or ask a server administrator", name, client.ErrNoPrincipal)
}

// parseHex reads an identity, a principal or a key.
func parseHex(s string) (id [32]byte, err error) {
	p, err := hex.DecodeString(s)
	if err != nil || len(p) != len(id) {
		return id, usage("%q is not 64 hexadecimal digits", s)
	}
	return [32]byte(p), nil
}
