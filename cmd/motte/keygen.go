package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"motte/client"
)

// profileView is a profile without its private key.
type profileView struct {
	Profile       string `json:"profile,omitempty"` // file
	ProfileBase64 []byte `json:"profile_base64,omitempty"`
	Address       string `json:"address,omitempty"`
	CoreKey       string `json:"core_key,omitempty"`
	PublicKey     string `json:"public_key"`
	Principal     string `json:"principal"`
}

func newProfile(path string, p *client.Profile) profileView {
	v := profileView{Address: p.Address, CoreKey: hex.EncodeToString(p.CoreKey), PublicKey: publicKey(p), Principal: identifier(p.Principal())}
	v.Profile, v.ProfileBase64 = textOrBytes(path)
	return v
}

func publicKey(p *client.Profile) string {
	return hex.EncodeToString(p.Key.Public().(ed25519.PublicKey))
}

// makeKey makes a key in a new profile file.
func makeKey(path string, p client.Profile) (*client.Profile, error) {
	if path == toStream {
		return nil, usage("--out %q: a profile holds a private key, and goes into a file", path)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	p.Key = key
	return &p, p.Write(path)
}

func (a *app) keygen() *cobra.Command {
	var out string
	cmd := a.leaf(&cobra.Command{
		Use:   "keygen",
		Short: "Make a key of your own that never leaves this machine",
		Long: `Make a key, in a profile that does not say yet where the server is, and print its
public half. Send that to the server's administrator, who registers it:

  motte principal add LABEL --public-key KEY

and sends back the server's address and the Core's key. Put them into the profile:

  motte profile set FILE --address A --core-key K`,
		Example: `  motte keygen --out alice.profile`,
	}, func(context.Context, []string) error {
		p, err := makeKey(out, client.Profile{})
		if err != nil {
			return err
		}
		if a.json {
			return a.emit(newProfile(out, p))
		}
		a.note("The key is in %s. This is its public half, for the administrator:", out)
		_, err = fmt.Fprintln(a.stdout, publicKey(p))
		return err
	})
	cmd.Flags().StringVar(&out, "out", "motte.profile", "`FILE` to make")
	return cmd
}

func (a *app) profileFile() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "profile",
		Short: "Show and complete a profile file",
	}, []*cobra.Command{a.profileShow(), a.profileSet()})
}

func (a *app) profileShow() *cobra.Command {
	return a.leaf(&cobra.Command{
		Use:   "show [FILE]",
		Short: "Print what is in a profile, except the private key",
		Example: `  motte profile show
  motte profile show alice.profile --json`,
	}, func(_ context.Context, args []string) error {
		path, p, err := a.profileArgument(args)
		if err != nil {
			return err
		}
		if a.json {
			return a.emit(newProfile(path, p))
		}
		v := newProfile(path, p)
		_, err = fmt.Fprintf(a.stdout, "profile     %s\naddress     %s\ncore-key    %s\npublic key  %s\nprincipal   %s\n",
			path, orNone(v.Address), orNone(v.CoreKey), v.PublicKey, v.Principal)
		return err
	})
}

func orNone(s string) string {
	if s == "" {
		return "not set: see 'motte help profile set'"
	}
	return s
}

// profileArgument reads the profile that an argument names. Without an argument it reads the
// profile of --profile or MOTTE_PROFILE.
func (a *app) profileArgument(args []string) (path string, p *client.Profile, err error) {
	if len(args) > 0 {
		path = args[0]
	} else if path, err = a.profilePath(); err != nil {
		return "", nil, err
	}
	p, err = client.ReadProfile(path)
	return path, p, err
}

func (a *app) profileSet() *cobra.Command {
	var server, coreKey string
	cmd := a.leaf(&cobra.Command{
		Use:   "set [FILE]",
		Short: "Say in a profile where the server is, and what the Core's key is",
		Long: `Set the server's address and the Core's key in a profile. The profile accepts no server
with another key. Get both from the administrator, over a channel that an attacker can't
write to.`,
		Example: `  motte profile set alice.profile --address motte.example:7433 --core-key 8f0c…`,
	}, func(_ context.Context, args []string) error {
		path, p, err := a.profileArgument(args)
		if err != nil {
			return err
		}
		if server == "" && coreKey == "" {
			return usage("--address or --core-key is missing")
		}
		if server != "" {
			p.Address = server
		}
		if coreKey != "" {
			key, err := parseHex(coreKey)
			if err != nil {
				return err
			}
			p.SetCoreKey(key[:])
		}
		file, err := filepath.EvalSymlinks(path) // replace the file that a symbolic link points to, not the link
		if err != nil {
			return err
		}
		if err := p.Replace(file); err != nil {
			return err
		}
		return a.done(newProfile(path, p), "%s is for %s.", path, orNone(p.Address))
	})
	cmd.Flags().Var(address{to: &server}, "address", "`HOST:PORT` of the server")
	cmd.Flags().StringVar(&coreKey, "core-key", "", "the Core's public `KEY`, 64 hexadecimal digits")
	return cmd
}
