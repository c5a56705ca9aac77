// Package client is the Go client of Motte: it stores, finds and administers objects through
// one Core.
//
// Begin with [ReadProfile] and [Dial]. A [Profile] names the Core, its address and the
// caller's private key:
//
//	p, err := client.ReadProfile("admin.profile")
//	...
//	c, err := client.Dial(ctx, p)
//	...
//	defer c.Close()
//	_, err = c.Put(ctx, "parts", data, client.Name("bolt-m6"))
//
// # Objects and queries
//
// [Client.Put], [Client.PutBatch], [Client.Get] and [Client.Delete] work on objects by name or
// by [Identity]. [Client.GetAll] gets many objects at once. [Client.Search], [Client.Count]
// and [Client.DeleteWhere] ask an index with a [Query]. [Client.SearchAll] and
// [Client.SearchPage] show a long answer page by page. [Client.List] yields all objects of a
// collection.
//
// # Connections
//
// A [Client] is safe for concurrent use. All goroutines that use it share one connection, on
// which the Core answers calls out of order. To be fast, keep many calls in flight. An answer
// without a small limit travels on a connection of its own: see [Client.Search]. There a slow
// reader delays only its own answer, and the Core sends no faster than the reader takes.
//
// Every method returns when its context ends. If the connection is lost, the calls in flight
// fail with [ErrConnectionLost]. A call that changes no data is first tried once more. The
// next call connects again.
//
// # Rollback
//
// Each answer carries the [Head] of the Core's log, and a Client remembers the newest head.
// On each new connection it first asks whether the Core has that head in its history. If not,
// the store was rolled back or is a fork. Then every call fails with a [*RolledBackError], and
// no request is sent. [ReadProfile] arranges that the head is kept in a file, so that later
// processes check it too: see [HeadStore].
//
// # Errors
//
// An error of the Core is an [*Error]. Compare it with [errors.Is] and the sentinels of this
// package, such as [ErrNotFound]. [Temporary] reports whether the same call may succeed later.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

// Identity names one object with one content.
type Identity = identity.ID

// Head is a position in the Core's log. It commits to all records up to that position.
type Head = model.Head

// Limits for one connection. They keep the client within the limits of the Core.
const (
	maxInFlight  = 200
	largeBody    = 64 << 10 // bytes; larger bodies share maxLarge
	maxLarge     = 20 << 20 // bytes
	maxIdleLinks = 4        // dedicated connections that are kept for later answers
)

// Client is the access of one principal to one Core. [Dial] returns one.
type Client struct {
	profile *Profile
	config  *tls.Config
	slots   slots
	life    context.Context // ends with Close
	end     context.CancelFunc
	dials   singleflight.Group // attempts to make the shared connection
	memory  headTracker
	pins    pins
	keeps   sync.WaitGroup // the goroutine that keeps the head

	mu     sync.Mutex
	link   *connection              // the shared connection; nil: not connected
	idle   []*connection            // dedicated connections without a call
	links  map[*connection]struct{} // all connections that have not ended
	closed bool
}

// Dial connects to the Core of a profile. The context bounds only the connecting, not the
// life of the client. The caller closes the client.
func Dial(ctx context.Context, p *Profile) (*Client, error) {
	if !p.Complete() {
		return nil, errors.New("the profile does not say where the Core is: ask its administrator for 'address' and 'core-key'")
	}
	c := &Client{profile: p, links: make(map[*connection]struct{}),
		memory: headTracker{core: p.LogKey(), store: p.Heads},
		pins:   pins{keep: p.Learned, keys: CoreKeys{p.CoreKey, p.NextCoreKey, p.LogKey()}},
		slots:  slots{semaphore.NewWeighted(maxInFlight), semaphore.NewWeighted(maxLarge)}}
	var err error
	if c.config, err = tlsConfig(p, c.pins.fit); err != nil {
		return nil, err
	}
	c.life, c.end = context.WithCancel(context.Background())
	if p.Heads != nil {
		c.keeps.Go(func() { c.memory.saveOften(c.life) })
	}
	// Connect now: the Core must know the principal, and must have the client's head in
	// its history.
	if _, err := c.connect(ctx); err != nil {
		_ = c.Close() // there is no new head to keep
		return nil, err
	}
	return c, nil
}

// Close ends all connections. Calls and searches in flight fail with [ErrClosed]. Close
// returns an error if the newest head of the log could not be stored.
func (c *Client) Close() error {
	c.mu.Lock()
	links := slices.Collect(maps.Keys(c.links))
	c.closed, c.link, c.idle = true, nil, nil
	c.mu.Unlock()
	c.end()
	c.dials.Do("", func() (any, error) { return nil, ErrClosed }) // waits for an attempt under way
	for _, l := range links {
		l.close()
	}
	c.keeps.Wait()
	return c.memory.save()
}

// connect returns the shared connection, and makes a new one if it has ended. All callers
// wait for the same attempt. The context of a caller does not end the attempt, since the
// others still need it.
func (c *Client) connect(ctx context.Context) (*connection, error) {
	if l, err := c.shared(); l != nil || err != nil {
		return l, err
	}
	made := c.dials.DoChan("", func() (any, error) {
		if l, err := c.shared(); l != nil || err != nil {
			return l, err
		}
		l, err := c.open(c.life)
		switch {
		case c.life.Err() != nil:
			return nil, ErrClosed
		case err != nil:
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.link = l
		return l, nil
	})
	select {
	case m := <-made:
		l, _ := m.Val.(*connection)
		return l, m.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to %s: %w", c.profile.Address, ctx.Err())
	}
}

// shared returns the shared connection, or nil if the client is not connected.
func (c *Client) shared() (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, ErrClosed
	case c.link == nil || c.link.over():
		return nil, nil
	}
	return c.link, nil
}

// open makes a connection, which Close ends. It fails if the Core does not have the client's
// head in its history.
func (c *Client) open(ctx context.Context) (*connection, error) {
	l, err := dial(ctx, c.profile.Address, c.config, c.memory.seen)
	if err != nil {
		return nil, err
	}
	if !c.adopt(l) {
		l.close()
		return nil, ErrClosed
	}
	if err := c.greet(ctx, l); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// adopt registers a connection until it ends. It returns false if the client is closed.
func (c *Client) adopt(l *connection) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.links[l] = struct{}{}
	l.all.Go(func() {
		<-l.ended
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.links, l)
	})
	return true
}

func (l *connection) over() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// reads reports whether an operation changes nothing, so that it can be sent
// twice.
func reads(o model.Operation) bool {
	switch o {
	case model.OpGet, model.OpGetMany, model.OpSearch, model.OpCount, model.OpList, model.OpStatus, model.OpAlerts, model.OpHead, model.OpConfiguration:
		return true
	}
	return false
}

// do sends a request and waits for its one frame.
func (c *Client) do(ctx context.Context, r *wire.Request) (part, error) {
	k, err := c.collect(ctx, r)
	if err != nil {
		return part{}, err
	}
	defer k.reuse()
	last := k.parts[len(k.parts)-1]
	if err := failure(last.Code); err != nil {
		return part{}, err
	}
	return last, nil
}

// collect sends a request on the shared connection and waits for the whole answer. The frames
// of the answer are the parts of the call. After reading them the caller may call reuse.
func (c *Client) collect(ctx context.Context, r *wire.Request) (*call, error) {
	for again := reads(r.Op); ; again = false {
		k, err := c.once(ctx, r)
		if again && errors.Is(err, ErrConnectionLost) {
			continue
		}
		return k, err
	}
}

func (c *Client) once(ctx context.Context, r *wire.Request) (*call, error) {
	large, err := c.slots.reserve(ctx, r)
	if err != nil {
		return nil, err
	}
	k := newCall()
	k.slots, k.large = &c.slots, large
	l, err := c.connect(ctx)
	if err == nil {
		err = l.start(r, k)
	}
	if err != nil {
		k.release()
		return nil, err
	}
	if err := k.whole(ctx); err != nil {
		k.drop()
		if errors.Is(err, ErrSlowReader) {
			c.retire(l)
		}
		l.endIfSpent()
		return nil, err
	}
	return k, nil
}

// retire stops sharing a connection, on which too large an answer still arrives. The
// connection serves the calls in flight and takes no new ones.
func (c *Client) retire(l *connection) {
	c.mu.Lock()
	if c.link == l {
		c.link = nil
	}
	c.mu.Unlock()
	l.mu.Lock()
	l.retired = true
	l.mu.Unlock()
}

// slots bound the requests in flight on the shared connection. A request gives its slot back
// when the Core has answered it. That may be long after the caller stopped waiting.
type slots struct {
	requests *semaphore.Weighted
	bytes    *semaphore.Weighted // of large bodies
}

// reserve waits until the bounds allow one more request. It returns the bytes that the
// request takes of the bound for large bodies.
func (s *slots) reserve(ctx context.Context, r *wire.Request) (large int64, err error) {
	if err := s.requests.Acquire(ctx, 1); err != nil {
		return 0, err
	}
	n := int64(len(r.Object) + len(r.Query))
	if n <= largeBody {
		return 0, nil
	}
	n = min(n, maxLarge)
	if err := s.bytes.Acquire(ctx, n); err != nil {
		s.requests.Release(1)
		return 0, err
	}
	return n, nil
}

func (s *slots) release(large int64) {
	if large > 0 {
		s.bytes.Release(large)
	}
	s.requests.Release(1)
}

// dedicated returns a connection for one answer alone.
func (c *Client) dedicated(ctx context.Context) (*connection, error) {
	c.mu.Lock()
	for len(c.idle) > 0 {
		l := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if !l.over() {
			c.mu.Unlock()
			return l, nil
		}
	}
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	return c.open(ctx)
}

// release keeps a dedicated connection for a later answer, or closes it.
func (c *Client) release(l *connection, clean bool) {
	c.mu.Lock()
	keep := clean && !c.closed && len(c.idle) < maxIdleLinks && !l.over()
	if keep {
		c.idle = append(c.idle, l)
	}
	c.mu.Unlock()
	if !keep {
		l.close()
	}
}
