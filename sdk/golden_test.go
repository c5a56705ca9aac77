package sdk_test

import (
	"bytes"
	"path/filepath"
	"reflect"
	"testing"

	"motte/core/model"
	"motte/internal/testutil"
	"motte/sdk"
)

// vectors joins golden frames of the Core.
func vectors(t *testing.T, names ...string) (frames []byte) {
	t.Helper()
	for _, name := range names {
		frames = append(frames, testutil.ReadGolden(t, filepath.Join("../core/taskwire/testdata", name+".hex"))...)
	}
	return frames
}

// witness is an index that finds one identity, and records its calls.
type witness struct {
	config    sdk.Config
	changes   []sdk.Change
	predicate string
	limit     int
	refuse    bool
}

func (w *witness) Configure(c sdk.Config) error {
	w.config = c
	return nil
}

func (w *witness) Apply(changes []sdk.Change) {
	for _, c := range changes {
		c.Input = append([]byte{}, c.Input...)
		w.changes = append(w.changes, c)
	}
	if w.refuse {
		changes[0].Refuse()
	}
}

func (w *witness) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	q.Predicate = bytes.Clone(q.Predicate)
	w.query = q
	if w.refuse {
		return slices.Values([]sdk.Identity(nil)), nil
	}
	return slices.Values([]sdk.Identity{w.changes[0].Identity}), nil
}

// TestGoldenConversation sends the Core's golden frames to an index. Its answers must be the
// Core's golden frames.
func TestGoldenConversation(t *testing.T) {
	said := vectors(t, "configure", "insert", "remove", "search")
	w := &witness{}
	got, err := serve(w, said)
	if want := vectors(t, "found", "applied"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, answered\n%x, want\n%x", err, got, want)
	}
	pattern := func(first byte) (id sdk.Identity) {
		for i := range id {
			id[i] = first + byte(i)
		}
		return id
	}
	want := &witness{
		config: sdk.Config{Type: model.TypeInt64, Ordered: true, MaxResults: 1000, Options: []byte(`{"path":"/age"}`)},
		changes: []sdk.Change{
			{Identity: pattern(0x20), LSN: 41, Input: []byte(`{"age":36}`)},
			{Identity: pattern(0x60), LSN: 42, Remove: true, Input: []byte{}},
		},
		predicate: ">= 30 and < 40",
		limit:     10,
	}
	if !reflect.DeepEqual(w, want) {
		t.Errorf("the index received\n%+v, want\n%+v", w, want)
	}
	got, err = serve(&witness{refuse: true}, said)
	if want := vectors(t, "failed", "found-nothing", "applied"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the end of the conversation: %v, and the answers are\n%x, want\n%x", err, got, want)
	}
}
