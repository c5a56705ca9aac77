package host

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"motte/client"
	"motte/core/hostwire"
	"motte/core/model"
	"motte/tasks"
)

// The host makes the administrator of a new store. admin.profile in the data directory is complete
// from the moment that the file is there: a client needs no more. Before that, the key is in
// admin.profile.part. The operator may remove admin.profile. Then the host no longer registers
// built-in Tasks.

func (h *host) adminPath() string { return filepath.Join(h.Dir, "admin.profile") }

// partPath is the path of the administrator's profile while it lacks the Core's address.
func (h *host) partPath() string { return h.adminPath() + ".part" }

// prepareAdmin makes the administrator's key of a new store, and sets the principal that the Core
// gets. The principal is zero if the operator of an older store removed the profile. The whole key
// is on disk before the Core hears of it. Otherwise a crash could lose the key of the only
// administrator.
func (h *host) prepareAdmin() error {
	p, err := h.readAdmin()
	if errors.Is(err, os.ErrNotExist) {
		p, err = h.makeAdmin()
	}
	if err != nil {
		return fmt.Errorf("the administrator's profile: %w", err)
	}
	if p != nil {
		h.admin = p.Principal()
	}
	return nil
}

// readAdmin reads the administrator's profile, or its part if the store's first start did not
// complete it.
func (h *host) readAdmin() (*client.Profile, error) {
	p, err := client.ReadProfile(h.adminPath())
	if errors.Is(err, os.ErrNotExist) {
		if p, err = client.ReadProfile(h.partPath()); err == nil {
			p.Heads = client.HeadFileOf(h.adminPath())
		}
	}
	return p, err
}

// makeAdmin makes and stores the administrator's key, if the store is new.
func (h *host) makeAdmin() (*client.Profile, error) {
	if empty, err := h.empty(); err != nil || !empty {
		return nil, err
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &client.Profile{Key: key}
	return p, p.Replace(h.partPath())
}

// completeAdmin writes the administrator's profile, which replaces its part.
func (h *host) completeAdmin(p *client.Profile) error {
	if err := p.Replace(h.adminPath()); err != nil {
		return err
	}
	if err := os.Remove(h.partPath()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// announce registers the built-in Tasks when the Core is ready, and then completes the
// administrator's profile. So a program that waits for the profile finds the Tasks registered.
func (s *session) announce(ctx context.Context, m hostwire.Ready) {
	h := s.h
	h.log.Info("ready", "address", m.Address, "core-key", fmt.Sprintf("%x", m.Key))
	if h.RootKey == "" {
		h.log.Warn("the root key lies in the data directory: whoever takes the disk can read it; see --root-key")
	}
	ready := Ready{Address: m.Address, CoreKey: m.Key}
	p, err := h.readAdmin()
	if err == nil {
		ready.Profile = h.adminPath()
		p.Address = reachable(m.Address)
		p.SetCoreKey(m.Key[:])
		err = h.registerTasks(ctx, p)
		if errors.Is(err, client.ErrUnknownPrincipal) || errors.Is(err, client.ErrDenied) {
			h.log.Error("built-in Tasks are not registered: admin.profile is no administrator's any more; put one there that is, or remove it", "error", err)
			ready.Profile = ""
		} else if err != nil && ctx.Err() == nil {
			h.log.Error("register built-in Tasks", "error", err)
		}
		err = h.completeAdmin(p)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		h.log.Error("the administrator's profile", "error", err)
	}
	if ctx.Err() != nil {
		return
	}
	h.health.announce()
	if h.Ready != nil {
		h.Ready(ready)
	}
	if h.MetricsNames {
		s.learnNames(ctx)
	}
}

// reachable returns an address that a client on this machine can use.
func reachable(address string) string {
	hostname, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(hostname); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// registerTasks registers the new built-in Tasks beside this executable. It also registers a Task
// again whose registered executable is gone, as after an upgrade. It keeps a Task that an
// administrator registered in place of a built-in one, wherever its executable lies.
func (h *host) registerTasks(ctx context.Context, p *client.Profile) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	builtIn, err := tasks.BuiltIn()
	if err != nil {
		return err
	}
	list, unmeasured := h.images.list()
	c, err := client.Dial(ctx, p)
	if err != nil {
		return err
	}
	defer c.Close()
	known, _ := c.CoreKeys()
	p.NextCoreKey = known.Next
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	registered := make(map[string]*model.Row)
	for i := range status.Tasks {
		registered[status.Tasks[i].Task] = &status.Tasks[i].Row
	}
	for _, m := range list {
		row, known := builtIn[m.Name]
		if !known || filepath.Dir(m.Path) != filepath.Clean(h.Bin) {
			continue
		}
		if old := registered[m.Name]; old != nil {
			if present(list, old.Measurement) {
				continue
			}
			row = *old // with the changes that the operator may have made
		}
		row.Measurement = m.Measurement
		if err := c.RegisterTask(ctx, m.Name, row); err != nil {
			return fmt.Errorf("task %s: %w", m.Name, err)
		}
		h.log.Info("task registered", "task", m.Name, "measurement", fmt.Sprintf("%x", m.Measurement))
	}
	return unmeasured
}

func present(list []Executable, measurement [32]byte) bool {
	return slices.ContainsFunc(list, func(x Executable) bool { return x.Measurement == measurement })
}
