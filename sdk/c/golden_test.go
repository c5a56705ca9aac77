package c

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/internal/testutil"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// vectors joins golden frames of the Core, and numbers those to a Task from 1.
func vectors(t *testing.T, names ...string) (frames []byte) {
	t.Helper()
	for _, name := range names {
		frames = append(frames, testutil.ReadGolden(t, filepath.Join("../../core/taskwire/testdata", name+".hex"))...)
	}
	return frames
}

// numbered gives frames the numbers from first on.
func numbered(frames []byte, first uint64) []byte {
	frames = bytes.Clone(frames)
	for rest := frames; len(rest) > 0; first++ {
		h, err := taskwire.DecodeHeader(rest[:taskwire.HeaderSize])
		if err != nil {
			panic(err)
		}
		taskwire.AppendHeader(rest[:0], taskwire.Header{Type: h.Type, Len: h.Len, Seq: first})
		rest = rest[taskwire.HeaderSize+h.Len:]
	}
	return frames
}

// pattern is the identity of the golden frames whose first byte is first.
func pattern(first byte) (id identity.ID) {
	for i := range id {
		id[i] = first + byte(i)
	}
	return id
}

// TestGoldenConversation sends the Core's golden frames to a Task in C++. Its answers must be the
// Core's golden frames, however the frames are cut.
func TestGoldenConversation(t *testing.T) {
	task := build(t, "motte-task-bare")
	said := vectors(t, "configure", "insert", "remove", "search", "search-after")
	want := append(vectors(t, "found"), vectors(t, "failed-gone", "applied")...)
	for _, part := range []int{1, 7, 16, 1000} {
		got, stderr, err := converse(t, task, said, part)
		if err != nil {
			t.Fatalf("parts of %d: %v\n%s", part, err, stderr)
		}
		if part == 1000 && !bytes.Equal(got, want) {
			t.Errorf("answered\n%x, want\n%x", got, want)
		}
		if answers := read(t, got); part != 1000 && last(answers, taskwire.Applied).Seq != 3 {
			t.Errorf("parts of %d: answered %+v, want a confirmation of 3", part, answers)
		}
	}
}

// read decodes all frames of a Task.
func read(t *testing.T, frames []byte) (answers []taskwire.Answer) {
	t.Helper()
	in, buf := bytes.NewReader(frames), make([]byte, taskwire.MaxAnswerFrame)
	for in.Len() > 0 {
		a, err := taskwire.ReadAnswer(in, buf)
		if err != nil {
			t.Fatalf("%x: %v", frames, err)
		}
		answers = append(answers, a)
	}
	return answers
}

// last returns the last answer of a type.
func last(answers []taskwire.Answer, kind taskwire.Type) (found taskwire.Answer) {
	for _, a := range answers {
		if a.Type == kind {
			found = a
		}
	}
	return found
}

// TestGoldenFramesOfTheShelf sends a Task without save and load the Core's golden frames of the
// shelf. It must hold nothing of the shelf, and lack all that it was not given since.
func TestGoldenFramesOfTheShelf(t *testing.T) {
	task := build(t, "motte-task-bare")
	said := vectors(t, "configure", "stored", "runs", "list", "insert", "void", "search", "save", "save-anew")
	got, stderr, err := converse(t, task, numbered(said, 1), 1000)
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr)
	}
	answers := read(t, got)
	kinds := map[taskwire.Type]int{}
	for _, a := range answers {
		kinds[a.Type]++
	}
	if differ := last(answers, taskwire.Differ); !differ.Covers(2) || !differ.Bit(0) || differ.Bit(1) {
		t.Errorf("%+v: the first run must differ, and the second must not", differ)
	}
	if lacks := last(answers, taskwire.Lacks); !lacks.Covers(2) || !lacks.Bit(0) || !lacks.Bit(1) {
		t.Errorf("%+v: the Task must lack both identities", lacks)
	}
	if set := last(answers, taskwire.Set); set.Changed || len(set.Dropped) > 0 || kinds[taskwire.Set] != 2 {
		t.Errorf("%d answers to two Saves, the last is %+v; want no change", kinds[taskwire.Set], set)
	}
	if found := last(answers, taskwire.Found); len(found.Found) != 1 || found.Found[0] != pattern(0x20) {
		t.Errorf("%+v: want the object that was inserted, and not the void one", found)
	}
	if applied := last(answers, taskwire.Applied); applied.Seq != 6 {
		t.Errorf("%+v: want a confirmation of 6", applied)
	}
}

// TestRefusals lets a Task refuse all that it can.
func TestRefusals(t *testing.T) {
	c := startCore(t, "motte-task-bare", taskwire.Configuration{MaxResults: 10})
	if c.put(sdktest.ID(1), 1, "no") || !c.put(sdktest.ID(2), 1, "yes") {
		t.Error("the Task must refuse the first input, and accept the second")
	}
	for predicate, want := range map[string]error{"no": sdktest.ErrQueryRefused, "expensive": sdktest.ErrTooExpensive} {
		if _, _, err := c.ask(taskwire.Query{Limit: 1, Predicate: []byte(predicate)}); err != want {
			t.Errorf("%q: %v, want %v", predicate, err, want)
		}
	}
	if c.put(sdktest.Version(2, 1), 1, "no") {
		t.Error("the Task accepts a refused input in place of another")
	}
	if found, more, err := c.ask(taskwire.Query{Limit: 1}); len(found) > 0 || more || err != nil {
		t.Errorf("%x, %v, %v: a refused input must be found no more", found, more, err)
	}
	c.end()

	said := taskwire.AppendConfigure(nil, 1, &taskwire.Configuration{MaxResults: 1, Config: []byte("no")})
	said = taskwire.AppendSearch(said, 2, &taskwire.Query{Limit: 1})
	got, stderr, err := converse(t, c.path, said, len(said))
	answers := read(t, got)
	if err != nil || len(answers) != 1 || answers[0].Failure != taskwire.FailConfiguration || answers[0].Seq != 1 {
		t.Errorf("%v, %+v, want the refusal of the configuration alone\n%s", err, answers, stderr)
	}
}

// TestTheKitHasTheNumbersOfTheCore compiles assertions, as C11 and as C++17.
func TestTheKitHasTheNumbersOfTheCore(t *testing.T) {
	source := "#include <assert.h>\n#include \"motte.h\"\n"
	for name, number := range map[string]int{
		"MOTTE_ANY": int(model.TypeAny), "MOTTE_BYTES": int(model.TypeBytes), "MOTTE_TEXT": int(model.TypeText),
		"MOTTE_INT64": int(model.TypeInt64), "MOTTE_FLOAT64": int(model.TypeFloat64), "MOTTE_STRING": int(model.TypeString),
		"MOTTE_TIME": int(model.TypeTime), "MOTTE_VALUE": identity.ValueSize, "MOTTE_ID": identity.Size,
		"MOTTE_MAX_AFTER": model.MaxAfter, "MOTTE_MAX_PREDICATE": model.MaxSubQuery, "MOTTE_MAX_INPUT": model.MaxObject,
		"MOTTE_MAX_BLOB": taskwire.MaxBlob, "MTK_CHUNK": taskwire.MaxChunk, "MTK_DROPPED": taskwire.MaxDropped,
		"MTK_HEADER": taskwire.HeaderSize,
	} {
		source += fmt.Sprintf("static_assert(%s == %d, \"\");\n", name, number)
	}
	for compilerName, args := range map[string][]string{"gcc": {"-std=c11", "-xc"}, "g++": {"-std=c++17", "-xc++"}} {
		compiler(t, compilerName)
		c := exec.Command(compilerName, append(append(args, warnings...), "-fsyntax-only", "-I.", "-")...)
		c.Stdin = strings.NewReader(source)
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// TestATaskStartedByHandSaysWhatItIs starts a Task without a channel.
func TestATaskStartedByHandSaysWhatItIs(t *testing.T) {
	out, err := exec.Command(build(t, "motte-task-bare")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "a Motte server starts it") {
		t.Errorf("%v, %q", err, out)
	}
}

// TestOnlyCandidatesAreNamed asks Tasks that ignore the candidates: one that has an order and finds
// its pages, and one that leaves both to the kit. The kit names the candidates that match.
func TestOnlyCandidatesAreNamed(t *testing.T) {
	for _, task := range []string{"motte-task-bare", checked} {
		c := startCore(t, task, taskwire.Configuration{Ordered: true, MaxResults: 100})
		for i := range 50 {
			c.put(sdktest.ID(i), sdk.Owner(1+i%3), "x")
		}
		predicate := []byte("x")
		all := c.matching("x", 0)
		absent := sdktest.ID(1000)
		for _, tc := range []struct {
			name   string
			query  taskwire.Query
			within []identity.ID
			want   []identity.ID
			more   bool
		}{
			{"a few", taskwire.Query{Limit: 10}, []identity.ID{all[3], all[17], all[40], absent}, []identity.ID{all[3], all[17], all[40]}, false},
			{"the limit", taskwire.Query{Limit: 2}, []identity.ID{all[3], all[17]}, []identity.ID{all[3], all[17]}, false},
			{"more than the limit", taskwire.Query{Limit: 1}, []identity.ID{all[3], all[17]}, all[3:4], true},
			{"none that is held", taskwire.Query{Limit: 10}, []identity.ID{absent, sdktest.Version(1, 1)}, nil, false},
			{"all", taskwire.Query{Limit: 50}, all, all, false},
			{"a page after a candidate", taskwire.Query{Limit: 5, After: all[17:18]}, []identity.ID{all[3], all[17], all[40]}, all[40:41], false},
			{"a page after another object", taskwire.Query{Limit: 5, After: []identity.ID{absent, all[10], all[3]}},
				[]identity.ID{all[3], all[17], all[40]}, []identity.ID{all[17], all[40]}, false},
			{"a page after the last", taskwire.Query{Limit: 5, After: all[49:]}, all, nil, false},
			{"those of an owner", taskwire.Query{Limit: 50, Owner: 2}, all[:20], owned(all[:20], c, 2), false},
		} {
			q := tc.query
			q.Predicate, q.Within = predicate, slices.Clone(tc.within)
			slices.SortFunc(q.Within, identity.ID.Compare)
			if found, more, err := c.ask(q); err != nil || more != tc.more || !slices.Equal(found, tc.want) {
				t.Errorf("%s, %s: %d found, more is %v, %v; want %d, %v", task, tc.name, len(found), more, err, len(tc.want), tc.more)
			}
		}
		if found, _, err := c.ask(taskwire.Query{Limit: 100, Predicate: predicate}); err != nil || !slices.Equal(found, all) {
			t.Errorf("%s: without candidates again: %d found, %v", task, len(found), err)
		}
		c.end()
	}
}

// owned returns the identities of one owner's objects.
func owned(ids []identity.ID, c *core, owner sdk.Owner) (list []identity.ID) {
	for _, id := range ids {
		if c.objects[id.Value()].owner == owner {
			list = append(list, id)
		}
	}
	return list
}

// TestPagesThatBeginInTheMiddle asks a Task for pages that it finds itself, of all objects and of one
// owner's, while objects before the page are removed.
func TestPagesThatBeginInTheMiddle(t *testing.T) {
	c := startCore(t, "motte-task-bare", taskwire.Configuration{Ordered: true, MaxResults: 10})
	for i := range 50 {
		c.put(sdktest.ID(i), sdk.Owner(1+i%3), "")
	}
	for owner := range sdk.Owner(4) {
		want := c.matching("", owner)
		for limit := range uint32(10) {
			if got := c.pages(taskwire.Query{Limit: 1 + limit, Owner: owner}); !slices.Equal(got, want) {
				t.Errorf("pages of %d for owner %d have %d objects, want %d", 1+limit, owner, len(got), len(want))
			}
		}
	}
	all := c.matching("", 0)
	q := taskwire.Query{Limit: 5, After: sdktest.Next(all[:10])} // 10 objects were shown, q names 8 of them
	for i := 9; i >= 2; i-- {
		if page, _, err := c.ask(q); err != nil || !slices.Equal(page, all[10:15]) {
			t.Errorf("the page after %d objects, whose last %d were removed: %x, %v", i+1, 9-i, page, err)
		}
		c.remove(all[i])
	}
	if _, _, err := c.ask(q); err != sdktest.ErrGone {
		t.Errorf("after the removal of all 8: %v, want gone", err)
	}
}
