package engine

import (
	"bytes"
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
	"motte/internal/testutil"
)

var (
	simSeeds = flag.Uint64("sim.seeds", 400, "how many random histories to drive the engine through")
	simFirst = flag.Uint64("sim.first", 1, "the seed of the first history")
	simSteps = flag.Int("sim.steps", 600, "inputs in one history")
)

// TestRandomHistories runs the engine through random histories: of clients, honest and hostile
// Tasks, slow and failing disks, crashes, concurrent checkpoints, relocated records, and erased
// principals. After every step it compares the engine with a simple model. A seed reproduces its
// history exactly:
//
//	go test ./core/engine -run TestRandomHistories -sim.first=SEED -sim.seeds=1
func TestRandomHistories(t *testing.T) {
	for seed := *simFirst; seed < *simFirst+testutil.Repeats(*simSeeds, 30); seed++ {
		history(t, seed)
	}
}

func history(t *testing.T, seed uint64) {
	s := newSimulation(t, seed)
	for range *simSteps {
		s.step()
	}
	s.finish()
	if t.Failed() {
		t.Fatalf("seed %d", seed)
	}
}

// state is the content of a collection, by identity value.
type state map[identity.Value]modelObject

type modelObject struct {
	id    identity.ID
	owner uint32
	data  string
	size  int64 // bytes of the object's record
}

type simulation struct {
	*world
	seed      uint64
	people    []access.Principal
	rights    map[string]map[access.Principal]model.Rights
	quotas    map[string]model.Quota
	decided   map[string]state            // the state on which the next write is decided
	versions  map[string][]state          // committed states, the oldest first
	seen      int                         // number of groups of world.pending whose effect is in decided
	aside     map[identity.ID]bool        // objects that were set aside at some time
	searches  map[uint64]pendingSearch    // searches without an answer
	ids       map[uint32]string           // names of the collections
	owners    map[access.Principal]uint32 // owners by the log
	maker     *identity.Maker
	rotations int     // number of key rotations
	hostility float64 // probability that a Task is hostile
	house
	shelves
}

type pendingSearch struct {
	who        access.Principal
	collection string
	predicate  string
	expression *term // nil: a query with the predicate
	op         model.Operation
	from       int // version at the request
	limit      uint32
	after      []identity.ID
}

// finds reports whether a query finds an object with this data. The leaves of its expression are
// prefixes.
func (q *pendingSearch) finds(data string) bool {
	if q.expression != nil {
		return q.expression.evaluate(func(leaf *term) bool { return strings.HasPrefix(data, leaf.predicate) })
	}
	return strings.HasPrefix(data, q.predicate)
}

// paged reports whether a query asks for a part of the whole answer.
func (q *pendingSearch) paged() bool { return q.limit > 0 || len(q.after) > 0 }

var collections = []string{"a", "b"}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{world: newWorld(t, seed), seed: seed,
		rights: map[string]map[access.Principal]model.Rights{"a": {}, "b": {}}, decided: map[string]state{"a": {}, "b": {}},
		versions: map[string][]state{"a": {{}}, "b": {{}}}, quotas: map[string]model.Quota{}, searches: map[uint64]pendingSearch{}, aside: map[identity.ID]bool{}, house: house{writes: map[uint64]uint64{}},
		shelves: shelves{map[identity.ID]uint32{}, map[uint64]map[string]int{}},
		ids:     map[uint32]string{}, owners: map[access.Principal]uint32{}, maker: identity.NewMaker([]byte("a key"))}
	s.settle()
	s.register("a", "x", 0)
	s.register("b", "x", model.OptionLazy)
	if seed%5 == 2 { // some queries and answers wait for the log, and some are withheld
		s.retable(func(r *model.Row) { r.LeakBudget, r.IndexBudget = 1<<9, 1<<10 })
	}
	if seed%3 == 0 {
		s.hostility = 0.3
	}
	if seed%2 == 0 {
		s.retable(func(r *model.Row) { r.Shelf = 1 << 18 })
	}
	choices := []model.Rights{model.RightsAll, model.RightReadOwn | model.RightWrite | model.RightDelete, model.RightWrite | model.RightRead, 0}
	for i := range 4 {
		p := access.Principal{0: 2, 1: byte(i)}
		s.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(p), Name: []byte{'p', byte('0' + i)}}, model.OK)
		s.people = append(s.people, p)
		for _, c := range collections {
			r := choices[s.rng.IntN(len(choices))]
			if r != 0 {
				s.must(admin, wire.Request{Op: model.OpGrant, Collection: c, Identity: identity.ID(p), Rights: r}, model.OK)
			}
			s.rights[c][p] = r
		}
	}
	s.watch = s.follow
	for _, c := range s.e.byName {
		s.ids[c.id] = c.name
	}
	for id, p := range s.e.principals {
		s.owners[id] = p.owner
	}
	return s
}

// step makes one event happen, and checks the result.
func (s *simulation) step() {
	s.byHand, s.e.stride = true, 1+s.rng.IntN(4)
	runs := 1 + s.rng.IntN(3)
	s.e.pace = pace{100 * time.Millisecond, 2, runs, 1 + s.rng.IntN(3), runs + s.rng.IntN(2)}
	for s.rng.IntN(2) == 0 && s.work() {
	}
	switch k := s.rng.IntN(130); {
	case k < 30:
		who, c := s.pick()
		s.randomWrite(who, c, nil)
	case k < 40:
		s.randomGet()
	case k < 45:
		s.randomGetMany()
	case k < 55:
		s.randomSearch()
	case k < 58:
		s.randomList()
	case k < 75:
		if len(s.pending) > 0 {
			s.commit(1 + s.rng.IntN(len(s.pending)))
		}
	case k < 80:
		if len(s.fetch) > 0 {
			s.read()
		}
	case k < 95:
		s.randomTask()
	case k < 98:
		s.tick(time.Duration(s.rng.IntN(300)) * time.Millisecond)
	case k < 99 && len(s.tasks) > 0:
		s.e.TaskEnded(s.tasks[s.rng.IntN(len(s.tasks))].instance, model.ReasonTaskEnded) // the Task was killed
		s.take()
	case k < 100:
		s.crash()
	case k < 107:
		s.randomCheckpoint()
	case k < 114:
		s.randomCarry()
	case k < 116:
		s.readLate()
	case k < 117:
		s.failDisk()
	case k < 119:
		s.randomQuota()
	case k < 120 && s.rng.IntN(2) == 0:
		s.randomErasure()
	case k < 120:
		s.randomRotation()
	case k < 122:
		s.compaction()
	case k < 129:
		s.maintain()
	case s.rng.IntN(3) == 0:
		for len(s.pending) > 0 {
			s.commit(len(s.pending))
		}
		row := s.e.tasks["fake"].Row
		row.Measurement[1] = byte(s.rng.IntN(3)) // often another executable
		s.change(wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)})
	default:
		op := []model.Operation{model.OpRetry, model.OpRebuild}[s.rng.IntN(2)]
		s.ask(admin, wire.Request{Op: op, Collection: collections[s.rng.IntN(2)], Index: "x"})
	}
	s.absorb()
	s.checkSearches()
	s.checkFeeds()
	for _, c := range collections {
		if n := s.e.byName[c].objects.Len(); n != len(s.current(c)) {
			s.t.Fatalf("seed %d: the engine counts for %q %d objects; want %d", s.seed, c, n, len(s.current(c)))
		}
		s.checkUsage(c)
		for id := range s.e.byName[c].index("x").setAside {
			s.aside[id] = true
		}
	}
	for _, body := range s.e.alerts {
		if a := decodeAlert(body); s.hostility == 0 && a.Reason != model.ReasonTaskEnded && a.Reason != model.ReasonTooSlow && a.Reason != model.ReasonStorage && a.Reason != model.ReasonSetAside {
			s.t.Fatalf("seed %d: an alert for reason %d without a cause", s.seed, a.Reason)
		}
	}
}

func (s *simulation) pick() (access.Principal, string) {
	return s.people[s.rng.IntN(len(s.people))], collections[s.rng.IntN(2)]
}

// name returns one of a few names that change often, or one of more names that rarely change.
func (s *simulation) name() []byte {
	if s.rng.IntN(3) > 0 {
		return []byte{byte('m' + s.rng.IntN(6))}
	}
	return []byte{byte('A' + s.rng.IntN(26))}
}

// absorb applies newly appended groups to the decided state.
func (s *simulation) absorb() {
	for ; s.seen < len(s.pending); s.seen++ {
		for _, r := range s.pending[s.seen] {
			s.effect(s.decided, r)
		}
	}
}

func (s *simulation) effect(to map[string]state, r seglog.Record) {
	c, known := s.ids[r.Collection]
	if (r.Kind == seglog.KindPut || r.Kind == seglog.KindDelete) && !known {
		return // a blob
	}
	switch r.Kind {
	case seglog.KindRemovePrincipal:
		n, err := decodePrincipalRemoval(r.Body)
		if err != nil || !n.erase {
			s.t.Fatalf("seed %d: a removal %+v, %v", s.seed, n, err)
		}
		for _, c := range collections {
			maps.DeleteFunc(to[c], func(_ identity.Value, o modelObject) bool { return o.owner == n.owner })
		}
	case seglog.KindPut:
		if r.Sealed != nil {
			return // a relocation changes only the place
		}
		o, err := DecodeObject(r.Body)
		if err != nil {
			s.t.Fatal(err)
		}
		to[c][r.ID.Value()] = modelObject{r.ID, r.Owner, string(o.Data), seglog.RecordSize(len(r.Body))}
	case seglog.KindDelete:
		if to[c][r.ID.Value()].id != r.ID {
			s.t.Fatalf("seed %d: a deletion record of an object that does not exist", s.seed)
		}
		delete(to[c], r.ID.Value())
	}
}

// follow adds a version of each collection for every group made durable.
func (s *simulation) follow(groups []seglog.Group) {
	s.absorb()
	s.noteOwners(groups)
	for _, g := range groups {
		next := map[string]state{}
		for _, c := range collections {
			next[c] = maps.Clone(s.current(c))
		}
		for _, r := range g {
			s.effect(next, r)
		}
		for _, c := range collections {
			s.versions[c] = append(s.versions[c], next[c])
		}
	}
	s.seen -= len(groups)
}

// current returns the committed state of a collection.
func (s *simulation) current(c string) state { return s.versions[c][len(s.versions[c])-1] }

// randomWrite sends a batch of one or more writes. The first may put an object again unchanged.
// The outcome and the records must be as the model predicts.
func (s *simulation) randomWrite(who access.Principal, c string, again *Object) {
	s.absorb()
	want, next := model.OK, maps.Clone(s.decided[c])
	r := wire.Request{Op: model.OpBatch, Collection: c}
	var changed int
	for range 1 + s.rng.IntN(3)*s.rng.IntN(2) {
		op := wire.Request{Op: model.OpPut, Name: s.name(), Object: []byte{byte('0' + s.rng.IntN(3)), byte('a' + s.rng.IntN(4))}}
		if again != nil {
			op.Name, op.Object, again = again.Name, again.Data, nil
		}
		v := s.maker.Named(s.collectionID(c), op.Name)
		cur, exists := next[v]
		switch s.rng.IntN(8) {
		case 0:
			op.Flags = wire.FlagIfAbsent
		case 1:
			op.Flags, op.Identity = wire.FlagIfIdentity, cur.id
			if !exists || s.rng.IntN(3) == 0 {
				op.Identity = identity.ID{1: 1}
			}
		case 2, 3:
			op.Op, op.Object = model.OpDelete, nil
		}
		if code := s.predict(who, c, op, cur, exists); want == model.OK {
			want = code
		}
		if want == model.OK && op.Op == model.OpPut {
			content := identity.Digest(op.Query, op.Object)
			id := s.maker.ID(s.collectionID(c), s.owners[who], v, content)
			size := seglog.RecordSize(len(appendObject(op.Name, nil, op.Object)))
			next[v] = modelObject{id, s.owners[who], string(op.Object), size}
		} else if want == model.OK {
			delete(next, v)
		}
		changed++
		r.Object = frames.AppendBatchOp(r.Object, &op)
	}
	if want == model.OK && !s.allowed(c, next) {
		want = model.QuotaExceeded
	}
	before := len(s.pending)
	n := s.ask(who, r)
	a, done := s.answered(n)
	switch {
	case want == model.OK && (done || len(s.pending) != before+1 || len(s.pending[before]) != changed):
		s.t.Fatalf("seed %d: a batch of %d should be on its way; answer %d, %d new groups", s.seed, changed, a.code, len(s.pending)-before)
	case want != model.OK && (!done && before == 0 || done && a.code != want || len(s.pending) != before):
		s.t.Fatalf("seed %d: batch got code %d, want %d", s.seed, a.code, want)
	}
	if want == model.OK {
		s.writes[n] = s.pending[before][changed-1].LSN
	}
	s.absorb()
	if want == model.OK && !maps.Equal(next, s.decided[c]) {
		s.t.Fatalf("seed %d: the batch had another effect than requested", s.seed)
	}
}

// predict returns the code of a write: a second implementation of the rules of package access.
func (s *simulation) predict(who access.Principal, c string, op wire.Request, cur modelObject, exists bool) model.Code {
	r := s.rights[c][who]
	own := exists && cur.owner == s.owners[who]
	sees := r&model.RightRead != 0 || own && r&model.RightReadOwn != 0
	deletes := r&model.RightDelete != 0 && (own || r&model.RightRead != 0)
	switch {
	case r == 0:
		return model.NoCollection
	case r&(model.RightWrite|model.RightDelete) == 0:
		return model.Denied
	case op.Op == model.OpDelete && (!exists || !sees && !deletes):
		return model.NotFound
	case op.Op == model.OpDelete && !deletes:
		return model.Denied
	case op.Op == model.OpDelete:
		return model.OK
	case r&model.RightWrite == 0:
		return model.Denied
	case op.Flags&wire.FlagIfAbsent != 0 && exists, op.Flags&wire.FlagIfIdentity != 0 && (!exists || cur.id != op.Identity):
		return model.PreconditionFailed
	case exists && !own && !deletes:
		return model.Denied
	}
	return model.OK
}

func (s *simulation) collectionID(c string) uint32 { return s.e.byName[c].id }

func (s *simulation) mayRead(who access.Principal, c string, o modelObject) bool {
	r := s.rights[c][who]
	return r&model.RightRead != 0 || o.owner == s.owners[who] && r&model.RightReadOwn != 0
}

// randomGetMany checks that a GETMANY finds the same as single GETs, in the requested order.
func (s *simulation) randomGetMany() {
	who, c := s.pick()
	var query []byte
	var wanted []wire.Wanted
	for range 1 + s.rng.IntN(6) {
		w := wire.Wanted{Name: s.name()}
		if o, ok := s.current(c)[s.maker.Named(s.collectionID(c), w.Name)]; ok && s.rng.IntN(2) == 0 {
			w = wire.Wanted{Identity: o.id}
			w.Identity[identity.Size-1] ^= byte(s.rng.IntN(2))
			query = frames.AppendWantedIdentity(query, w.Identity)
		} else {
			query = frames.AppendWantedName(query, w.Name)
		}
		wanted = append(wanted, w)
	}
	a, done := s.answered(s.ask(who, wire.Request{Op: model.OpGetMany, Collection: c, Query: query}))
	want := model.OK
	switch r := s.rights[c][who]; {
	case r == 0:
		want = model.NoCollection
	case r&(model.RightRead|model.RightReadOwn) == 0:
		want = model.Denied
	}
	if !done || a.code != want || want == model.OK && len(a.objects) != len(wanted) {
		s.t.Fatalf("seed %d: GETMANY: code %d, want %d; %d of %d", s.seed, a.code, want, len(a.objects), len(wanted))
	}
	for i, f := range a.objects {
		w := wanted[i]
		v := w.Identity.Value()
		if len(w.Name) > 0 {
			v = s.maker.Named(s.collectionID(c), w.Name)
		}
		o, exists := s.current(c)[v]
		there := exists && s.mayRead(who, c, o) && (len(w.Name) > 0 || o.id == w.Identity)
		if there && (f.ID != o.id || f.Loc.Length == 0 || s.data(f) != o.data) {
			s.t.Fatalf("seed %d: GETMANY: object %d, there %v: %+v", s.seed, i, there, f)
		}
		if !there && (f != mapping.Entry{ID: w.Identity}) {
			s.t.Fatalf("seed %d: GETMANY: object %d does not exist, but the answer is %+v", s.seed, i, f)
		}
	}
}

// randomGet checks that a GET returns exactly the committed object.
func (s *simulation) randomGet() {
	who, c := s.pick()
	name := s.name()
	a, done := s.answered(s.ask(who, wire.Request{Op: model.OpGet, Collection: c, Name: name}))
	o, exists := s.current(c)[s.maker.Named(s.collectionID(c), name)]
	want := model.OK
	switch r := s.rights[c][who]; {
	case r == 0:
		want = model.NoCollection
	case r&(model.RightRead|model.RightReadOwn) == 0:
		want = model.Denied
	case !exists || !s.mayRead(who, c, o):
		want = model.NotFound
	}
	if !done || a.code != want {
		s.t.Fatalf("seed %d: GET: code %d, want %d", s.seed, a.code, want)
	}
	if want == model.OK && (len(a.objects) != 1 || a.objects[0].ID != o.id || s.data(a.objects[0]) != o.data) {
		s.t.Fatalf("seed %d: GET returns another object than the committed one", s.seed)
	}
	if want == model.OK {
		s.shown = append(s.shown, a.objects[0])
	}
}

func (s *simulation) randomList() {
	who, c := s.pick()
	n := s.ask(who, wire.Request{Op: model.OpList, Collection: c})
	s.searches[n] = pendingSearch{who: who, collection: c, op: model.OpList, from: len(s.versions[c]) - 1}
}

// lists reports whether the answer to a LIST shows objects that existed at one moment between
// request and answer. It must include all objects that existed from the request on.
func (s *simulation) lists(q pendingSearch, a answer) bool {
	versions := s.versions[q.collection][q.from:]
	shown := make(map[identity.Value]bool)
	for _, e := range a.objects {
		shown[e.ID.Value()] = true
	}
	for i, v := range versions {
		ok := s.isSubset(pendingSearch{who: q.who, collection: q.collection, from: q.from + i}, a)
		for _, e := range a.objects {
			ok = ok && v[e.ID.Value()].id == e.ID
		}
		for value, o := range v {
			stayed := s.mayRead(q.who, q.collection, o)
			for _, before := range versions[:i] {
				_, there := before[value]
				stayed = stayed && there
			}
			ok = ok && (!stayed || shown[value])
		}
		if ok {
			return true
		}
	}
	return false
}

func (s *simulation) randomSearch() {
	who, c := s.pick()
	op := []model.Operation{model.OpSearch, model.OpCount, model.OpDeleteWhere}[s.rng.IntN(3)]
	predicate := string(byte('0' + s.rng.IntN(3)))
	if op == model.OpDeleteWhere && s.rng.IntN(2) == 0 {
		return
	}
	r := byPredicate(op, c, "x", predicate)
	q := pendingSearch{who: who, collection: c, predicate: predicate, op: op, from: len(s.versions[c]) - 1}
	if s.rng.IntN(2) == 0 {
		q.expression = s.randomExpression(1 + s.rng.IntN(4))
		r.Index, r.Query = "", q.expression.program([]byte{0})
	}
	if op == model.OpSearch && s.rng.IntN(2) == 0 {
		r.Limit = uint32(s.rng.IntN(4))
		q.limit, q.after = r.Limit, s.someIdentities(c)
		for _, id := range q.after {
			r.Object = append(r.Object, id[:]...)
		}
	}
	s.searches[s.ask(who, r)] = q
}

// randomExpression returns an expression of the index "x".
func (s *simulation) randomExpression(leaves int) *term {
	if leaves == 1 {
		return &term{kind: wire.StepLeaf, index: "x", predicate: []string{"", "0", "1", "2"}[s.rng.IntN(4)]}
	}
	first := 1 + s.rng.IntN(leaves-1)
	return &term{kind: wire.StepAnd + wire.StepKind(s.rng.IntN(3)),
		first: s.randomExpression(first), last: s.randomExpression(leaves - first)}
}

// someIdentities picks up to two identities of objects that are, or were, in a collection.
func (s *simulation) someIdentities(c string) (list []identity.ID) {
	for range s.rng.IntN(3) {
		v := s.versions[c][s.rng.IntN(len(s.versions[c]))]
		values := slices.SortedFunc(maps.Keys(v), func(x, y identity.Value) int { return bytes.Compare(x[:], y[:]) })
		if len(values) > 0 {
			list = append(list, v[values[s.rng.IntN(len(values))]].id)
		}
	}
	return list
}

// isPage reports whether an answer is a page of what a principal may see of a state, behind one of
// the objects given. The principal may have lost the right to see this object since it asked.
func (s *simulation) isPage(v state, q *pendingSearch, a answer) bool {
	switch {
	case len(q.after) == 0:
		return s.isPageBehind(identity.ID{}, v, q, a)
	case q.expression != nil && len(q.expression.leaves(true)) > 1: // also behind an object that is gone
		return s.isPageBehind(q.after[0], v, q, a)
	}
	return slices.ContainsFunc(q.after, func(id identity.ID) bool {
		return v[id.Value()].id == id && s.isPageBehind(id, v, q, a)
	})
}

// isPageBehind reports whether an answer shows the objects behind an identity, in the order of
// identities, without a gap, and all of them unless the answer says that there are more.
func (s *simulation) isPageBehind(from identity.ID, v state, q *pendingSearch, a answer) bool {
	sees := func(id identity.ID) bool {
		o, ok := v[id.Value()]
		return ok && o.id == id && s.mayRead(q.who, q.collection, o)
	}
	truncated := a.flags&wire.ReplyTruncated != 0
	last := from
	for _, e := range a.objects {
		if !sees(e.ID) || s.data(e) != v[e.ID.Value()].data || bytes.Compare(e.ID[:], last[:]) <= 0 {
			return false
		}
		last = e.ID
	}
	for _, o := range v {
		behind := bytes.Compare(o.id[:], from[:]) > 0 && (!truncated || bytes.Compare(o.id[:], last[:]) <= 0)
		match := q.finds(o.data) && sees(o.id) && !s.isOptional(o)
		if behind && match && !slices.ContainsFunc(a.objects, func(e mapping.Entry) bool { return e.ID == o.id }) {
			return false
		}
	}
	return q.limit == 0 || len(a.objects) <= int(q.limit)
}

// checkSearches checks that each answered query shows the collection at one moment between query
// and answer, without objects that the reader may not see. The answer of a hostile Task may
// leave objects out, but must not add any.
func (s *simulation) checkSearches() {
	for n, q := range s.searches {
		a, done := s.answered(n)
		if !done {
			continue
		}
		delete(s.searches, n)
		if a.code != model.OK || q.op == model.OpDeleteWhere {
			continue
		}
		ok := q.op == model.OpList && s.lists(q, a)
		for _, v := range s.versions[q.collection][q.from:] {
			switch {
			case q.op == model.OpList:
			case q.paged() || a.flags&wire.ReplyTruncated != 0 && q.op == model.OpSearch:
				ok = ok || s.isPage(v, &q, a)
			default:
				ok = ok || s.matches(v, &q, a)
			}
		}
		if !ok && s.hostility > 0 && q.op == model.OpSearch {
			ok = s.isSubset(q, a)
		}
		if !ok && !(s.hostility > 0 && q.op == model.OpCount) {
			s.t.Fatalf("seed %d: %v of %q by %x, limit %d behind %x, shows %d objects, flags %d, which were not the readable ones at any moment since the request",
				s.seed, q.op, q.predicate, q.who[:2], q.limit, q.after, len(a.objects), a.flags)
		}
	}
}

// isOptional reports whether an answer need not show an object: its owner is erased, or a process
// ended over it, perhaps for another reason, and it was set aside.
func (s *simulation) isOptional(o modelObject) bool { return s.e.erased[o.owner] || s.aside[o.id] }

// matches reports whether an answer shows what a principal may see of a state.
//
// An erasure removes objects one by one. So if an owner was erased after the query, the answer
// may show any part of its objects.
func (s *simulation) matches(v state, q *pendingSearch, a answer) bool {
	who, c := q.who, q.collection
	must, may := 0, 0
	for _, o := range v {
		if !s.mayRead(who, c, o) || !q.finds(o.data) {
			continue
		}
		if s.isOptional(o) {
			may++
		} else {
			must++
		}
	}
	stayed := 0
	for _, e := range a.objects {
		o := v[e.ID.Value()]
		if o.id != e.ID || s.data(e) != o.data || !s.mayRead(who, c, o) {
			return false
		}
		if !s.isOptional(o) {
			stayed++
		}
	}
	counted := len(a.objects) == 0 // the answer is a count, or empty
	return (counted || stayed == must) && int(a.count) >= must && int(a.count) <= must+may
}

// isSubset reports whether each object in the answer was readable at some moment since the
// query.
func (s *simulation) isSubset(q pendingSearch, a answer) bool {
	for _, e := range a.objects {
		ok := false
		for _, v := range s.versions[q.collection][q.from:] {
			o := v[e.ID.Value()]
			ok = ok || o.id == e.ID && s.data(e) == o.data && s.mayRead(q.who, q.collection, o)
		}
		if !ok {
			return false
		}
	}
	return true
}

// randomTask lets a Task start, handle a frame, or misbehave.
func (s *simulation) randomTask() {
	if len(s.tasks) == 0 {
		return
	}
	k := s.tasks[s.rng.IntN(len(s.tasks))]
	switch x := s.e.instances[k.instance]; {
	case x == nil:
	case x.state == model.IndexStarting:
		k.hostile = s.rng.Float64() < s.hostility
		k.ignoresOwners = s.rng.IntN(2) == 0
		s.e.TaskStarted(k.instance)
		s.take()
	case k.hostile && s.rng.IntN(4) == 0:
		s.e.TaskAnswer(k.instance, s.lie(k))
		s.take()
	default:
		for range 1 + s.rng.IntN(8) {
			if !k.stopped && len(k.frames) > 0 {
				s.world.step(k)
			}
		}
	}
}

// lie invents an answer from data that a Task could know or guess.
func (s *simulation) lie(k *fakeTask) taskwire.Answer {
	a := taskwire.Answer{Type: []taskwire.Type{taskwire.Applied, taskwire.Found, taskwire.Failed}[s.rng.IntN(3)], Seq: s.rng.Uint64N(20),
		Failure: taskwire.Failure(1 + s.rng.IntN(5)), State: taskwire.State(max(0, s.rng.IntN(6)-3))}
	for _, c := range collections {
		for _, v := range s.versions[c][max(0, len(s.versions[c])-20):] {
			for _, o := range v {
				if s.rng.IntN(40) == 0 {
					a.Found = append(a.Found, o.id)
				}
			}
		}
	}
	if s.rng.IntN(3) == 0 {
		id := identity.ID(k.randomID(s.rng))
		a.Found = append(a.Found, id)
	}
	return a
}

func (k *fakeTask) randomID(r *rand.Rand) (id [32]byte) {
	_, _ = reader{r}.Read(id[:])
	return id
}

// crash loses all changes that are not durable, and starts again from the disk, or from a
// checkpoint and the later records. The engine must then have the committed state.
func (s *simulation) crash() {
	var from *checkpoint
	if n := s.rng.IntN(1 + len(s.kept)); n > 0 {
		from = s.kept[n-1]
		same(s.t, s.replay(from), s.replay(nil))
	}
	s.start(s.replay(from))
	s.forget()
	s.seen = 0
	clear(s.searches)
	clear(s.compactions)
	s.answers = nil
	for _, c := range collections {
		s.decided[c] = maps.Clone(s.current(c))
		for v, o := range s.current(c) {
			e, ok := s.e.byName[c].objects.Get(v)
			if !ok || e.ID != o.id || e.Owner != o.owner || s.data(e) != o.data {
				s.t.Fatalf("seed %d: after a crash an object differs from the committed one", s.seed)
			}
		}
	}
}

// finish lets everything run, with honest Tasks. Every index must serve again, and find exactly
// the live objects. If a hostile Task refused its configuration, the index waits until an
// administrator registers the Task again.
func (s *simulation) finish() {
	for _, c := range collections {
		if s.e.byName[c].index("x").state == model.IndexRefused {
			s.settle()
			s.registerFake()
		}
	}
	for i := range 100 {
		if i == 50 { // no process ends any more
			for _, c := range collections {
				s.ask(admin, wire.Request{Op: model.OpRetry, Collection: c, Index: "x"})
			}
			clear(s.aside)
		}
		for _, k := range s.tasks {
			if k.hostile {
				k.hostile = false
				s.e.TaskEnded(k.instance, model.ReasonBadFrame)
			}
		}
		s.take()
		s.settle()
		s.jump(maxBackoff)
	}
	if !s.idle() {
		s.t.Fatalf("seed %d: after the end a request or a write is still in flight", s.seed)
	}
	for _, l := range s.e.accounts() { // each query must have ended once
		if l.held != 0 || l.x.finishing != 0 {
			s.t.Fatalf("seed %d: %d queries of %q are being finished, and owner %d has %d units held", s.seed, l.x.finishing, l.x.c.name, l.owner, l.held)
		}
	}
	for _, from := range s.kept {
		same(s.t, s.replay(from), s.replay(nil))
	}
	clear(s.searches)
	for _, c := range collections {
		for _, who := range s.people {
			n := s.ask(who, byPredicate(model.OpSearch, c, "x", ""))
			s.settle()
			a, done := s.answered(n)
			if !done || a.code == model.OK && !s.matches(s.current(c), &pendingSearch{who: who, collection: c}, a) || a.code == model.IndexUnavailable {
				s.t.Fatalf("seed %d: at the end, index of %q: code %d, %d objects", s.seed, c, a.code, len(a.objects))
			}
		}
	}
}
