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
	"motte/client/frames"
	"motte/core/hostwire"
	"motte/core/model"
)

// The administrator of a new store is made by the host. admin.profile in the data
// directory has what a client needs, from the first moment that the file is there.
// Before, the key lies in admin.profile.part. The operator may take admin.profile
// away: the host then no longer registers built-in Tasks by itself.

func (h *host) adminPath() string { return filepath.Join(h.Dir, "admin.profile") }

// partPath is the administrator's profile while it does not say where the Core is.
func (h *host) partPath() string { return h.adminPath() + ".part" }

// prepareAdmin makes the administrator's key of a new store, and keeps the
// principal that the Core is to know: nobody, if the store is older and its
// operator took the profile away. The key is on disk, whole, before the Core
// hears of it, or a crash in between would lose the only one who can administer.
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

// readAdmin reads the administrator's profile, or its part if the first start of
// the store was not completed.
func (h *host) readAdmin() (*client.Profile, error) {
	p, err := client.ReadProfile(h.adminPath())
	if errors.Is(err, os.ErrNotExist) {
		if p, err = client.ReadProfile(h.partPath()); err == nil {
			p.Heads = client.HeadFileOf(h.adminPath())
		}
	}
	return p, err
}

// makeAdmin keeps a new key for the administrator, if the store is new.
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

// completeAdmin writes the administrator's profile, which takes the place of its
// part.
func (h *host) completeAdmin(p *client.Profile) error {
	if err := p.Replace(h.adminPath()); err != nil {
		return err
	}
	if err := os.Remove(h.partPath()); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// announce registers the built-in Tasks when the Core is ready, and then
// completes the administrator's profile: a program that waits for that finds
// all there is.
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

// reachable is the address that a client on this machine can use.
func reachable(address string) string {
	hostname, port, err := net.SplitHostPort(address)
	if ip := net.ParseIP(hostname); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// BuiltIn are the rows that the built-in Tasks are registered with; the
// measurement is that of the executable found.
var BuiltIn = map[string]model.Row{
	"ordered": {Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete, Ordered: true,
		MaxInput: 1 << 20, MaxResults: model.MaxResultsLimit, Deadline: 10_000, Memory: 2 << 30},
	"text": {Operations: frames.TaskSearch | frames.TaskCount | frames.TaskDelete, Ordered: true,
		MaxInput: 4 << 20, MaxResults: 65_536, Deadline: 30_000, Memory: 4 << 30},
}

// registerTasks registers the built-in Tasks beside this executable that are
// new, and those whose registered executable is gone: an upgrade. One that an
// administrator registered in the built-in one's place, wherever it lies, stays.
func (h *host) registerTasks(ctx context.Context, p *client.Profile) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
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
		row, builtIn := BuiltIn[m.Name]
		if !builtIn || filepath.Dir(m.Path) != filepath.Clean(h.Bin) {
			continue
		}
		if old := registered[m.Name]; old != nil {
			if present(list, old.Measurement) {
				continue
			}
			row = *old // with what its operator may have changed
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
