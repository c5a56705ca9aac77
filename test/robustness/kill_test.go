package robustness

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"motte/client"
	"motte/core/model"
	"motte/internal/testutil"
)

// Sizes of the load of the kill test.
const (
	writers     = 4
	readers     = 2
	namesEach   = 32 // names of each writer
	collection  = "c"
	eagerIndex  = "eager"
	lazyIndex   = "lazy"
	maxBatch    = 5
	mostWaiting = 250 * time.Millisecond // between two kills
	untilSaved  = 2 * time.Second        // added now and then: enough for a saving
)

// load is the clients of the kill test, with their records.
type load struct {
	*server
	ledger   ledger
	accounts [][]*account // by writer

	acknowledged, batches, conditions atomic.Int64 // versions; requests with several changes; versions with a precondition
	tookUnanswered, lost              atomic.Int64 // versions without an answer that took effect, and that did not
	gets, searches                    atomic.Int64 // answered requests of readers
}

// TestAcknowledgedWritesSurvive loads a server and kills its processes at random. In between, the
// indexes change to another executable, which a kill may interrupt. Readers must always see every write that was acknowledged before their read began. At the end, the store
// must have exactly the last writes. This must still hold after all processes were killed and
// the log was replayed, and after an index was built again, from its shelf or without.
func TestAcknowledgedWritesSurvive(t *testing.T) {
	l := &load{server: start(t), ledger: make(ledger)}
	admin := l.dial()
	defer admin.Close()
	l.create(admin, collection, map[string]client.Index{eagerIndex: {Attribute: true}, lazyIndex: {Lazy: true}})
	l.settled(admin)
	for w := range writers {
		var own []*account
		for n := range namesEach {
			a := newAccount(fmt.Sprint("w", w, "-", n), w*namesEach+n)
			own = append(own, a)
			l.ledger[a.name] = a
		}
		l.accounts = append(l.accounts, own)
	}
	stop := l.begin()
	defer stop()
	counts := make(map[victim]int)
	next := victims(aTask, theCore, theHost, everything, nothing)
	for range *kills {
		if rand.IntN(4) > 0 { // otherwise kill a process that is starting
			l.dial().Close()
		}
		wait := rand.N(mostWaiting)
		if rand.IntN(8) == 0 {
			wait += untilSaved
		}
		time.Sleep(wait)
		v := next()
		l.disturb(v, admin)
		counts[v]++
	}
	l.settled(admin)
	stop()
	l.retry(admin)
	l.account(admin)
	for _, v := range []victim{everything, aTask} {
		l.kill(v)
		l.settled(admin)
		l.account(admin)
	}
	l.alerts(admin)
	t.Logf("killed: %v", counts)
	l.report()
}

// begin starts the writers and readers. stop waits until they have ended.
func (l *load) begin() (stop func()) {
	ctx, cancel := context.WithCancel(l.t.Context())
	var all sync.WaitGroup
	for _, own := range l.accounts {
		c := l.dial()
		all.Go(func() {
			defer c.Close()
			l.write(ctx, c, own)
		})
	}
	for range readers {
		c := l.dial()
		all.Go(func() {
			defer c.Close()
			l.read(ctx, c)
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// settled waits until both indexes answer.
func (l *load) settled(c *client.Client) {
	l.serving(c, collection, eagerIndex)
	l.serving(c, collection, lazyIndex)
}

// write changes a writer's names until the context ends, with one request at a time.
func (l *load) write(ctx context.Context, c *client.Client, own []*account) {
	for ctx.Err() == nil {
		n := 1
		if rand.IntN(4) == 0 {
			n = 2 + rand.IntN(maxBatch-1)
		}
		var some []*account
		for _, i := range rand.Perm(len(own))[:n] {
			some = append(some, own[i])
		}
		l.change(c, some)
	}
}

// change gives new versions to some names in one request. It returns once it knows whether the
// request took effect.
func (l *load) change(c *client.Client, some []*account) {
	ctx, cancel := limited(l.t)
	defer cancel()
	for _, a := range some {
		_, _, exists := a.state()
		a.ask(exists && rand.IntN(5) == 0)
	}
	results, conditional, err := l.send(ctx, c, some)
	f := tookNot
	switch judge(err) {
	case answered:
		if err != nil { // no other writer writes these names
			l.t.Errorf("change of %s: %v, though its precondition holds", some[0].name, err)
			break
		}
		f = took
		l.acknowledged.Add(int64(len(some)))
		l.conditions.Add(int64(conditional))
		if len(some) > 1 {
			l.batches.Add(1)
		}
	case unknown:
		f, results = l.resolve(c, some)
	case refused:
		testutil.Pause()
	case wrong:
		l.t.Errorf("change of %s: %v", some[0].name, err)
	}
	for i, a := range some {
		if f == tookNot {
			a.settle(f, client.Identity{})
			continue
		}
		a.settle(f, results[i].Identity)
	}
}

// send requests the last versions of some names. Half of the requests have preconditions. These
// hold if every earlier acknowledged write is there.
func (l *load) send(ctx context.Context, c *client.Client, some []*account) (results []client.Result, conditional int, err error) {
	strict := rand.IntN(2) == 0
	if strict {
		conditional = len(some)
	}
	var b client.Batch
	for _, a := range some {
		_, number, exists := a.state()
		if a.deletes() {
			switch {
			case len(some) > 1:
				b.Delete(a.name)
			case strict:
				return make([]client.Result, 1), 1, c.DeleteIf(ctx, collection, a.name, a.identity())
			default:
				return make([]client.Result, 1), 0, c.Delete(ctx, collection, a.name)
			}
			continue
		}
		o := []client.PutOption{client.Name(a.name), client.Attribute(eagerIndex, fmt.Append(nil, a.number))}
		switch {
		case strict && exists:
			o = append(o, client.IfIdentity(a.identity()))
		case strict:
			o = append(o, client.IfAbsent())
		}
		if len(some) == 1 {
			r, err := c.Put(ctx, collection, a.data(number), o...)
			return []client.Result{r}, conditional, err
		}
		b.Put(a.data(number), o...)
	}
	results, err = c.PutBatch(ctx, collection, &b)
	return results, conditional, err
}

// resolve determines whether a request without an answer took effect. It must have done so as a
// whole, or not at all.
func (l *load) resolve(c *client.Client, some []*account) (fate, []client.Result) {
	results, fates := make([]client.Result, len(some)), make(map[fate]int)
	for i, a := range some {
		current, number, exists := a.state()
		o, seen := l.look(c, a)
		results[i].Identity = o.Identity
		switch {
		case seen == 0 && a.deletes(), seen == number:
			fates[took]++
		case seen == current && exists, seen == 0 && !exists:
			fates[tookNot]++
		default:
			l.t.Error(a.explain(current, seen))
		}
	}
	if len(fates) > 1 {
		l.t.Errorf("%d changes of a batch took effect, and %d did not; want all or none", fates[took], fates[tookNot])
	}
	if fates[took] > 0 {
		l.tookUnanswered.Add(int64(len(some)))
		return took, results
	}
	l.lost.Add(int64(len(some)))
	return tookNot, nil
}

// look reads a name, and repeats that until it is answered.
func (l *load) look(c *client.Client, a *account) (o client.Object, seen int) {
	for end := time.Now().Add(testutil.Patience); time.Now().Before(end); testutil.Pause() {
		ctx, cancel := limited(l.t)
		o, err := c.Get(ctx, collection, a.name)
		cancel()
		switch {
		case judge(err) == wrong:
			l.t.Errorf("get %s: %v", a.name, err)
			return o, 0
		case errors.Is(err, client.ErrNotFound):
			return o, 0
		case err == nil:
			_, seen, err := l.ledger.number(o)
			if err != nil {
				l.t.Error(err)
			}
			return o, seen
		}
	}
	l.t.Errorf("get %s: no answer", a.name)
	return o, 0
}

// read reads objects of all writers, until the context ends.
func (l *load) read(ctx context.Context, c *client.Client) {
	for ctx.Err() == nil {
		own := l.accounts[rand.IntN(writers)]
		if rand.IntN(3) > 0 {
			l.readOne(c, own[rand.IntN(namesEach)])
			continue
		}
		l.readMany(c, []string{eagerIndex, lazyIndex}[rand.IntN(2)], own)
	}
}

func (l *load) readOne(c *client.Client, a *account) {
	ctx, cancel := limited(l.t)
	defer cancel()
	from, _, _ := a.state()
	o, err := c.Get(ctx, collection, a.name)
	seen := 0
	if err == nil {
		_, seen, err = l.ledger.number(o)
		if err != nil {
			l.t.Error(err)
			return
		}
	}
	switch judge(err) {
	case answered:
		l.gets.Add(1)
		if why := a.explain(from, seen); why != "" {
			l.t.Errorf("get: %s", why)
		}
	case wrong:
		l.t.Errorf("get %s: %v", a.name, err)
	default:
		testutil.Pause()
	}
}

// readMany searches for all names of a writer.
func (l *load) readMany(c *client.Client, index string, own []*account) {
	ctx, cancel := limited(l.t)
	defer cancel()
	from, seen := make([]int, len(own)), make(map[*account]int)
	for i, a := range own {
		from[i], _, _ = a.state()
	}
	first := own[0].number
	for o, err := range c.Search(ctx, client.Query{Collection: collection, Index: index,
		Predicate: fmt.Sprintf("between %d and %d", first, first+len(own)-1)}) {
		if judge(err) == wrong {
			l.t.Errorf("search by %s: %v", index, err)
		}
		if err != nil {
			testutil.Pause()
			return
		}
		a, number, err := l.ledger.number(o)
		if err != nil {
			l.t.Error(err)
			return
		}
		if _, twice := seen[a]; twice || !slices.Contains(own, a) {
			l.t.Errorf("the search by %s returns %s twice, or outside of the predicate", index, a.name)
		}
		seen[a] = number
	}
	l.searches.Add(1)
	for i, a := range own {
		why := a.explain(from[i], seen[a])
		if why != "" && (seen[a] != 0 || !l.wasSetAside(c, index)) {
			l.t.Errorf("search by %s: %s", index, why)
		}
	}
}

// wasSetAside reports whether an input of an index was ever set aside: kills of its Task came while
// the Task had this input alone, twice. Then the index may lack an object until 'retry'.
func (l *load) wasSetAside(c *client.Client, index string) bool {
	for range 5 { // the alert becomes visible when it is durable
		ctx, cancel := limited(l.t)
		list, err := c.Alerts(ctx)
		cancel()
		if err == nil && slices.ContainsFunc(list, func(a client.Alert) bool { return a.Index == index && a.Reason == model.ReasonSetAside }) {
			return true
		}
		testutil.Pause()
	}
	return false
}

// retry gives both indexes the inputs again that were set aside.
func (l *load) retry(c *client.Client) {
	for _, index := range []string{eagerIndex, lazyIndex} {
		testutil.Eventually(l.t, "retry "+index, func() error {
			n, err := c.RetryIndex(l.t.Context(), collection, index)
			if n > 0 {
				l.t.Logf("index %s: kills had set aside %d inputs", index, n)
			}
			return err
		})
	}
}

// account compares the store with the records, while no writer runs. The list, both indexes, and
// a GET of each name must show exactly the last writes.
func (l *load) account(c *client.Client) {
	want := make(map[string]string)
	for name, a := range l.ledger {
		if current, _, exists := a.state(); exists {
			want[name] = string(a.data(current))
		}
	}
	l.shows("list", want, func(ctx context.Context) iter.Seq2[client.Object, error] { return c.List(ctx, collection) })
	for _, index := range []string{eagerIndex, lazyIndex} {
		q := client.Query{Collection: collection, Index: index, Predicate: "all"}
		l.shows(index, want, func(ctx context.Context) iter.Seq2[client.Object, error] { return c.Search(ctx, q) })
		var n client.Found
		testutil.Eventually(l.t, "count by "+index, func() (err error) { n, err = c.Count(l.t.Context(), q); return err })
		if int(n.Count) != len(want) {
			l.t.Errorf("the index %s counts %d objects; want %d", index, n.Count, len(want))
		}
	}
	for _, a := range l.ledger {
		current, _, exists := a.state()
		if !exists {
			current = 0
		}
		o, seen := l.look(c, a)
		if seen != current || exists && o.Identity != a.identity() {
			l.t.Errorf("%s shows version %d, identity %x; want version %d, identity %x", a.name, seen, o.Identity, current, a.identity())
		}
	}
}

// shows reads objects until an answer is complete. It must have exactly the given objects.
func (l *load) shows(what string, want map[string]string, read func(context.Context) iter.Seq2[client.Object, error]) {
	got := make(map[string]string)
	testutil.Eventually(l.t, what, func() error {
		clear(got)
		for o, err := range read(l.t.Context()) {
			if err != nil {
				return err
			}
			if _, twice := got[o.Name]; twice {
				l.t.Errorf("%s returns %s twice", what, o.Name)
			}
			got[o.Name] = string(o.Data)
		}
		return nil
	})
	if !maps.Equal(got, want) {
		l.t.Errorf("%s returns %d objects, which are not the %d of the last writes", what, len(got), len(want))
	}
}

// alerts checks the alerts. A killed honest Task has ended, or stopped in the middle of a frame. If
// kills come twice over the same input, that is set aside. It must not count as a lie, and no record may be damaged.
func (l *load) alerts(c *client.Client) {
	var list []client.Alert
	testutil.Eventually(l.t, "alerts", func() (err error) { list, err = c.Alerts(l.t.Context()); return err })
	for _, a := range list {
		switch a.Reason {
		case model.ReasonTaskEnded, model.ReasonBadFrame, model.ReasonTooSlow, model.ReasonSetAside:
		default:
			l.t.Errorf("unexpected alert: %s, collection %q, index %q, segment %d, offset %d", client.ReasonName(a.Reason), a.Collection, a.Index, a.Segment, a.Offset)
		}
	}
}

// report logs the fate of every version that took effect.
func (l *load) report() {
	var present, replaced, deleted int
	for _, a := range l.ledger {
		exists := false
		for _, v := range a.versions[1:] {
			switch {
			case v.fate != took:
				continue
			case v.deleted:
				deleted++
			case exists:
				replaced++
			}
			exists = !v.deleted
		}
		if exists {
			present++
		}
	}
	l.t.Logf("%d changes were acknowledged, in %d requests with several changes, %d of them with a precondition; of the changes without an answer %d took effect and %d did not",
		l.acknowledged.Load(), l.batches.Load(), l.conditions.Load(), l.tookUnanswered.Load(), l.lost.Load())
	l.t.Logf("the changes put %d objects; %d of them are there, %d were replaced and %d deleted", present+replaced+deleted, present, replaced, deleted)
	l.t.Logf("the readers got %d answers to GETs and %d to searches", l.gets.Load(), l.searches.Load())
	// A deletion removes an object, and is itself a change.
	if n := int64(present + replaced + 2*deleted); n != l.acknowledged.Load()+l.tookUnanswered.Load() {
		l.t.Errorf("the versions account for %d changes; want %d, as many as took effect", n, l.acknowledged.Load()+l.tookUnanswered.Load())
	}
}
