package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"motte/client"
	"motte/internal/testutil"
)

// cutReader calls cut before it returns the bytes after a given position.
type cutReader struct {
	text []byte
	at   int // bytes before the cut
	cut  func()
	ctx  context.Context
}

func (r *cutReader) Read(p []byte) (int, error) {
	if r.at <= 0 {
		r.cut()
	}
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), 4096)], r.text)
	r.text, r.at = r.text[n:], r.at-n
	return n, nil
}

// written is a line of the test's file.
type written struct {
	name   string
	broken bool
}

// objectOfLine is the content that a collection should have under a name.
type objectOfLine struct {
	ID   string `json:"id"`
	Line int    `json:"line"`
}

// TestImportsAreExact interrupts an import anywhere. The file repeats names, and some lines are
// refused. The collection must then be as if the lines had been stored in order, up to the line
// that the import reports, and no later line.
func TestImportsAreExact(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	s := testutil.Serve(t, "--dir", dir)
	s.Ready()
	profile, err := client.ReadProfile(filepath.Join(dir, "admin.profile"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(t.Context(), profile)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for round := range 12 {
		names := []int{3, 100, 100_000}[round%3]
		i := &importer{client: c, collection: fmt.Sprint("c", round), parsing: parsing{nameField: "id"},
			keepGoing: round%2 == 0, ifAbsent: round%4 == 0, bar: (&app{quiet: true}).bar(-1, ""), from: 1 + rng.IntN(10)}
		if err := c.CreateCollection(t.Context(), i.collection); err != nil {
			t.Fatal(err)
		}
		var told []string
		i.refused = func(err error) { told = append(told, err.Error()) }
		i.notIndexed = func(item) error { return nil }
		lines, text := file(rng, names, i.keepGoing)
		cut := rng.IntN(2 * len(text)) // half of the imports are not interrupted
		ctx, cancel := context.WithCancel(t.Context())
		err := i.run(ctx, func(ctx context.Context) io.Reader { return &cutReader{text: text, at: cut, cut: cancel, ctx: ctx} })
		cancel()
		if err != nil && !errors.Is(err, errInterrupted) || i.through > len(lines) || err == nil && i.through != len(lines) || i.failure != nil {
			t.Fatalf("round %d: %v, through line %d of %d, failure %v", round, err, i.through, len(lines), i.failure)
		}
		want, refused := expected(lines[:i.through], i)
		got := make(map[string]int)
		for o, err := range c.List(t.Context(), i.collection) {
			if err != nil {
				t.Fatal(err)
			}
			var x objectOfLine
			if err := json.Unmarshal(o.Data, &x); err != nil || x.ID != o.Name {
				t.Fatalf("round %d: %q has the name %q: %v", round, o.Data, o.Name, err)
			}
			got[o.Name] = x.Line
		}
		for name, line := range want {
			if got[name] != line {
				t.Fatalf("round %d, through line %d: %s is of line %d, want %d", round, i.through, name, got[name], line)
			}
		}
		if len(got) != len(want) || i.stored-i.replaced != len(want) || i.stored+i.leftOut > i.through {
			t.Errorf("round %d: %d objects, want %d; %d stored, %d replaced, %d left out of %d", round, len(got), len(want), i.stored, i.replaced, i.leftOut, i.through)
		}
		if !slices.EqualFunc(told, refused, func(told string, line int) bool { return strings.HasPrefix(told, fmt.Sprintf("line %d: ", line)) }) {
			t.Errorf("round %d: told %.200q of lines, want %v", round, told, refused)
		}
	}
	s.Stop()
}

// file makes a file of lines.
func file(rng *rand.Rand, names int, broken bool) (lines []written, text []byte) {
	var b bytes.Buffer
	for line := range 2000 + rng.IntN(3000) {
		w := written{name: fmt.Sprint("n", rng.IntN(names)), broken: broken && rng.IntN(300) == 0}
		lines = append(lines, w)
		fmt.Fprintf(&b, `{"id":%q,"line":%d`, w.name, line+1)
		if !w.broken {
			b.WriteByte('}')
		}
		b.WriteByte('\n')
	}
	return lines, b.Bytes()
}

// expected returns the line whose object each name should have, and the refused lines.
func expected(lines []written, i *importer) (want map[string]int, refused []int) {
	want = make(map[string]int)
	for k, w := range lines {
		_, used := want[w.name]
		switch {
		case k+1 < i.from:
		case w.broken || used && i.ifAbsent:
			refused = append(refused, k+1)
		default:
			want[w.name] = k + 1
		}
	}
	return want, refused
}
