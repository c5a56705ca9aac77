package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"motte/client"
)

func (a *app) principal() *cobra.Command {
	return a.group(&cobra.Command{
		Use:   "principal",
		Short: "Add, list and remove the clients that may connect",
		Long: `A principal is a client as the server knows it: by the SHA-256 of its public key, 64
hexadecimal digits, and by a label that an administrator chose. Commands take either.`,
	}, []*cobra.Command{a.principalAdd(), a.principalList(), a.principalRotate(), a.principalRemove()})
}

// addedView is a principal that was added, with the values that the owner of its key needs.
type addedView struct {
	principalView
	Profile       string `json:"profile,omitempty"` // file
	ProfileBase64 []byte `json:"profile_base64,omitempty"`
	Address       string `json:"address"`
	CoreKey       string `json:"core_key"`
}

func (a *app) principalAdd() *cobra.Command {
	var out, key, server string
	cmd := a.leaf(&cobra.Command{
		Use:   "add LABEL",
		Short: "Register a principal",
		Long: `Register a principal, which then may connect and has no rights: see 'motte grant'.

With --out a key is made here, and FILE is the complete profile for the principal:
hand it over safely. With --public-key the key was made by its owner ('motte
keygen') and stays there; what is printed is the command that completes the owner's
profile.`,
		Example: `  motte principal add alice --out alice.profile
  motte principal add bob --public-key 3d40… --address motte.example:7433`,
	}, func(ctx context.Context, args []string) error {
		if (out == "") == (key == "") {
			return usage("either --out FILE or --public-key KEY is needed")
		}
		admin, err := a.readProfile()
		if err != nil {
			return err
		}
		if server == "" {
			server = admin.Address
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		p := client.Profile{Address: server, CoreKey: admin.CoreKey, NextCoreKey: admin.NextCoreKey}
		if out != "" {
			return a.addWithKey(ctx, c, args[0], out, p)
		}
		return a.addPublicKey(ctx, c, args[0], key, p)
	})
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "`FILE` of the profile to make")
	f.StringVar(&key, "public-key", "", "public `KEY` of the principal, as 'motte keygen' printed it")
	f.Var(address{to: &server}, "address", "`HOST:PORT` at which the principal reaches the server (default: the one in your profile)")
	return cmd
}

// addWithKey makes a key, and registers it once the key is on disk.
func (a *app) addWithKey(ctx context.Context, c *client.Client, label, out string, p client.Profile) error {
	made, err := makeKey(out, p)
	if err != nil {
		return err
	}
	if err := c.AddPrincipal(ctx, made.Principal(), label); err != nil {
		return errors.Join(fmt.Errorf("principal %s: %w", label, err), os.Remove(out))
	}
	v := addedView{principalView: principalView{label, identifier(made.Principal())}, Address: p.Address, CoreKey: hex.EncodeToString(p.CoreKey)}
	v.Profile, v.ProfileBase64 = textOrBytes(out)
	return a.done(v, "Principal %s is registered; its profile is %s. Next: motte grant COLLECTION %s RIGHTS", label, out, label)
}

// addPublicKey registers a key that its owner made.
func (a *app) addPublicKey(ctx context.Context, c *client.Client, label, key string, p client.Profile) error {
	public, err := parseHex(key)
	if err != nil {
		return err
	}
	id := sha256.Sum256(public[:])
	if err := c.AddPrincipal(ctx, id, label); err != nil {
		return fmt.Errorf("principal %s: %w", label, err)
	}
	v := addedView{principalView: principalView{label, identifier(id)}, Address: p.Address, CoreKey: hex.EncodeToString(p.CoreKey)}
	if a.json {
		return a.emit(v)
	}
	a.note("Principal %s is registered. Its owner completes the profile with:", label)
	_, err = fmt.Fprintf(a.stdout, "motte profile set FILE --address %s --core-key %s\n", v.Address, v.CoreKey)
	return err
}

func (a *app) principalList() *cobra.Command {
	return a.remote(&cobra.Command{
		Use:   "list",
		Short: "List principals: all of them for a server administrator, otherwise you",
	}, func(ctx context.Context, c *client.Client, _ []string) error {
		v, err := look(ctx, c)
		if err != nil {
			return err
		}
		return table(a, v.Principals, "LABEL | PRINCIPAL", func(p principalView) []any { return []any{p.Label, p.Principal} })
	})
}

func (a *app) principalRemove() *cobra.Command {
	var erase, yes bool
	cmd := a.remote(&cobra.Command{
		Use:   "remove PRINCIPAL",
		Short: "End a principal's access and all of its rights; with --erase, destroy its objects",
		Long: `End a principal's access and all of its rights. Its objects stay.

With --erase all objects that it put, in every collection, become unreadable: the server
destroys their key. The command returns when no file of the server holds the key. Backups
stay usable and lose the same objects, since no backup holds the key. Copies that others
have read stay with them.

Older key exports and copies of the file data.keys still hold the key: make a new key export
(motte key export), and destroy the older ones.`,
		Example: `  motte principal remove alice
  motte principal remove alice --erase`,
	}, func(ctx context.Context, c *client.Client, args []string) error {
		if yes && !erase {
			return usage("--yes is about --erase")
		}
		id, err := principalID(ctx, c, args[0])
		if err != nil {
			return err
		}
		if erase {
			return a.erasePrincipal(ctx, c, args[0], id, yes)
		}
		if err := removed(args[0], c.RemovePrincipal(ctx, id)); err != nil {
			return err
		}
		return a.done(removedView{Principal: identifier(id)}, "Principal %s is removed.", args[0])
	})
	cmd.Flags().BoolVar(&erase, "erase", false, "destroy all objects that the principal put, for good")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask before --erase")
	return cmd
}

// removedView is a principal that was removed, as JSON.
type removedView struct {
	Principal string `json:"principal"`
	Erased    bool   `json:"erased,omitempty"`
}

func (a *app) erasePrincipal(ctx context.Context, c *client.Client, name string, id [32]byte, yes bool) error {
	question := fmt.Sprintf("This removes principal %s, and destroys all objects that it put, in every collection. This can't be undone.", name)
	if err := a.confirm(ctx, yes, question); err != nil {
		return err
	}
	if err := removed(name, c.ErasePrincipal(ctx, id)); err != nil {
		return err
	}
	if err := a.done(removedView{identifier(id), true}, "Principal %s is removed, and the objects that it put are destroyed.", name); err != nil {
		return err
	}
	a.note("Older key exports still open copies of these objects: make a new key export ('motte key export'), and destroy the older ones.")
	return nil
}

// removed says why a principal could not be removed.
func removed(name string, err error) error {
	if errors.Is(err, client.ErrInvalidRequest) {
		return fmt.Errorf("principal %s is the last administrator of the server: this could not be undone", name)
	}
	if err != nil {
		return fmt.Errorf("principal %s: %w", name, err)
	}
	return nil
}
