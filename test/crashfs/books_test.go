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
	namesEach  = 12 // of a writer
	maxBatch   = 4
	collection = "c"
)

// name is what its only writer knows of a name. Each content that it is given
// has a number of its own.
type name struct {
	key     string
	current int // number of what is there; 0: nothing
	asked   int // numbers given so far
}

// content is what belongs to a number: all of its bytes, and their count,
// follow from the name and the number. Most are small; some fill many pages.
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

// number is the number of a content; an error if nobody ever wrote it.
func (n *name) number(o client.Object) (int, error) {
	var key string
	var number int
	if _, err := fmt.Sscanf(string(o.Data[:min(len(o.Data), 64)]), "%s %d\n", &key, &number); err != nil || key != n.key ||
		number < 1 || number > n.asked || !bytes.Equal(o.Data, n.content(number)) {
		return 0, fmt.Errorf("%s holds %d bytes that nobody wrote: %.40q", n.key, len(o.Data), o.Data)
	}
	return number, nil
}

// wish is what a request asks for: that names hold these numbers, all of them or
// none.
type wish map[*name]int

// books is all that was asked for and answered.
type books struct {
	names    [writers][]*name
	doubts   [writers][]wish // without an answer
	refusals [writers][]wish // because of the disk
	tenants  []*tenant

	mu                    sync.Mutex
	acknowledged          int // requests
	refused               int // because of the disk
	took, tookNot         int // requests without an answer, as it turned out
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

// load has all writers write until the context ends, or their connections do.
// wait waits for them.
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

// loadUntil has the writers write until so many more requests were acknowledged.
func (b *books) loadUntil(s *server, more int) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	wait := b.load(ctx, s)
	defer wait()
	defer cancel()
	goal := b.count(&b.acknowledged, 0) + more
	testutil.Eventually(s.t, "acknowledgements", func() error {
		if n := b.count(&b.acknowledged, 0); n < goal {
			return fmt.Errorf("%d of %d", n, goal)
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
		return false // it had no effect
	case errors.Is(err, client.ErrConnectionLost):
		b.doubts[w] = append(b.doubts[w], wanted)
		return false
	case client.Temporary(err):
		testutil.Pause() // it had no effect
	case errors.As(err, &network), errors.Is(err, io.EOF):
		return false // nothing was sent
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

// send asks for a new content of names, or that they be gone.
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

// account holds the store against the books, when nobody writes. What had no
// answer is there as a whole, or not at all; everything else is exactly as it
// was acknowledged; and the list shows the same. It reports whether that is so,
// and was each time before. That the log has not gone back, the client sees to
// when it connects.
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
			b.problem("%s shows number %d (0: nothing); %d was acknowledged last, %d were asked for", n.key, shown[n], n.current, n.asked)
		}
	}
	b.list(ctx, c, shown)
	b.accountTenants(ctx, c)
	return len(b.problems) == 0
}

// resolve finds out whether a request without an answer took effect.
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
		b.problem("%d of the %d changes of a request took effect", took, len(wanted))
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
			b.problem("the list shows %s with %d bytes, %v; a get shows number %d", n.key, size, ok, number)
		}
		delete(listed, n.key)
	}
	if len(listed) > 0 {
		b.problem("the list shows names that a get does not: %v", listed)
	}
}

// balance fails the test for every problem, and says what was done.
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
