package engine

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/taskwire"
	"motte/core/wire"
	"motte/internal/faketask"
)

// The tests in this file follow section 5 of the paper. Each checks one of its sentences, which
// is quoted above the test. Sentences about other packages are tested there:
//
//   - "All queries from clients first reach the Core, where they are divided
//     into a uni-format header and a function-specific sub-query": core/wire.
//   - "The Hash value of object is also involved to prevent alteration of the
//     sealed blocks": core/seglog and package server, which opens records.
//   - "Firstly the communication channel between the Core and the client is
//     encrypted": core/tlsauth.
//
// Where the design differs from the paper, the test checks the design, and its comment says so.

// createIndex requests an index of the Task "fake".
func createIndex(collection, index string, t model.DataType, flags model.IndexOptions) wire.Request {
	return wire.Request{Op: model.OpCreateIndex, Collection: collection, Index: index, Type: t, Options: flags, Name: []byte("fake")}
}

// add registers a principal.
func (w *world) add(p access.Principal, label string) {
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(p), Name: []byte(label)}, model.OK)
}

// grantRequest grants or revokes rights in a collection, depending on op.
func grantRequest(op model.Operation, collection string, p access.Principal, r model.Rights) wire.Request {
	return wire.Request{Op: op, Collection: collection, Identity: identity.ID(p), Rights: r}
}

// waiting returns the payloads of the frames of a type that wait for the Task.
func (k *fakeTask) waiting(of taskwire.Type) (payloads [][]byte) {
	for _, f := range k.frames {
		if h, _ := taskwire.DecodeHeader(f[:taskwire.HeaderSize]); h.Type == of {
			payloads = append(payloads, f[taskwire.HeaderSize:])
		}
	}
	return payloads
}

// instead answers the first query that waits for a Task with the answer that say returns for its
// sequence number.
func (w *world) instead(k *fakeTask, say func(seq uint64) []taskwire.Answer) {
	for i, f := range k.frames {
		if h, _ := taskwire.DecodeHeader(f[:taskwire.HeaderSize]); h.Type == taskwire.Search {
			k.frames = slices.Delete(k.frames, i, i+1)
			for _, a := range say(h.Seq) {
				w.e.TaskAnswer(k.instance, a)
			}
			w.take()
			return
		}
	}
	w.t.Fatal("no query waits for the Task")
}

// "The system includes indexation operations that allow clients to PUT, GET
// and DELETE data with predicate."
func TestPaperPutGetAndDeleteWithPredicate(t *testing.T) {
	w := indexed(t, 0)
	w.must(admin, put("c", "four", "data of the fourth"), model.OK)
	if a := w.must(admin, byPredicate(model.OpSearch, "c", "x", "data of t"), model.OK); len(a.objects) != 3 {
		t.Fatalf("%d objects, want two, three and four", len(a.objects))
	}
	if a := w.must(admin, byPredicate(model.OpDeleteWhere, "c", "x", "data of th"), model.OK); a.count != 2 {
		t.Fatalf("%d deleted, want three and four", a.count)
	}
	w.must(admin, get("c", "four"), model.NotFound)
	if a := w.must(admin, byPredicate(model.OpSearch, "c", "x", "data of t"), model.OK); len(a.objects) != 1 || a.objects[0].ID != w.id("c", "two") {
		t.Fatalf("%d objects, want two alone", len(a.objects))
	}
}

// "The Core's Simple Pre-treatment module analyzes the header, which specifies
// the indexation operation, algorithm, and data type, and then routes the
// functional sub-query to the appropriate Task, awaiting responses."
//
// And of GET: "Similarly, GET queries are pre-processed in the Core and routed
// to the designated Task enclave."
func TestPaperSubQueryIsRoutedToTheAppropriateTask(t *testing.T) {
	w := indexed(t, 0)
	w.must(admin, createIndex("c", "y", model.TypeInt64, 0), model.OK)
	x, y := w.tasks[0], w.tasks[1]

	q := byPredicate(model.OpSearch, "c", "y", "\x00 anything \xff at all")
	q.Type = model.TypeInt64
	n := w.ask(admin, q)
	if got := y.waiting(taskwire.Search); len(x.frames) != 0 || len(got) != 1 || string(faketask.ReadSearch(got[0]).Predicate) != string(q.Query) {
		t.Fatalf("%d frames for another Task, for the right one %q", len(x.frames), got)
	}
	if _, answered := w.answered(n); answered {
		t.Fatal("answered without the Task's response")
	}
	w.settle()
	w.must2(n, model.OK)

	q.Type = model.TypeText
	w.must2(w.ask(admin, q), model.InvalidRequest)
	q.Index = "z"
	w.must2(w.ask(admin, q), model.NoIndex)
	if len(x.frames)+len(y.frames) != 0 {
		t.Fatal("a query that fits no index reached a Task")
	}
}

// "For new data entries, the Core distributes a unique identity to each object
// and performs a hash function to ensure identity integrity and object
// integrity."
func TestPaperEachObjectHasAUniqueIdentity(t *testing.T) {
	w := indexed(t, 0)
	m := identity.NewMaker([]byte("a key"))
	values, tags := make(map[identity.Value]bool), make(map[[16]byte]bool)
	for range 100 {
		id := identity.ID(w.must(admin, put("c", "", "the same content"), model.OK).body)
		values[id.Value()], tags[[16]byte(id[identity.ValueSize:])] = true, true
		last := w.disk[len(w.disk)-1]
		c, owner := last.Collection, last.Owner
		content, other := identity.Digest(nil, []byte("the same content")), identity.Digest(nil, []byte("other content"))
		if !m.Check(c, owner, id, content) {
			t.Fatal("the identity does not fit its object")
		}
		if m.Check(c, owner, id, other) || m.Check(c+1, owner, id, content) || m.Check(c, owner+1, id, content) {
			t.Fatal("the identity fits another object, collection or owner")
		}
	}
	if len(values) != 100 || len(tags) != 100 {
		t.Fatalf("100 objects have %d values and %d tags", len(values), len(tags))
	}
}

// "In other words, a complete object identity is composed of a random
// generated identity value and related hash value."
//
// The design keys the hash, and lets a client's name choose the value.
func TestPaperIdentityIsAValueAndAHash(t *testing.T) {
	w := indexed(t, 0)
	m := identity.NewMaker([]byte("a key"))
	c, owner := w.disk[len(w.disk)-1].Collection, w.e.principals[admin].owner
	made := func(name, object string) identity.ID {
		return identity.ID(w.must(admin, put("c", name, object), model.OK).body)
	}
	random := identity.Value([]byte("random, 16 bytes"))
	w.e.Random = bytes.NewReader(random[:]).Read
	if id := made("", "content"); id != m.ID(c, owner, random, identity.Digest(nil, []byte("content"))) {
		t.Errorf("without a name: %x", id)
	}
	named := m.Named(c, []byte("name"))
	for _, object := range []string{"content", "other content"} {
		if id := made("name", object); id != m.ID(c, owner, named, identity.Digest(nil, []byte(object))) {
			t.Errorf("with a name: %x", id)
		}
	}
}

// "The Mapping module stores these objects by their identities and
// communicates with the Storage Management module, which seals the data into
// blocks and stores them in untrusted memory."
func TestPaperMappingFindsWhatStorageKeeps(t *testing.T) {
	w := indexed(t, 0)
	n := w.ask(admin, put("c", "", "new content"))
	r := w.pending[0][0]
	o, err := DecodeObject(r.Body)
	if err != nil || r.Kind != seglog.KindPut || string(o.Data) != "new content" {
		t.Fatalf("%v: a record of kind %d with %q is to be stored", err, r.Kind, o.Data)
	}
	byID := wire.Request{Op: model.OpGet, Collection: "c", Identity: r.ID}
	w.must2(w.ask(admin, byID), model.NotFound) // not stored yet
	w.settle()
	w.must2(n, model.OK)
	a := w.must(admin, byID, model.OK)
	if want := w.places[len(w.places)-1]; len(a.objects) != 1 || a.objects[0].ID != r.ID || a.objects[0].Loc != want {
		t.Fatalf("found %+v, stored at %+v", a.objects, want)
	}
}

// "Concurrently, the query is sent to the Task enclave for insertion into an
// efficient search module, and encrypting necessary information by using a
// Task-generated encryption key to store in untrusted memory."
//
// The design lets a Task write nowhere, so there is no such key. "Concurrently"
// is among the Tasks: each has the input before any has confirmed.
func TestPaperInsertionIsSentToEveryTask(t *testing.T) {
	w := indexed(t, 0)
	w.must(admin, createIndex("c", "y", model.TypeAny, 0), model.OK)
	w.must(admin, wire.Request{Op: model.OpCreateCollection, Collection: "d"}, model.OK)
	w.must(admin, createIndex("d", "x", model.TypeAny, 0), model.OK)
	w.ask(admin, put("c", "four", "data of four"))
	w.commit(1)
	id := w.id("c", "four")
	for i, want := range []int{1, 1, 0} {
		got := w.tasks[i].waiting(taskwire.Insert)
		if len(got) != want {
			t.Fatalf("Task %d is sent %d objects, want %d", i, len(got), want)
		}
		if want == 0 {
			continue
		}
		if sent, _, input := faketask.ReadInsert(got[0]); sent != id || string(input) != "data of four" {
			t.Fatalf("Task %d is sent %x with %q", i, sent, input)
		}
	}
}

// "Upon receiving confirmation from the Task, the Core sends a positive
// response to the client."
//
// Of several Tasks, each; TestReadsSeeAcknowledgedWrites has a lazy one.
func TestPaperPutIsAnsweredUponConfirmation(t *testing.T) {
	w := indexed(t, 0)
	w.must(admin, createIndex("c", "y", model.TypeAny, 0), model.OK)
	n := w.ask(admin, put("c", "four", "data of four"))
	w.commit(1)
	for i, k := range slices.Clone(w.tasks) {
		if a, answered := w.answered(n); answered {
			t.Fatalf("code %d after %d confirmations of 2", a.code, i)
		}
		w.step(k)
	}
	w.must2(n, model.OK)
}

// "The Task processes the query and sends back data object identities, which
// the Core uses to retrieve the original data."
//
// An index can be fed less than the object; the client gets all of it.
func TestPaperOriginalDataIsRetrievedByIdentity(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.register("c", "x", model.OptionAttribute)
	q := put("c", "one", "the original data")
	q.Query = frames.AppendAttribute(nil, "x", []byte("an attribute"))
	n := w.ask(admin, q)
	w.commit(1)
	for _, f := range w.tasks[0].frames {
		if bytes.Contains(f, q.Object) {
			t.Fatal("the Task was sent the object")
		}
	}
	w.settle()
	w.must2(n, model.OK)
	a := w.must(admin, byPredicate(model.OpSearch, "c", "x", "an attribute"), model.OK)
	if len(a.objects) != 1 {
		t.Fatalf("%d objects", len(a.objects))
	}
	if data := w.data(a.objects[0]); data != "the original data" {
		t.Fatalf("the client gets %q", data)
	}
}

// "The Core checks the identity integrity to verify the validity of returned
// result."
//
// Each bit of it. TestHostileAnswersQuarantineTheTask has the other lies.
func TestPaperEachBitOfAnIdentityIsChecked(t *testing.T) {
	w := indexed(t, 0)
	for bit := range 8 * identity.Size {
		id := w.id("c", "one")
		id[bit/8] ^= 1 << (bit % 8)
		n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data of one"))
		w.instead(w.tasks[0], func(seq uint64) []taskwire.Answer {
			return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, Found: []identity.ID{id}}}
		})
		if a, answered := w.answered(n); !answered || a.code != model.IndexViolated || len(a.objects) != 0 {
			t.Fatalf("bit %d altered: answered %v with code %d and %d objects", bit, answered, a.code, len(a.objects))
		}
		w.settle()
		if w.lastReason() != model.ReasonInvalidIdentity {
			t.Fatalf("bit %d altered: alert for reason %d", bit, w.lastReason())
		}
		w.tick(time.Minute)
		w.settle()
	}
}

// "After the Access Control module verifies the client's rights, the data is
// sent to the client."
//
// So rights that are taken away while the Task works count.
func TestPaperRightsAreVerifiedBeforeDataIsSent(t *testing.T) {
	alice := access.Principal{0: 9}
	for name, taken := range map[string]wire.Request{
		"revoked": grantRequest(model.OpRevoke, "c", alice, model.RightRead),
		"removed": {Op: model.OpRemovePrincipal, Identity: identity.ID(alice)},
		"rotated": rotationRequest(alice, access.Principal{0: 8}),
	} {
		w := indexed(t, 0)
		w.add(alice, "alice")
		w.must(admin, grantRequest(model.OpGrant, "c", alice, model.RightRead), model.OK)
		n := w.ask(alice, byPredicate(model.OpSearch, "c", "x", "data"))
		w.ask(admin, taken)
		w.commit(1)
		w.settle() // now the Task answers
		if a, answered := w.answered(n); !answered || len(a.objects) != 0 || a.count != 0 {
			t.Errorf("%s: answered %v, with %d objects", name, answered, len(a.objects))
		}
	}
}

// "The standard header of each query provides the Core with sufficient
// information for basic indexation operations and Task routing, ensuring that
// the database always holds a trustworthy copy of all data, and thereby
// prevents all vulnerability attacks because the Core is verified and trusted."
//
// Without any Task the Core serves everything but predicates, and from its
// copy a fresh Task learns all of it.
func TestPaperCoreAloneHoldsATrustworthyCopy(t *testing.T) {
	w := indexed(t, 0)
	w.e.TaskEnded(w.tasks[0].instance, model.ReasonBadFrame)
	w.take()
	w.must(admin, byPredicate(model.OpSearch, "c", "x", "data"), model.IndexUnavailable)
	w.must(admin, put("c", "four", "data of four"), model.OK)
	w.must(admin, put("c", "one", "data of one, anew"), model.OK)
	w.must(admin, wire.Request{Op: model.OpDelete, Collection: "c", Name: []byte("two")}, model.OK)
	w.must(admin, get("c", "four"), model.OK)
	list := wire.Request{Op: model.OpList, Collection: "c"}
	copied := w.must(admin, list, model.OK).objects
	w.tick(time.Minute)
	w.settle()
	found := w.must(admin, byPredicate(model.OpSearch, "c", "x", "data"), model.OK).objects
	if len(copied) != 3 || len(found) != 3 {
		t.Fatalf("%d objects without the Task, %d with it", len(copied), len(found))
	}
	for _, o := range found {
		if !slices.Contains(copied, o) {
			t.Errorf("the Task names %x, which the Core did not list", o.ID)
		}
	}
}

// "The Core maintains a API format table includes API for each Task, enabling
// simple verification on returned results in the Core, to prevent improper
// memory coping."
//
// TestRefusalsOfTheTaskAreFixedCodes has its largest input.
func TestPaperAPIFormatTableBoundsATask(t *testing.T) {
	w := indexed(t, 0)
	row := model.Row{Operations: frames.TaskSearch, MaxInput: 64, MaxResults: 2, Deadline: 1000, Memory: 1}
	w.must(admin, wire.Request{Op: model.OpRegisterTask, Name: []byte("fake"), Query: frames.AppendRow(nil, &row)}, model.OK)
	for _, when := range []string{"registered", "read from the log again"} {
		w.must(admin, createIndex("c", "ordered", model.TypeAny, model.OptionOrdered), model.InvalidRequest)
		w.must2(w.ask(admin, byPredicate(model.OpCount, "c", "x", "")), model.InvalidRequest)
		w.must2(w.ask(admin, byPredicate(model.OpDeleteWhere, "c", "x", "")), model.InvalidRequest)
		if len(w.tasks[0].frames) != 0 {
			t.Fatalf("%s: an operation that is not in the table reached the Task", when)
		}
		n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", ""))
		w.instead(w.tasks[0], func(seq uint64) []taskwire.Answer {
			three := []identity.ID{w.id("c", "one"), w.id("c", "two"), w.id("c", "three")}
			return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, Found: three}}
		})
		w.must2(n, model.IndexViolated)
		w.settle()
		if w.lastReason() != model.ReasonTooManyResults {
			t.Fatalf("%s: alert for reason %d", when, w.lastReason())
		}
		w.boot()
		w.settle()
	}
}

// "For instance, during the GET operation, if an encryption key is leaked to
// the Core, it triggers a system alert due to a failed data identity integrity
// check."
func TestPaperLeakedKeyTriggersASystemAlert(t *testing.T) {
	key := sha([]byte("an encryption key"))
	w := indexed(t, 0)
	one := w.id("c", "one")
	for name, leak := range map[string]identity.ID{
		"the key":          key,
		"half of it first": identity.ID(slices.Concat(key[:16], one[16:])),
		"half of it last":  identity.ID(slices.Concat(one[:16], key[:16])),
	} {
		n := w.ask(admin, byPredicate(model.OpSearch, "c", "x", "data"))
		w.instead(w.tasks[0], func(seq uint64) []taskwire.Answer {
			return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, Found: []identity.ID{w.id("c", "two"), leak}}}
		})
		a, answered := w.answered(n)
		if !answered || a.code != model.IndexViolated || len(a.objects)+len(a.items)+len(a.body) != 0 {
			t.Errorf("%s: answered %v: %+v", name, answered, a)
		}
		w.settle()
		last := w.disk[len(w.disk)-1]
		if alert, err := frames.DecodeAlert(last.Body); last.Kind != seglog.KindAlert || err != nil || alert.Reason != model.ReasonInvalidIdentity {
			t.Errorf("%s: %v, the log ends with %+v", name, err, last)
		}
		for _, r := range w.disk {
			if bytes.Contains(append(r.ID[:], r.Body...), key[:8]) {
				t.Errorf("%s: the key is in record %d", name, r.LSN)
			}
		}
		w.tick(time.Minute)
		w.settle()
	}
}

// smuggled is where a frame has room for a secret, if only for a bit of it.
var smuggled = map[string]func(w *world, secret byte, seq uint64) []taskwire.Answer{
	"in an identity": func(_ *world, secret byte, seq uint64) []taskwire.Answer {
		return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, Found: []identity.ID{{secret}}}}
	},
	"in a tag": func(w *world, secret byte, seq uint64) []taskwire.Answer {
		id := w.id("c", "one")
		id[31] ^= secret
		return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, Found: []identity.ID{id}}}
	},
	"in a number": func(_ *world, secret byte, seq uint64) []taskwire.Answer {
		return []taskwire.Answer{{Type: taskwire.Applied, Seq: seq + uint64(secret)}}
	},
	"in the number of an answer": func(_ *world, secret byte, seq uint64) []taskwire.Answer {
		return []taskwire.Answer{{Type: taskwire.Found, Seq: seq + uint64(secret)}}
	},
	"in a failure": func(_ *world, secret byte, seq uint64) []taskwire.Answer {
		return []taskwire.Answer{{Type: taskwire.Failed, Seq: seq, Failure: []taskwire.Failure{taskwire.FailConfiguration, taskwire.FailInput}[secret%2]}}
	},
	"in how often": func(w *world, secret byte, seq uint64) []taskwire.Answer {
		return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, Found: slices.Repeat([]identity.ID{w.id("c", "one")}, 3+int(secret))}}
	},
	"in the order": func(w *world, secret byte, seq uint64) []taskwire.Answer {
		ids := []identity.ID{w.id("c", "one"), w.id("c", "two")}
		return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, Found: []identity.ID{ids[secret%2], ids[1-secret%2]}}}
	},
	"in the parts": func(w *world, secret byte, seq uint64) []taskwire.Answer {
		one, two := []identity.ID{w.id("c", "one")}, []identity.ID{w.id("c", "two")}
		if secret%2 == 0 {
			return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, Found: append(one, two...)}}
		}
		return []taskwire.Answer{{Type: taskwire.Found, Seq: seq, State: taskwire.StateContinues, Found: one}, {Type: taskwire.Found, Seq: seq, Found: two}}
	},
}

// "Furthermore, to prevent potential attacks where the encryption key replaces
// original value of an object and be send back to a client, our system adheres
// to an Only-In-Never-Out policy."
//
// Tasks that know different secrets, and put them wherever a frame has room,
// can't make a difference to any answer or any record.
func TestPaperOnlyInNeverOut(t *testing.T) {
	for name, shape := range smuggled {
		play := func(secret byte) ([]answer, []seglog.Record) {
			w := indexed(t, 0)
			q := byPredicate(model.OpSearch, "c", "x", "data")
			q.Limit = 2
			w.ask(admin, q)
			w.instead(w.tasks[0], func(seq uint64) []taskwire.Answer { return shape(w, secret, seq) })
			w.tick(2 * time.Second) // past the deadline, for answers to nothing
			w.settle()
			w.ask(admin, wire.Request{Op: model.OpAlerts})
			return w.answers, w.disk
		}
		answers, records := play(1)
		if len(answers) != 2 {
			t.Fatalf("%s: %d answers", name, len(answers))
		}
		for _, secret := range []byte{2, 3, 128, 255} {
			if a, r := play(secret); !reflect.DeepEqual(a, answers) || !reflect.DeepEqual(r, records) {
				t.Errorf("a secret left %s: answers\n%+v and\n%+v", name, a, answers)
			}
		}
	}
}

// "Only data stored in the Core will be send back to clients, eliminating
// invalid alteration on object."
func TestPaperOnlyStoredDataIsSentBack(t *testing.T) {
	w := indexed(t, 0)
	one := w.id("c", "one")
	w.tasks[0].Held[one.Value()] = faketask.Entry{ID: one, Input: "an encryption key in place of the object"}
	a := w.must(admin, byPredicate(model.OpSearch, "c", "x", "an encryption key"), model.OK)
	if len(a.objects) != 1 {
		t.Fatalf("%d objects", len(a.objects))
	}
	if data := w.data(a.objects[0]); data != "data of one" {
		t.Fatalf("the client gets %q", data)
	}
}

// "Finally, the Access Control module rigorously verifies each client's rights
// to access the data."
//
// Every set of rights, against every operation that touches an object, of
// one's own and of another's.
func TestPaperAccessControlVerifiesEveryRequest(t *testing.T) {
	alice := access.Principal{0: 9}
	remove := func(name string) wire.Request {
		return wire.Request{Op: model.OpDelete, Collection: "c", Name: []byte(name)}
	}
	has := func(r, want model.Rights) bool { return r&want != 0 }
	never := func(model.Rights) bool { return false }
	cases := []struct {
		name    string
		request wire.Request
		allowed func(r model.Rights) bool
	}{
		{"get own", get("c", "own"), func(r model.Rights) bool { return has(r, model.RightRead|model.RightReadOwn) }},
		{"get another's", get("c", "one"), func(r model.Rights) bool { return has(r, model.RightRead) }},
		{"put anew", put("c", "new", "data"), func(r model.Rights) bool { return has(r, model.RightWrite) }},
		{"replace own", put("c", "own", "data, anew"), func(r model.Rights) bool { return has(r, model.RightWrite) }},
		{"replace another's", put("c", "one", "data, anew"), func(r model.Rights) bool {
			return has(r, model.RightWrite) && has(r, model.RightDelete) && has(r, model.RightRead)
		}},
		{"delete own", remove("own"), func(r model.Rights) bool { return has(r, model.RightDelete) }},
		{"delete another's", remove("one"), func(r model.Rights) bool { return has(r, model.RightDelete) && has(r, model.RightRead) }},
		{"create an index", createIndex("c", "y", model.TypeAny, 0), func(r model.Rights) bool { return has(r, model.RightAdmin) }},
		{"grant", grantRequest(model.OpGrant, "c", alice, model.RightRead), func(r model.Rights) bool { return has(r, model.RightAdmin) }},
		{"create a collection", wire.Request{Op: model.OpCreateCollection, Collection: "d"}, never},
		{"read the alerts", wire.Request{Op: model.OpAlerts}, never},
	}
	for r := range model.RightsAll + 1 {
		for _, c := range cases {
			w := withRights(t, alice, r)
			n := w.ask(alice, c.request)
			w.settle()
			if a, answered := w.answered(n); !answered || (a.code == model.OK) != c.allowed(r) {
				t.Errorf("rights %05b: %s: code %d", r, c.name, a.code)
			}
		}
		w := withRights(t, alice, r)
		n := w.ask(alice, byPredicate(model.OpSearch, "c", "x", "data"))
		w.settle()
		a, _ := w.answered(n)
		want := 0
		switch {
		case has(r, model.RightRead):
			want = 4
		case has(r, model.RightReadOwn):
			want = 1
		}
		if len(a.objects) != want {
			t.Errorf("rights %05b: a search shows %d objects, want %d", r, len(a.objects), want)
		}
	}
}

// withRights returns an indexed world in which a principal put one object, and
// has rights r now.
func withRights(t *testing.T, p access.Principal, r model.Rights) *world {
	w := indexed(t, 0)
	w.add(p, "alice")
	w.must(admin, grantRequest(model.OpGrant, "c", p, model.RightWrite), model.OK)
	w.must(p, put("c", "own", "data of her own"), model.OK)
	w.must(admin, grantRequest(model.OpRevoke, "c", p, model.RightWrite), model.OK)
	if r != 0 {
		w.must(admin, grantRequest(model.OpGrant, "c", p, r), model.OK)
	}
	return w
}

// "On the contrary, in our design, the Access Control module does not share
// memory with untrusted code and we could trust the execution result of this
// module."
//
// Nothing of what it decides on is ever sent to a Task: who, what rights, whose
// object, by what name.
func TestPaperTasksKnowNothingOfAccessControl(t *testing.T) {
	w := newWorld(t, 1)
	w.settle()
	w.register("the-collection", "the-index", 0)
	alice := access.Principal(sha([]byte("alice")))
	w.add(alice, "the-label")
	w.must(admin, grantRequest(model.OpGrant, "the-collection", alice, model.RightsAll), model.OK)
	for _, q := range []wire.Request{
		put("the-collection", "the-name", "data"), put("the-collection", "the-name", "data, anew"),
		byPredicate(model.OpSearch, "the-collection", "the-index", "data"), byPredicate(model.OpDeleteWhere, "the-collection", "the-index", "data"),
	} {
		w.ask(alice, q)
		for len(w.pending) > 0 {
			w.commit(1)
		}
		if len(w.tasks[0].frames) == 0 {
			t.Fatalf("operation %d sends nothing to the Task", q.Op)
		}
		for _, f := range w.tasks[0].frames {
			for _, secret := range []string{string(alice[:]), "the-collection", "the-label", "the-name"} {
				if bytes.Contains(f, []byte(secret)) {
					t.Errorf("operation %d: the Task is sent %q", q.Op, f)
				}
			}
		}
		w.settle()
	}
}
