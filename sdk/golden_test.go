package sdk_test

import (
	"bytes"
	"encoding/hex"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"motte/core/model"
	"motte/core/taskwire"
	"motte/internal/testutil"
	"motte/sdk"
)

// vectors joins golden frames of the Core.
func vectors(t testing.TB, names ...string) (frames []byte) {
	t.Helper()
	for _, name := range names {
		frames = append(frames, testutil.ReadGolden(t, filepath.Join("../core/taskwire/testdata", name+".hex"))...)
	}
	return frames
}

// witness is an index that records its calls, and answers as the test says.
type witness struct {
	config  sdk.Config
	changes []sdk.Change
	queries []sdk.Query

	refuse bool                                            // the first change of each batch
	search func(sdk.Query) (iter.Seq[sdk.Identity], error) // nil: nothing matches
}

func (w *witness) Configure(c sdk.Config) error {
	w.config = c
	return nil
}

func (w *witness) Apply(changes []sdk.Change) {
	for _, c := range changes {
		c.Input = bytes.Clone(c.Input)
		w.changes = append(w.changes, c)
	}
	if w.refuse {
		changes[0].Refuse()
	}
}

func (w *witness) Search(q sdk.Query) (iter.Seq[sdk.Identity], error) {
	recorded := q
	recorded.Predicate = bytes.Clone(q.Predicate)
	w.queries = append(w.queries, recorded)
	if w.search == nil {
		return nil, nil
	}
	return w.search(q)
}

// pattern is the identity of the golden frames whose first byte is first.
func pattern(first byte) (id sdk.Identity) {
	for i := range id {
		id[i] = first + byte(i)
	}
	return id
}

// TestGoldenConversation sends the Core's golden frames to an index. Its answers must be the
// Core's golden frames.
func TestGoldenConversation(t *testing.T) {
	said := vectors(t, "configure", "insert", "remove", "search", "search-after")
	w := &witness{search: func(q sdk.Query) (iter.Seq[sdk.Identity], error) {
		if len(q.After) == 0 {
			return slices.Values([]sdk.Identity{pattern(0x20)}), nil
		}
		return slices.Values([]sdk.Identity{pattern(0x20), pattern(0x40), pattern(0x60)}), nil
	}}
	got, err := serve(w, said)
	if want := vectors(t, "found", "found-more", "applied"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, answered\n%x, want\n%x", err, got, want)
	}
	wantConfig := sdk.Config{Type: model.TypeInt64, Ordered: true, MaxResults: 1000, Shelf: 1 << 30,
		Options: []byte(`{"path":"/age"}`)}
	wantChanges := []sdk.Change{
		{Identity: pattern(0x20), Owner: 0xc0c1c2c3c4c5c6c7, LSN: 41, Input: []byte(`{"age":36}`)},
		{Identity: pattern(0x60), LSN: 42, Remove: true},
	}
	wantQueries := []sdk.Query{
		{Predicate: []byte(">= 30 and < 40"), Limit: 10},
		{Predicate: []byte(">= 30 and < 40"), Limit: 2, Owner: 0xc0c1c2c3c4c5c6c7,
			After: []sdk.Identity{pattern(0x80), pattern(0xa0)}},
	}
	if !reflect.DeepEqual(w.config, wantConfig) {
		t.Errorf("the index is configured with\n%+v, want\n%+v", w.config, wantConfig)
	}
	if !reflect.DeepEqual(w.changes, wantChanges) {
		t.Errorf("the index gets the changes\n%+v, want\n%+v", w.changes, wantChanges)
	}
	if !reflect.DeepEqual(w.queries, wantQueries) {
		t.Errorf("the index gets the queries\n%+v, want\n%+v", w.queries, wantQueries)
	}
}

// TestGoldenCandidates sends an index the Core's golden Search among two candidates.
func TestGoldenCandidates(t *testing.T) {
	search := vectors(t, "search-within")
	taskwire.AppendHeader(search[:0], taskwire.Header{Type: taskwire.Search, Len: len(search) - taskwire.HeaderSize, Seq: 2})
	w := &witness{}
	_, err := serve(w, append(vectors(t, "configure"), search...))
	want := []sdk.Query{{Predicate: []byte(">= 30 and < 40"), Limit: 10, Within: []sdk.Identity{pattern(0x20), pattern(0x40)}}}
	if err != nil || !reflect.DeepEqual(w.queries, want) {
		t.Errorf("%v, the index gets the queries\n%+v, want\n%+v", err, w.queries, want)
	}
}

// TestGoldenRefusals is the conversation with an index that refuses all that it can.
func TestGoldenRefusals(t *testing.T) {
	said := vectors(t, "configure", "insert", "remove", "search", "search-after")
	got, err := serve(&witness{refuse: true}, said[:len(said)-len(vectors(t, "search-after"))])
	if want := vectors(t, "failed", "found-nothing", "applied"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, answered\n%x, want\n%x", err, got, want)
	}
	got, err = serve(&witness{search: func(q sdk.Query) (iter.Seq[sdk.Identity], error) {
		if len(q.After) == 0 {
			return nil, sdk.ErrTooExpensive
		}
		return nil, sdk.ErrGone
	}}, said)
	if want := vectors(t, "failed-expensive", "failed-gone", "applied"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v, answered\n%x, want\n%x", err, got, want)
	}
}

// TestDocumentedConversation sends an index the frames of the Core in docs/reference/task-protocol.md.
// Its answers must be the frames of the Task there.
func TestDocumentedConversation(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/task-protocol.md")
	testutil.Must(t, err)
	_, example, _ := strings.Cut(string(page), "## 8. An example")
	_, example, _ = strings.Cut(example, "```text\n")
	example, _, _ = strings.Cut(example, "```")

	var turns []io.Reader // each has the frames that the Core sends at once
	var want []byte
	for part := range strings.SplitSeq(example, "Core → Task\n") {
		core, task, _ := strings.Cut(part, "Task → Core\n")
		if frames := documented(core); len(frames) > 0 {
			turns = append(turns, bytes.NewReader(frames))
		}
		want = append(want, documented(task)...)
	}
	w := &witness{}
	w.search = func(q sdk.Query) (iter.Seq[sdk.Identity], error) {
		return sdk.After(slices.Values([]sdk.Identity{w.changes[0].Identity}), q.After)
	}
	c := &channel{Reader: io.MultiReader(turns...)}
	if err := sdk.ServeChannel(c, w); err != nil || len(turns) != 2 || !bytes.Equal(c.Bytes(), want) {
		t.Errorf("%v, %d turns, answered\n%x, want\n%x", err, len(turns), c.Bytes(), want)
	}
	if len(w.queries) != 2 || w.queries[1].Owner != w.changes[0].Owner {
		t.Errorf("the index gets the queries %+v; want two, the second with the owner of the object", w.queries)
	}
}

// documented returns the bytes of the frames in a text. The hexadecimal fields of a line come
// before its comment. A row of bytes that ascend is shortened with an ellipsis.
func documented(text string) (frames []byte) {
	rows := strings.NewReplacer(
		"1011…1f", "101112131415161718191a1b1c1d1e1f",
		"a0a1…af", "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
		"c0c1…c7", "c0c1c2c3c4c5c6c7")
	for line := range strings.Lines(text) {
		for field := range strings.FieldsSeq(rows.Replace(line)) {
			p, err := hex.DecodeString(field)
			if err != nil {
				break // the comment
			}
			frames = append(frames, p...)
		}
	}
	return frames
}
