package robustness

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"motte/client"
	"motte/core/model"
	"motte/internal/testutil"
)

// TestHistoriesAreLinearizable records the concurrent requests of clients on two collections,
// and their answers, while processes are killed. Each history must be linearizable. To show that
// the check can fail, a copy with one stale read must not be.
func TestHistoriesAreLinearizable(t *testing.T) {
	s := start(t)
	var all tally
	next := victims(aTask, theCore, everything, theHost, nothing)
	began := time.Now()
	for n := 0; n < *histories && *linearFor == 0 || time.Since(began) < *linearFor; n++ {
		h := record(s, n, next)
		for c, operations := range h.operations {
			all.add(operations)
			if !porcupine.CheckOperations(storeModel, operations) {
				report(t, fmt.Sprintf("history %d of %s", n, h.collections[c]), operations)
			}
			if stale, ok := withStaleRead(operations); ok {
				all.spoiled++
				if porcupine.CheckOperations(storeModel, stale) {
					t.Errorf("history %d of %s is accepted with a stale read; want it rejected", n, h.collections[c])
				}
			}
		}
		if t.Failed() {
			return
		}
	}
	t.Log(all)
	for _, k := range []operationKind{aGet, aSearch, aCount, aWrite} {
		if all.kinds[k] == 0 {
			t.Errorf("no %s was answered, so the test checks too little", k)
		}
	}
	if all.spoiled == 0 {
		t.Error("no history has a read that can be made stale, so the check itself was not tested")
	}
}

// tally counts the checked operations.
type tally struct {
	histories, spoiled, unknown int
	kinds                       map[operationKind]int
}

func (a *tally) add(history []porcupine.Operation) {
	if a.kinds == nil {
		a.kinds = make(map[operationKind]int)
	}
	a.histories++
	for _, o := range history {
		a.kinds[o.Input.(operation).kind]++
		if o.Output.(outcome).unknown {
			a.unknown++
		}
	}
}

func (a tally) String() string {
	return fmt.Sprintf("%d histories are linearizable: %d writes (%d without an answer), %d gets, %d searches, %d counts; %d histories with a stale read are not",
		a.histories, a.kinds[aWrite], a.unknown, a.kinds[aGet], a.kinds[aSearch], a.kinds[aCount], a.spoiled)
}

// report prints a history that is not linearizable.
func report(t *testing.T, what string, history []porcupine.Operation) {
	slices.SortFunc(history, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var b strings.Builder
	for _, o := range history {
		fmt.Fprintf(&b, "%10d %19d  client %d: %s\n", o.Call, o.Return, o.ClientId, storeModel.DescribeOperation(o.Input, o.Output))
	}
	t.Errorf("%s is not linearizable (call, return in ns):\n%s", what, &b)
	_, info := porcupine.CheckOperationsVerbose(storeModel, history, testutil.Patience)
	path := filepath.Join(t.ArtifactDir(), "history.html")
	if err := porcupine.VisualizePath(storeModel, info, path); err == nil {
		t.Logf("a drawing of the history is in %s; -artifacts keeps it", path)
	}
}

// withStaleRead returns a copy of a history with one changed GET. It returns a content that had
// been replaced before the GET began.
func withStaleRead(history []porcupine.Operation) ([]porcupine.Operation, bool) {
	type put struct {
		name    int
		content uint32
	}
	writers := make(map[put]int)
	var acknowledged []porcupine.Operation // writes with a single change
	for _, o := range history {
		in, out := o.Input.(operation), o.Output.(outcome)
		for _, c := range in.changes {
			writers[put{c.name, c.put}]++
		}
		if len(in.changes) == 1 && !out.unknown && out.code == model.OK {
			acknowledged = append(acknowledged, o)
		}
	}
	for _, before := range acknowledged {
		old := before.Input.(operation).changes[0]
		if old.put == 0 || writers[put{old.name, old.put}] != 1 {
			continue
		}
		for _, after := range acknowledged {
			if after.Input.(operation).changes[0].name != old.name || after.Call <= before.Return {
				continue
			}
			for i, o := range history {
				if in := o.Input.(operation); in.kind == aGet && in.name == old.name && o.Call > after.Return {
					out := o.Output.(outcome)
					out.seen[in.name] = old.put
					stale := slices.Clone(history)
					stale[i].Output = out
					return stale, true
				}
			}
		}
	}
	return nil, false
}

// indexes of each collection: the first gets an attribute, and the second reads the object.
var indexes = []string{"attribute", "object"}

// recording is a history while it is recorded.
type recording struct {
	t           *testing.T
	began       time.Time
	collections []string

	mu         sync.Mutex
	operations [][]porcupine.Operation // operations on each collection
	contents   uint32                  // number of the newest content
	identities map[thing]client.Identity
}

// thing is a content under a name.
type thing struct {
	collection, name int
	content          uint32
}

// record lets clients work on two new collections while some processes are killed. Then it reads
// everything once more.
func record(s *server, n int, next func() victim) *recording {
	h := &recording{t: s.t, began: time.Now(), identities: make(map[thing]client.Identity), operations: make([][]porcupine.Operation, 2)}
	admin := s.dial()
	defer admin.Close()
	for c := range 2 {
		name := fmt.Sprintf("h%d-%d", n, c)
		s.create(admin, name, map[string]client.Index{"attribute": {Attribute: true, Lazy: c == 0}, "object": {Lazy: c == 1}})
		h.collections = append(h.collections, name)
	}
	h.serving(s, admin)
	var workers sync.WaitGroup
	ctx, stop := context.WithCancel(s.t.Context())
	defer stop()
	for connection := range 3 {
		c := s.dial()
		defer c.Close()
		for half := range 2 {
			w := &worker{recording: h, client: c, number: 2*connection + half, known: make(map[[2]int]uint32)}
			workers.Go(func() { w.run(ctx) })
		}
	}
	for range 1 + n%2 {
		time.Sleep(rand.N(100 * time.Millisecond))
		s.disturb(next(), admin)
		if rand.IntN(2) == 0 {
			h.serving(s, admin)
		}
	}
	h.serving(s, admin)
	time.Sleep(30 * time.Millisecond)
	stop()
	workers.Wait()
	h.look(admin)
	for _, name := range h.collections {
		s.change("drop "+name, func(ctx context.Context) error { return admin.DropCollection(ctx, name) })
	}
	return h
}

// serving waits until all indexes answer.
func (h *recording) serving(s *server, c *client.Client) {
	for _, name := range h.collections {
		for _, index := range indexes {
			s.serving(c, name, index)
		}
	}
}

// look reads all objects. It repeats that while the server is unavailable.
func (h *recording) look(c *client.Client) {
	w := &worker{recording: h, client: c, number: 6, known: make(map[[2]int]uint32)}
	answered := func(f func() bool) {
		testutil.Eventually(h.t, "a last read of all objects", func() error {
			if !f() {
				return errors.New("no answer")
			}
			return nil
		})
	}
	for collection := range h.collections {
		for name := range names {
			answered(func() bool { return w.get(collection, name) })
		}
		for _, index := range indexes {
			answered(func() bool { return w.search(collection, index, 0, keys) })
		}
	}
}

// worker is a client that sends one request at a time.
type worker struct {
	*recording
	client *client.Client
	number int
	known  map[[2]int]uint32 // the last content seen, by collection and name
}

func (w *worker) run(ctx context.Context) {
	for ctx.Err() == nil {
		collection, name, index := rand.IntN(2), rand.IntN(names), indexes[rand.IntN(2)]
		from := rand.Uint32N(keys)
		to := from + 1 + rand.Uint32N(keys)
		switch k := rand.IntN(100); {
		case k < 25:
			w.get(collection, name)
		case k < 45:
			w.search(collection, index, from, to)
		case k < 55:
			w.count(collection, index, from, to)
		case k < 90:
			w.write(collection, w.change(collection, name))
		default:
			changes := make([]change, 2+rand.IntN(2))
			for i := range changes {
				if changes[i] = w.change(collection, rand.IntN(names)); changes[i].put == 0 {
					changes[i].is = 0 // a batch has no deletion with a precondition
				}
			}
			w.write(collection, changes...)
		}
		time.Sleep(rand.N(4 * time.Millisecond))
	}
}

// change makes a random PUT or deletion, perhaps with a precondition.
func (w *worker) change(collection, name int) (c change) {
	c.name = name
	if rand.IntN(4) > 0 {
		c.put = w.content()
	}
	known := w.known[[2]int{collection, name}]
	switch k := rand.IntN(8); {
	case k == 0 && c.put > 0:
		c.absent = true
	case k < 3 && known > 0:
		c.is = known
	case k == 3 && c.put > 0 && known > 0:
		c.put = known // putting the same content again keeps the identity
	}
	return c
}

// content returns a new content.
func (h *recording) content() uint32 {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.contents++
	return h.contents
}

// add records an operation that began at a given time. It was answered just now, or never will
// be.
func (w *worker) add(collection int, call time.Duration, in operation, out outcome) {
	end := int64(time.Since(w.began))
	if out.unknown {
		end = forever
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.operations[collection] = append(w.operations[collection],
		porcupine.Operation{ClientId: w.number, Input: in, Call: int64(call), Output: out, Return: end})
}

// answered reports whether a request has an answer to check.
func (w *worker) answered(what string, err error) bool {
	v := judge(err)
	if v == wrong {
		w.t.Errorf("%s: %v", what, err)
	}
	return v == answered
}

func (w *worker) get(collection, name int) (done bool) {
	ctx, cancel := limited(w.t)
	defer cancel()
	call := time.Since(w.began)
	o, err := w.client.Get(ctx, w.collections[collection], strconv.Itoa(name))
	if !w.answered("get", err) {
		return false
	}
	var out outcome
	if err == nil {
		out.seen[name] = w.saw(collection, name, o)
	}
	w.add(collection, call, operation{kind: aGet, name: name}, out)
	return true
}

func (w *worker) query(collection int, index string, from, to uint32) client.Query {
	return client.Query{Collection: w.collections[collection], Index: index, Predicate: fmt.Sprintf(">= %d and < %d", from, to)}
}

func (w *worker) search(collection int, index string, from, to uint32) (done bool) {
	ctx, cancel := limited(w.t)
	defer cancel()
	call := time.Since(w.began)
	var out outcome
	for o, err := range w.client.Search(ctx, w.query(collection, index, from, to)) {
		if err != nil {
			w.answered("search", err)
			return false
		}
		name, err := strconv.Atoi(o.Name)
		if err != nil || name < 0 || name >= names || out.seen[name] != 0 {
			w.t.Errorf("a search returns %q, among %d; want only requested contents", o.Name, out.seen)
			return false
		}
		out.seen[name] = w.saw(collection, name, o)
	}
	w.add(collection, call, operation{kind: aSearch, from: from, to: to}, out)
	return true
}

func (w *worker) count(collection int, index string, from, to uint32) {
	ctx, cancel := limited(w.t)
	defer cancel()
	call := time.Since(w.began)
	n, err := w.client.Count(ctx, w.query(collection, index, from, to))
	if w.answered("count", err) {
		w.add(collection, call, operation{kind: aCount, from: from, to: to}, outcome{count: int(n.Count)})
	}
}

// write sends a change, or several changes in a batch.
func (w *worker) write(collection int, changes ...change) {
	ctx, cancel := limited(w.t)
	defer cancel()
	call := time.Since(w.began)
	results, err := w.send(ctx, collection, changes)
	out := outcome{}
	var refusal *client.Error
	switch v := judge(err); {
	case v == refused:
		return
	case v == wrong:
		w.t.Errorf("write: %v", err)
		return
	case v == unknown:
		out.unknown = true
	case errors.As(err, &refusal):
		out.code = refusal.Code
	}
	w.add(collection, call, operation{kind: aWrite, changes: changes}, out)
	for i, r := range results {
		if c := changes[i]; c.put > 0 {
			w.identify(collection, c.name, c.put, r.Identity)
		}
	}
}

// send sends changes. If they are made, it returns a result for each. The result of a single
// deletion is empty.
func (w *worker) send(ctx context.Context, collection int, changes []change) ([]client.Result, error) {
	in := w.collections[collection]
	if len(changes) > 1 {
		var b client.Batch
		for _, c := range changes {
			if c.put == 0 {
				b.Delete(strconv.Itoa(c.name))
				continue
			}
			b.Put(data(c.put), w.options(collection, c)...)
		}
		return w.client.PutBatch(ctx, in, &b)
	}
	c := changes[0]
	name := strconv.Itoa(c.name)
	switch {
	case c.put > 0:
		r, err := w.client.Put(ctx, in, data(c.put), w.options(collection, c)...)
		if err != nil {
			return nil, err
		}
		return []client.Result{r}, nil
	case c.is > 0:
		return nil, w.client.DeleteIf(ctx, in, name, w.identity(collection, c.name, c.is))
	}
	return nil, w.client.Delete(ctx, in, name)
}

func (w *worker) options(collection int, c change) []client.PutOption {
	o := []client.PutOption{client.Name(strconv.Itoa(c.name)), client.Attribute("attribute", fmt.Append(nil, key(c.put)))}
	if c.absent {
		o = append(o, client.IfAbsent())
	}
	if c.is > 0 {
		o = append(o, client.IfIdentity(w.identity(collection, c.name, c.is)))
	}
	return o
}

// data returns an object with a content. The content is also its key in the index that reads the
// object.
func data(content uint32) []byte {
	return fmt.Appendf(nil, `{"n":%d,"content":%d}`, key(content), content)
}

// saw returns the content of an object, which must be complete.
func (w *worker) saw(collection, name int, o client.Object) uint32 {
	var d struct{ Content uint32 }
	if err := json.Unmarshal(o.Data, &d); err != nil || o.Name != strconv.Itoa(name) || !bytes.Equal(o.Data, data(d.Content)) {
		w.t.Errorf("the name %d has the object %q with the content %q, which no request put", name, o.Name, o.Data)
	}
	w.identify(collection, name, d.Content, o.Identity)
	return d.Content
}

// identify checks that an identity always names the same content of the same name. It records
// the identity for preconditions.
func (w *worker) identify(collection, name int, content uint32, id client.Identity) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := thing{collection, name, content}
	if old, ok := w.identities[k]; ok && old != id {
		w.t.Errorf("content %d of name %d had the identity %x, and now has %x; want the same", content, name, old, id)
	}
	w.identities[k] = id
	w.known[[2]int{collection, name}] = content
}

func (h *recording) identity(collection, name int, content uint32) client.Identity {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.identities[thing{collection, name, content}]
}
