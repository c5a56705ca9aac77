package sdk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// recorder is an index that records its inputs and its calls.
type recorder struct {
	config  sdk.Config
	held    map[sdk.Value]sdk.Identity
	inputs  map[sdk.Value]string
	batches []int
}

func (r *recorder) Configure(c sdk.Config) error {
	if string(c.Options) == "bad" {
		return errors.New("bad")
	}
	r.config, r.held, r.inputs = c, make(map[sdk.Value]sdk.Identity), make(map[sdk.Value]string)
	return nil
}

func (r *recorder) Apply(changes []sdk.Change) {
	r.batches = append(r.batches, len(changes))
	for i := range changes {
		c := &changes[i]
		v := c.Identity.Value()
		delete(r.held, v)
		switch {
		case c.Remove:
		case string(c.Input) == "bad":
			c.Refuse()
		default:
			r.held[v], r.inputs[v] = c.Identity, string(c.Input)
		}
	}
}

// Search finds the inputs that contain the predicate.
func (r *recorder) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	if string(q.Predicate) == "bad" {
		return nil, errors.New("bad")
	}
	var found []sdk.Identity
	for v, id := range r.held {
		if strings.Contains(r.inputs[v], string(q.Predicate)) {
			found = append(found, id)
		}
	}
	return sdk.Sorted(found, q.After)
}

var config = sdk.Config{Type: model.TypeText, Ordered: true, MaxResults: 10_000, Options: []byte("options")}

func TestIndexIsToldItsConfiguration(t *testing.T) {
	r := &recorder{}
	sdktest.Start(t, r, config)
	if c := r.config; c.Type != model.TypeText || !c.Ordered || c.MaxResults != 10_000 || string(c.Options) != "options" {
		t.Errorf("the index was configured as %+v; want the configuration of the test", r.config)
	}
}

func TestRefusedConfigurationWaitsForTheEnd(t *testing.T) {
	if sdktest.Start(t, &recorder{}, sdk.Config{Options: []byte("bad")}) != nil {
		t.Error("accepted")
	}
}

func TestSearchSeesWhatWasSentBefore(t *testing.T) {
	c := sdktest.Start(t, &recorder{}, config)
	c.Insert(sdktest.ID(1), "one")
	c.Insert(sdktest.ID(2), "two")
	c.Insert(sdktest.Version(1, 1), "eleven")
	c.Remove(sdktest.ID(2))
	c.Remove(sdktest.ID(3)) // never inserted
	found, err := c.Search("e", 10)
	if err != nil || len(found) != 1 || found[0] != sdktest.Version(1, 1) {
		t.Errorf("a search finds %x, %v; want only the live inputs that contain the predicate", found, err)
	}
}

func TestRefusalIsToldAndServiceGoesOn(t *testing.T) {
	c := sdktest.Start(t, &recorder{}, config)
	if c.Insert(sdktest.ID(1), "bad") {
		t.Error("an input that the index refuses was accepted")
	}
	if _, err := c.Search("bad", 10); err != sdktest.ErrQueryRefused {
		t.Errorf("a predicate that the index refuses returns %v; want ErrQueryRefused", err)
	}
	if !c.Insert(sdktest.ID(1), "good") {
		t.Error("a valid input was refused")
	}
}

func TestLargeAnswerComesInChunksAndKeepsTheLimit(t *testing.T) {
	c := sdktest.Start(t, &recorder{}, config)
	c.InsertAll(0, make([]string, 3*taskwire.MaxChunk))
	for _, limit := range []int{1, taskwire.MaxChunk - 1, taskwire.MaxChunk, taskwire.MaxChunk + 1, 2 * taskwire.MaxChunk, 4 * taskwire.MaxChunk} {
		found, err := c.Search("", limit)
		if want := min(limit, 3*taskwire.MaxChunk); err != nil || len(found) != want {
			t.Errorf("limit %d: %d found, want %d (%v)", limit, len(found), want, err)
		}
	}
	if found, err := c.Search("nothing has this", 5); err != nil || len(found) != 0 {
		t.Errorf("a search without matches finds %d, %v; want 0", len(found), err)
	}
}

func TestLargestInput(t *testing.T) {
	r := &recorder{}
	c := sdktest.Start(t, r, config)
	large := strings.Repeat("x", model.MaxObject)
	c.Insert(sdktest.ID(1), large)
	c.Insert(sdktest.ID(2), "small")
	if r.inputs[sdktest.ID(1).Value()] != large || r.inputs[sdktest.ID(2).Value()] != "small" {
		t.Error("the index received an altered input")
	}
}

// channel sends frames to a Task, and records its answers.
type channel struct {
	io.Reader
	bytes.Buffer
}

func (c *channel) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func serve(x sdk.Index, input []byte) (answers []byte, err error) {
	c := &channel{Reader: bytes.NewReader(input)}
	err = sdk.ServeChannel(c, x)
	return c.Bytes(), err
}

func configure() []byte {
	return taskwire.AppendConfigure(nil, 1, &taskwire.Configuration{Type: model.TypeText, MaxResults: 10})
}

// TestFramesThatArrivedTogetherAreOneBatchAndOneWrite fixes the answer to a mixture of frames:
// refusals first, answers in order, and one confirmation for all.
func TestFramesThatArrivedTogetherAreOneBatchAndOneWrite(t *testing.T) {
	in := configure()
	in = sdktest.AppendInsert(in, 2, 1, sdktest.ID(1), 1, []byte("a"))
	in = sdktest.AppendInsert(in, 3, 2, sdktest.ID(2), 1, []byte("bad"))
	in = taskwire.AppendRemove(in, 4, 3, sdktest.ID(3))
	in = ask(in, 5, "a")
	in = ask(in, 6, "bad")
	in = sdktest.AppendInsert(in, 7, 4, sdktest.ID(4), 1, []byte("bad"))
	r := &recorder{}
	got, err := serve(r, in)
	if err != nil {
		t.Fatal(err)
	}
	want := append(taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Failed, Len: 1, Seq: 3}), byte(taskwire.FailInput))
	want = append(taskwire.AppendHeader(want, taskwire.Header{Type: taskwire.Found, Len: 33, Seq: 5}), 0)
	id := sdktest.ID(1)
	want = append(want, id[:]...)
	want = append(taskwire.AppendHeader(want, taskwire.Header{Type: taskwire.Failed, Len: 1, Seq: 6}), byte(taskwire.FailQuery))
	want = append(taskwire.AppendHeader(want, taskwire.Header{Type: taskwire.Failed, Len: 1, Seq: 7}), byte(taskwire.FailInput))
	want = taskwire.AppendHeader(want, taskwire.Header{Type: taskwire.Applied, Seq: 7})
	if !bytes.Equal(got, want) {
		t.Errorf("answered\n% x, want\n% x", got, want)
	}
	if len(r.batches) != 2 || r.batches[0] != 3 || r.batches[1] != 1 {
		t.Errorf("the index got batches of %v changes; want 3 and 1", r.batches)
	}
}

// ask appends a Search for at most 10 identities.
func ask(p []byte, seq uint64, predicate string) []byte {
	return taskwire.AppendSearch(p, seq, &taskwire.Query{Limit: 10, Predicate: []byte(predicate)})
}

// TestMalformedFramesEndTheTask with an error, not with a panic, and before memory is allocated
// for a forbidden length.
func TestMalformedFramesEndTheTask(t *testing.T) {
	header := func(f taskwire.Type, size int, seq uint64) []byte {
		return append(configure(), taskwire.AppendHeader(nil, taskwire.Header{Type: f, Len: size, Seq: seq})...)
	}
	frame := func(f taskwire.Type, payload []byte) []byte { return append(header(f, len(payload), 2), payload...) }
	search := func(limit uint32, count byte, rest int) []byte {
		p := binary.BigEndian.AppendUint32(nil, limit)
		p = append(p, 0, 0, 0, 0, 0, 0, 0, 0, count)
		return frame(taskwire.Search, append(p, make([]byte, rest)...))
	}
	within := func(ids ...identity.ID) []byte {
		return taskwire.AppendSearch(configure(), 2, &taskwire.Query{Limit: 1, Within: ids})
	}
	missing := within(sdktest.ID(1))
	const id = identity.Size
	for _, in := range [][]byte{search(1, 0, 4), search(1, 1, id+4), search(1, 8, 8*id+4+model.MaxSubQuery),
		within(sdktest.Candidates(taskwire.MaxWithin)...)} {
		if _, err := serve(&witness{}, in); err != nil {
			t.Errorf("a valid query ends the Task: %v", err)
		}
	}
	otherVersion, notBool := configure(), configure()
	otherVersion[2] = taskwire.Version - 1
	notBool[taskwire.HeaderSize+1] = 2
	for name, in := range map[string][]byte{
		"garbage":                  bytes.Repeat([]byte{0xff}, 100),
		"another version":          otherVersion,
		"no configuration first":   ask(nil, 1, ""),
		"a second configuration":   append(configure(), taskwire.AppendConfigure(nil, 2, &taskwire.Configuration{MaxResults: 1})...),
		"a number left out":        ask(configure(), 3, ""),
		"a number again":           ask(configure(), 1, ""),
		"a frame of the Task":      header(taskwire.Applied, 0, 2),
		"an unknown type":          header(99, 0, 2),
		"an input too long":        header(taskwire.Insert, 48+model.MaxObject+1, 2),
		"an insert too short":      frame(taskwire.Insert, make([]byte, 47)),
		"a removal too short":      frame(taskwire.Remove, make([]byte, 39)),
		"a removal with an input":  frame(taskwire.Remove, make([]byte, 41)),
		"a query too short":        frame(taskwire.Search, make([]byte, 16)),
		"a query too long":         header(taskwire.Search, 17+(8+taskwire.MaxWithin)*id+model.MaxSubQuery+1, 2),
		"a predicate too long":     search(1, 7, 7*id+4+model.MaxSubQuery+1),
		"a limit of 0":             search(0, 0, 4),
		"a count of 9":             search(1, 9, 9*id+4),
		"the highest count":        search(1, 255, 8*id+4),
		"a count of missing bytes": search(1, 2, 2*id-1),
		"no count of candidates":   search(1, 2, 2*id+3),
		"too many candidates":      within(sdktest.Candidates(taskwire.MaxWithin + 1)...),
		"a missing candidate":      append(missing[:len(missing)-id-1:len(missing)-id-1], 2),
		"candidates that descend":  within(sdktest.ID(2), sdktest.ID(1)),
		"a candidate twice":        within(sdktest.ID(1), sdktest.ID(1)),
		"an end in a header":       configure()[:10],
		"an end in a frame":        configure()[:20],
		"ordered neither 0 nor 1":  notBool,
		"a configuration too long": taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Configure, Len: 7 + model.MaxSubQuery, Seq: 1}),
	} {
		w := &witness{}
		if _, err := serve(w, in); err == nil {
			t.Errorf("%s: Serve returns no error", name)
		}
		if len(w.queries) > 0 {
			t.Errorf("%s: the index gets the query %+v", name, w.queries[0])
		}
	}
}

// FuzzServeChannel: no input makes a Task panic, and every answer can be decoded.
func FuzzServeChannel(f *testing.F) {
	f.Add(configure())
	f.Add(sdktest.AppendInsert(configure(), 2, 1, sdktest.ID(1), 1, []byte("x")))
	f.Add(ask(taskwire.AppendRemove(configure(), 2, 1, identity.ID{}), 3, ""))
	f.Add(taskwire.AppendSearch(configure(), 2, &taskwire.Query{Limit: 1, Owner: 1, After: make([]identity.ID, 2)}))
	f.Add(taskwire.AppendSearch(configure(), 2, &taskwire.Query{Limit: 1, Within: sdktest.Candidates(3)}))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, _ := serve(&recorder{}, in)
		for answers, buf := bytes.NewReader(out), make([]byte, taskwire.MaxAnswerFrame); answers.Len() > 0; {
			if _, err := taskwire.ReadAnswer(answers, buf); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzQuery: an index gets each query as the Core wrote it.
func FuzzQuery(f *testing.F) {
	f.Add(uint32(1), uint64(0), []byte(nil), []byte(nil))
	f.Add(uint32(1<<20), uint64(7), bytes.Repeat([]byte{3}, 2*identity.Size), []byte("= 1"))
	f.Fuzz(func(t *testing.T, limit uint32, owner uint64, after, predicate []byte) {
		q := taskwire.Query{Limit: max(1, limit), Owner: sdk.Owner(owner), Predicate: predicate}
		for id := range slices.Chunk(after[:min(len(after), model.MaxAfter*identity.Size)/identity.Size*identity.Size], identity.Size) {
			q.After = append(q.After, identity.ID(id))
		}
		w := &witness{}
		if _, err := serve(w, taskwire.AppendSearch(configure(), 2, &q)); err != nil {
			t.Fatal(err)
		}
		want := sdk.Query{Predicate: append([]byte{}, predicate...), Limit: int(q.Limit), Owner: q.Owner, After: q.After}
		if len(w.queries) != 1 || !reflect.DeepEqual(w.queries[0], want) {
			t.Fatalf("the index gets %+v, want %+v", w.queries, want)
		}
	})
}

// BenchmarkRoundTrip measures a single insert, to a Task and back.
func BenchmarkRoundTrip(b *testing.B) {
	c := sdktest.Start(b, &recorder{}, config)
	for b.Loop() {
		c.Insert(sdktest.ID(1), "input")
	}
}
