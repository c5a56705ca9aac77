package crashfs

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"slices"

	"motte/client"
	"motte/core/model"
)

const (
	tenants     = "tenants" // collection of the tenants
	tenantNames = 3         // objects of each tenant
)

// tenant is a principal that puts a few objects. It is later erased together with them.
type tenant struct {
	id    [32]byte
	names []string
	put   []string // names of acknowledged objects
	state erasure
}

type erasure int

const (
	present erasure = iota
	asked           // its erasure was requested, without an answer
	erased
)

// addTenant adds a principal with its own objects.
func (b *books) addTenant(ctx context.Context, s *server, admin *client.Client) error {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	n := &tenant{id: (&client.Profile{Key: key}).Principal()}
	b.tenants = append(b.tenants, n)
	for i := range tenantNames {
		n.names = append(n.names, fmt.Sprintf("%x-%d", n.id[:4], i))
	}
	if err := admin.AddPrincipal(ctx, n.id, fmt.Sprintf("tenant-%x", n.id[:4])); err != nil {
		return err
	}
	if err := admin.Grant(ctx, tenants, n.id, model.RightWrite); err != nil {
		return err
	}
	c, err := s.as(key)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, name := range n.names {
		if _, err := c.Put(ctx, tenants, []byte(name), client.Name(name)); err != nil {
			return err
		}
		n.put = append(n.put, name)
	}
	return nil
}

// eraseTenant erases the oldest tenant.
func (b *books) eraseTenant(ctx context.Context, admin *client.Client) error {
	oldest := b.tenants[slices.IndexFunc(b.tenants, func(n *tenant) bool { return n.state == present })]
	oldest.state = asked
	err := admin.ErasePrincipal(ctx, oldest.id)
	if err == nil {
		oldest.state = erased
		b.erasures++
	}
	return err
}

func (b *books) compact(ctx context.Context, admin *client.Client) error {
	err := admin.Compact(ctx)
	if err == nil {
		b.compactions++
	}
	return err
}

// accountTenants compares the tenants' objects with the books. All acknowledged objects must be
// there, or none if the tenant is erased.
func (b *books) accountTenants(ctx context.Context, c *client.Client) {
	listed := make(map[string]bool)
	for o, err := range c.List(ctx, tenants) {
		if err != nil {
			b.problem("list of tenants: %v", err)
			return
		}
		listed[o.Name] = true
		if string(o.Data) != o.Name {
			b.problem("object %s of a tenant holds %q, which the tenant did not put", o.Name, o.Data)
		}
	}
	for _, n := range b.tenants {
		var there int
		for _, name := range n.names {
			if listed[name] {
				there++
			}
		}
		if n.state == asked {
			n.state = present
			if there == 0 {
				n.state = erased
			}
		}
		switch {
		case n.state == erased && there > 0:
			b.problem("tenant %x is erased, but %d of its objects are there; want none", n.id[:4], there)
		case n.state == present && there < len(n.put):
			b.problem("tenant %x has %d objects; want all %d acknowledged ones", n.id[:4], there, len(n.put))
		}
	}
}
