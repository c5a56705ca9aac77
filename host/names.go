package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"motte/client"
)

// namesAgain is the pause before the host asks again for names that it could not read.
const namesAgain = time.Minute

// learnNames reads the names of the indexes, each time that the metrics miss a name. The host asks
// as the administrator, because it does not know the names itself.
func (s *session) learnNames(ctx context.Context) {
	said := false
	for {
		select {
		case <-s.h.metrics.unnamed:
		case <-ctx.Done():
			return
		}
		names, err := s.h.readNames(ctx)
		if err == nil {
			s.h.metrics.name(names)
			said = false
			continue
		}
		if !said && ctx.Err() == nil {
			s.h.log.Warn("/metrics shows no names of indexes", "error", err)
		}
		said = true
		select {
		case <-time.After(namesAgain):
		case <-ctx.Done():
			return
		}
	}
}

// readNames asks the Core, as the administrator, for the names of its indexes.
func (h *host) readNames(ctx context.Context) (map[uint64]indexName, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	p, err := client.ReadProfile(h.adminPath())
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: names are read with the administrator's profile", err)
	}
	if err != nil {
		return nil, err
	}
	c, err := client.Dial(ctx, p)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	status, err := c.Status(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[uint64]indexName)
	for _, s := range status.Indexes {
		names[uint64(s.Number)] = indexName{s.Collection, s.Index}
	}
	return names, nil
}
