package sdk_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// numbered gives frames of the Core the numbers 1, 2, 3 and so on.
func numbered(frames []byte) []byte {
	for at, seq := 0, uint64(1); at < len(frames); seq++ {
		binary.BigEndian.PutUint64(frames[at+8:], seq)
		at += taskwire.HeaderSize + int(binary.BigEndian.Uint32(frames[at+4:]))
	}
	return frames
}

// TestGoldenFramesOfTheShelf sends the Core's golden frames of the shelf to an index that keeps
// its entries.
func TestGoldenFramesOfTheShelf(t *testing.T) {
	x := &kept{}
	out, err := serve(x, numbered(vectors(t, "configure", "stored", "runs", "list", "insert", "void", "save-anew", "save")))
	if err != nil {
		t.Fatal(err)
	}
	list := answers(t, out)
	if len(list) != 4 {
		t.Fatalf("%d answers, want 4: %+v", len(list), list)
	}
	if a := list[0]; a.Type != taskwire.Differ || !a.Covers(2) || !a.Bit(0) || a.Bit(1) {
		t.Errorf("the runs are answered with %+v; want that the first differs", a)
	}
	if a := list[1]; a.Type != taskwire.Lacks || !a.Covers(2) || !a.Bit(0) || !a.Bit(1) {
		t.Errorf("the list is answered with %+v; want that both identities are missing", a)
	}
	insert, void := pattern(0x20), pattern(0x60)
	if a := list[2]; a.Type != taskwire.Blob || a.Number != 8 || !bytes.Contains(a.Blob, insert[:]) || !bytes.Contains(a.Blob, void[:]) {
		t.Errorf("the first saving begins with %+v; want blob 8, with both identities", a)
	}
	if a := list[3]; a.Type != taskwire.Set || !a.Changed || len(a.Dropped) > 0 {
		t.Errorf("the first saving ends with %+v; want a changed set, and no number", a)
	}
	if len(x.held) != 1 {
		t.Errorf("the index holds %d entries, want the one of the insert", len(x.held))
	}
}

// TestUnknownBlobsAreDropped: a blob that the package can't read goes with the next saving.
func TestUnknownBlobsAreDropped(t *testing.T) {
	for name, x := range map[string]sdk.Index{"entries": &kept{}, "snapshot": &snapped{}} {
		out, err := serve(x, numbered(vectors(t, "configure", "stored", "save", "save")))
		list := answers(t, out)
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %v, %+v", name, err, list)
		}
		if a := list[0]; a.Type != taskwire.Set || !a.Changed || !slices.Equal(a.Dropped, []uint64{7}) {
			t.Errorf("%s: a saving is answered with %+v; want that blob 7 is dropped", name, a)
		}
		if a := list[1]; a.Type != taskwire.Set || a.Changed {
			t.Errorf("%s: the next saving is answered with %+v; want that nothing changes", name, a)
		}
	}
}

// TestAnIndexThatKeepsNothingHasAShelf: it answers all frames.
func TestAnIndexThatKeepsNothingHasAShelf(t *testing.T) {
	c := sdktest.Start(t, &plain{}, shelved(1<<20))
	c.InsertAll(0, slices.Repeat([]string{"a"}, 200))
	if written := c.Save(); written != 0 {
		t.Errorf("%d bytes are saved, want none", written)
	}
	c, fed := c.Restart(&plain{})
	if found, err := c.Search("", 1000); err != nil || len(found) != 200 || len(fed) != 200 {
		t.Errorf("%d objects are fed, and %d found (%v); want 200", len(fed), len(found), err)
	}
}

// TestWrongFramesOfTheShelfEndTheTask with an error, not with a panic.
func TestWrongFramesOfTheShelfEndTheTask(t *testing.T) {
	frame := func(f taskwire.Type, n int) []byte {
		return append(taskwire.AppendHeader(nil, taskwire.Header{Type: f, Len: n}), make([]byte, n)...)
	}
	runs := func(last ...byte) []byte {
		var list []taskwire.Run
		for _, b := range last {
			list = append(list, taskwire.Run{Last: identity.Value{b}})
		}
		return taskwire.AppendRuns(nil, 0, list)
	}
	list := func(ids ...sdk.Identity) []byte {
		return taskwire.AppendList(nil, 0, identity.Value{}, identity.Value{0xff}, ids)
	}
	with, without := vectors(t, "configure"), configure()
	for name, frames := range map[string][][]byte{
		"a blob without a shelf":      {without, vectors(t, "stored")},
		"a saving without a shelf":    {without, vectors(t, "save")},
		"a blob after a change":       {with, vectors(t, "insert"), vectors(t, "stored")},
		"a blob twice":                {with, vectors(t, "stored"), vectors(t, "stored")},
		"an empty blob":               {with, frame(taskwire.Stored, 8)},
		"a blob too long":             {with, frame(taskwire.Stored, 8+taskwire.MaxBlob+1)},
		"a saving too short":          {with, frame(taskwire.Save, 4)},
		"anew neither 0 nor 1":        {with, append(taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Save, Len: 5}), 0, 0, 0, 0, 2)},
		"no runs":                     {with, frame(taskwire.Runs, 0)},
		"half a run":                  {with, frame(taskwire.Runs, 18)},
		"too many runs":               {with, frame(taskwire.Runs, 36*(taskwire.MaxRuns+1))},
		"runs that do not ascend":     {with, runs(1, 1)},
		"runs before the earlier":     {with, runs(5), runs(4)},
		"runs after all runs":         {with, vectors(t, "runs"), vectors(t, "runs")},
		"runs after a query":          {with, vectors(t, "search"), vectors(t, "runs")},
		"a list after a query":        {with, vectors(t, "search"), vectors(t, "list")},
		"a list too short":            {with, frame(taskwire.List, 31)},
		"a list of half an identity":  {with, frame(taskwire.List, 32+16)},
		"too many identities":         {with, frame(taskwire.List, 32*(taskwire.MaxListed+2))},
		"a list that does not ascend": {with, list(pattern(2), pattern(1))},
		"an identity twice":           {with, list(pattern(2), pattern(2))},
		"a void too long":             {with, frame(taskwire.Void, 41)},
	} {
		if _, err := serve(&kept{}, numbered(slices.Concat(frames...))); err == nil {
			t.Errorf("%s: Serve returns no error", name)
		}
	}
}

// FuzzStored: whatever a blob holds, the index serves on, and can save anew.
func FuzzStored(f *testing.F) {
	c := sdktest.Start(f, &kept{}, shelved(1<<20))
	c.InsertAll(0, []string{"a", "b", "text"})
	c.Void(sdktest.ID(4))
	c.Save()
	c.Remove(sdktest.ID(1))
	c.Save()
	for _, blob := range c.Blobs() {
		f.Add(blob, false)
	}
	c = sdktest.Start(f, &snapped{}, shelved(1<<20))
	c.InsertAll(0, []string{"a", "b", "text"})
	c.Save()
	for _, blob := range c.Blobs() {
		f.Add(blob, true)
	}
	configuration := vectors(f, "configure")
	f.Fuzz(func(t *testing.T, blob []byte, snapshot bool) {
		if len(blob) == 0 || len(blob) > taskwire.MaxBlob {
			return
		}
		var x sdk.Index = &kept{}
		if snapshot {
			x = &snapped{}
		}
		in := slices.Clone(configuration)
		for number := range uint64(2) {
			in = append(taskwire.AppendStoredHead(in, 0, number+1, len(blob)), blob...)
		}
		in = sdktest.AppendInsert(in, 0, 1, sdktest.ID(1), 1, []byte("a"))
		for _, anew := range []bool{false, false, true, false} {
			in = taskwire.AppendSave(in, 0, taskwire.MaxBlob, anew)
		}
		in = ask(in, 0, "")
		out, err := serve(x, numbered(in))
		if err != nil {
			t.Fatal(err)
		}
		for answers, buf := bytes.NewReader(out), make([]byte, taskwire.MaxAnswerFrame); answers.Len() > 0; {
			if _, err := taskwire.ReadAnswer(answers, buf); err != nil {
				t.Fatal(err)
			}
		}
	})
}
