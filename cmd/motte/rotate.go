package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"motte/client"
)

// rotatedView is a principal that has another key, as JSON.
type rotatedView struct {
	principalView
	Former        string `json:"former"`            // its former 64 hexadecimal digits
	Profile       string `json:"profile,omitempty"` // file
	ProfileBase64 []byte `json:"profile_base64,omitempty"`
	Address       string `json:"address"`
	CoreKey       string `json:"core_key"`
}

// nextKey is the command line of a rotation.
type nextKey struct {
	out, public, address string
}

func (a *app) principalRotate() *cobra.Command {
	var k nextKey
	cmd := a.leaf(&cobra.Command{
		Use:   "rotate PRINCIPAL",
		Short: "Give a principal another key; it keeps its objects, rights and label",
		Long: `Give a principal another key. It keeps its label, its rights and its objects. The server
refuses the old key from then on, and ends its connections. For administrators of the server:
a principal can't rotate its own key, since a thief of that key could do so, too.

With --out the next key is made here, and FILE is the complete profile for the principal:
hand it over safely. With --public-key the key was made by its owner ('motte keygen') and
stays there; what is printed is the command that completes the owner's profile.`,
		Example: `  motte principal rotate alice --out alice-2.profile
  motte principal rotate bob --public-key 3d40…`,
	}, func(ctx context.Context, args []string) error {
		if (k.out == "") == (k.public == "") {
			return usage("either --out FILE or --public-key KEY is needed")
		}
		admin, err := a.readProfile()
		if err != nil {
			return err
		}
		c, err := a.connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		id, err := principalID(ctx, c, args[0])
		if err != nil {
			return err
		}
		return a.rotate(ctx, c, args[0], id, admin, k)
	})
	f := cmd.Flags()
	f.StringVar(&k.out, "out", "", "`FILE` to make: the principal's next profile, with a key that is made here")
	f.StringVar(&k.public, "public-key", "", "public `KEY` of the principal, as 'motte keygen' printed it")
	f.Var(address{to: &k.address}, "address", "`HOST:PORT` at which the principal reaches the server (default: the one in your profile)")
	return cmd
}

func (a *app) rotate(ctx context.Context, c *client.Client, name string, id [32]byte, admin *client.Profile, k nextKey) error {
	p := client.Profile{Address: admin.Address, CoreKey: admin.CoreKey, NextCoreKey: admin.NextCoreKey}
	if k.address != "" {
		p.Address = k.address
	}
	next, err := k.prepare(p)
	if err != nil {
		return err
	}
	err = c.RotatePrincipal(ctx, id, next)
	if errors.Is(err, client.ErrConnectionLost) && id == admin.Principal() {
		err = gone(ctx, admin, err)
	}
	var refused *client.Error
	switch {
	case errors.As(err, &refused) && !errors.Is(err, client.ErrStorageFailed) && k.out != "": // nothing was changed
		return errors.Join(fmt.Errorf("principal %s: %w", name, err), os.Remove(k.out))
	case err != nil && k.out != "":
		return fmt.Errorf("principal %s: %w; it may have its next key, which is in %s: try 'motte --profile %s status'", name, err, k.out, k.out)
	case err != nil:
		return fmt.Errorf("principal %s: %w", name, err)
	}
	v := rotatedView{principalView: principalView{name, identifier(next)}, Former: identifier(id), Address: p.Address, CoreKey: hex.EncodeToString(p.CoreKey)}
	v.Profile, v.ProfileBase64 = textOrBytes(k.out)
	if k.out != "" || a.json {
		return a.done(v, "Principal %s has another key; its profile is %s.", name, k.out)
	}
	a.note("Principal %s has another key. Its owner completes the profile with:", name)
	_, err = fmt.Fprintf(a.stdout, "motte profile set FILE --address %s --core-key %s\n", v.Address, v.CoreKey)
	return err
}

// prepare returns the principal's next 64 hexadecimal digits, from a key that is made here or by
// its owner. A key that is made here is on disk before the Core learns of it.
func (k nextKey) prepare(p client.Profile) (id [32]byte, err error) {
	if k.out != "" {
		made, err := makeKey(k.out, p)
		if err != nil {
			return id, err
		}
		return made.Principal(), nil
	}
	public, err := parseHex(k.public)
	if err != nil {
		return id, err
	}
	return sha256.Sum256(public[:ed25519.PublicKeySize]), nil
}

// gone returns nil if the Core no longer knows a profile's key, and otherwise the error lost. A
// principal that rotates its own key gets no answer, since the Core ends its connection.
func gone(ctx context.Context, p *client.Profile, lost error) error {
	c, err := client.Dial(ctx, p)
	if errors.Is(err, client.ErrUnknownPrincipal) {
		return nil
	}
	if err == nil {
		err = c.Close()
	}
	return errors.Join(lost, err)
}
