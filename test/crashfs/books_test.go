package crashfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"

	"motte/client"
	"motte/internal/testutil"
)

const (
	writers    = 4
	namesEach  = 12 // names of each writer
	maxBatch   = 4
	collection = "c"
)

// name is a name with a single writer. The writer numbers the contents that it puts under the
// name.
type name struct {
	key     string
	current int // number of the acknowledged content; 0: no object
	asked   int // numbers used so far
}

// content returns the content with a number. Its bytes and its length follow from the name and
// the number. Most contents are small, and some fill many pages.
func (n *name) content(number int) []byte {
	var key [32]byte
	copy(key[:], fmt.Sprint(n.key, " ", number))
	chacha := rand.NewChaCha8(key)
	size := []int{300, 600, 600, 20_000, 100_000}[chacha.Uint64()%5]
	p := fmt.Appendf(nil, "%s %d\n", n.key, number)
	p = append(p, make([]byte, chacha.Uint64()%uint64(size))...)
	_, _ = chacha.Read(p[bytes.IndexByte(p, '\n')+1:]) // never fails
	return p
}

// number returns the number of an object's content, or an error if no request put that content.
func (n *name) number(o client.Object) (int, error) {
	var key string
	var number int
	if _, err := fmt.Sscanf(string(o.Data[:min(len(o.Data), 64)]), "%s %d\n", &key, &number); err != nil || key != n.key ||
		number < 1 || number > n.asked || !bytes.Equal(o.Data, n.content(number)) {
		return 0, fmt.Errorf("%s holds %d bytes that no request put: %.40q", n.key, len(o.Data), o.Data)
	}
	return number, nil
}

// wish is what a request should change: the number that each name should have. All of it takes
// effect, or no part.
type wish map[*name]int

// books records all requests and their answers.
type books struct {
	names    [writers][]*name
	doubts   [writers][]wish // requests without an answer
	refusals [writers][]wish // requests refused because of the disk
	tenants  []*tenant

	mu                    sync.Mutex
	acknowledged          int // requests
	refused               int // requests refused because of the disk
	took, tookNot         int // requests without an answer that took effect, and that did not
	erasures, compactions int
	problems              []string
}

func newBooks() *books {
	b := new(books)
	for w := range b.names {
		for i := range namesEach {
			b.names[w] = append(b.names[w], &name{key: fmt.Sprint("w", w, "-", i)})
		}
	}
	return b
}

func (b *books) problem(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems = append(b.problems, fmt.Sprintf(format, args...))
}

// load lets all writers write until the context ends or their connections end. wait waits for
// the writers.
func (b *books) load(ctx context.Context, s *server) (wait func()) {
	s.t.Helper()
	var all sync.WaitGroup
	for w := range writers {
		c, err := s.dial()
		testutil.Must(s.t, err)
		all.Go(func() {
			defer c.Close()
			for ctx.Err() == nil && b.change(s.t.Context(), c, w) {
			}
		})
	}
	return all.Wait
}

// loadUntil lets the writers write until a number of further requests is acknowledged.
func (b *books) loadUntil(s *server, more int) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	wait := b.load(ctx, s)
	defer wait()
	defer cancel()
	goal := b.count(&b.acknowledged, 0) + more
	testutil.Eventually(s.t, "acknowledgements", func() error {
		if n := b.count(&b.acknowledged, 0); n < goal {
			return fmt.Errorf("%d of %d requests are acknowledged", n, goal)
		}
		return nil
	})
}

// change sends one request, and reports whether it was answered.
func (b *books) change(ctx context.Context, c *client.Client, w int) bool {
	n := 1
	if rand.IntN(4) == 0 {
		n = 2 + rand.IntN(maxBatch-1)
	}
	var some []*name
	for _, i := range rand.Perm(namesEach)[:n] {
		some = append(some, b.names[w][i])
	}
	ctx, cancel := context.WithTimeout(ctx, testutil.Patience)
	defer cancel()
	wanted, err := send(ctx, c, some)
	var network *net.OpError
	switch {
	case err == nil:
		wanted.granted()
		b.count(&b.acknowledged, 1)
	case errors.Is(err, client.ErrStorageFailed):
		b.count(&b.refused, 1)
		b.refusals[w] = append(b.refusals[w], wanted)
		return false
	case errors.Is(err, client.ErrDiskFull):
		b.count(&b.refused, 1)
		return false // the request had no effect
	case errors.Is(err, client.ErrConnectionLost):
		b.doubts[w] = append(b.doubts[w], wanted)
		return false
	case client.Temporary(err):
		testutil.Pause() // the request had no effect
	case errors.As(err, &network), errors.Is(err, io.EOF):
		return false // the request was not sent
	default:
		b.problem("change of %s: %v", some[0].key, err)
		return false
	}
	return true
}

func (b *books) count(n *int, more int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	*n += more
	return *n
}

// send sends a request: new contents for some names, or their deletion.
func send(ctx context.Context, c *client.Client, some []*name) (wish, error) {
	wanted := make(wish)
	var batch client.Batch
	for _, n := range some {
		if n.current != 0 && rand.IntN(5) == 0 {
			wanted[n] = 0
			if len(some) == 1 {
				return wanted, c.Delete(ctx, collection, n.key)
			}
			batch.Delete(n.key)
			continue
		}
		n.asked++
		wanted[n] = n.asked
		if len(some) == 1 {
			_, err := c.Put(ctx, collection, n.content(n.asked), client.Name(n.key))
			return wanted, err
		}
		batch.Put(n.content(n.asked), client.Name(n.key))
	}
	_, err := c.PutBatch(ctx, collection, &batch)
	return wanted, err
}

func (w wish) granted() {
	for n, number := range w {
		n.current = number
	}
}

// account compares the store with the books, while no writer runs. A request without an answer
// must have taken effect as a whole, or not at all. All other names must have the acknowledged
// content, and the list must agree. account reports whether this holds now, and held at each
// earlier call. When the client connects, it checks that the log was not rolled back.
func (b *books) account(ctx context.Context, c *client.Client) bool {
	shown := make(map[*name]int)
	for _, own := range b.names {
		for _, n := range own {
			o, err := c.Get(ctx, collection, n.key)
			if err == nil {
				shown[n], err = n.number(o)
			}
			if err != nil && !errors.Is(err, client.ErrNotFound) {
				b.problem("get %s: %v", n.key, err)
			}
		}
	}
	for w := range b.doubts {
		for _, wanted := range b.doubts[w] {
			b.resolve(wanted, shown)
		}
		b.doubts[w] = nil
	}
	for _, n := range slices.Concat(b.names[:]...) {
		if shown[n] != n.current {
			b.problem("%s has content %d (0: no object); want %d, which was acknowledged last, of %d that were requested", n.key, shown[n], n.current, n.asked)
		}
	}
	b.list(ctx, c, shown)
	b.accountTenants(ctx, c)
	return len(b.problems) == 0
}

// resolve determines whether a request without an answer took effect.
func (b *books) resolve(wanted wish, shown map[*name]int) {
	took := 0
	for n, number := range wanted {
		if shown[n] == number {
			took++
		}
	}
	switch took {
	case 0:
		b.tookNot++
	case len(wanted):
		b.took++
		wanted.granted()
	default:
		b.problem("%d of the %d changes of a request took effect; want all or none", took, len(wanted))
	}
}

func (b *books) list(ctx context.Context, c *client.Client, shown map[*name]int) {
	listed := make(map[string]int)
	for o, err := range c.List(ctx, collection) {
		if err != nil {
			b.problem("list: %v", err)
			return
		}
		listed[o.Name] = len(o.Data)
	}
	for n, number := range shown {
		if size, ok := listed[n.key]; ok && size != len(n.content(number)) || ok != (number != 0) {
			b.problem("the list shows %s with %d bytes (listed: %v), but a GET shows content %d", n.key, size, ok, number)
		}
		delete(listed, n.key)
	}
	if len(listed) > 0 {
		b.problem("the list shows names without an object: %v", listed)
	}
}

// balance fails the test for every problem, and logs the numbers of requests.
func (b *books) balance(t *testing.T) {
	t.Helper()
	for _, p := range b.problems {
		t.Error(p)
	}
	t.Logf("%d requests were acknowledged and %d refused because of the disk; of those without an answer %d took effect and %d did not",
		b.acknowledged, b.refused, b.took, b.tookNot)
	if len(b.tenants) > 0 {
		t.Logf("%d of %d tenants were erased, and the store was compacted %d times", b.erasures, len(b.tenants), b.compactions)
	}
}
