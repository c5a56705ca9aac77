package main

import (
	"bytes"
	"fmt"
	"syscall"
	"testing"
	"time"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// TestTextsSurviveARestart: of all fields, with their owners. Objects without a text are not fed
// again, nor those that were refused.
func TestTextsSurviveARestart(t *testing.T) {
	config := sdk.Config{Type: model.TypeText, Ordered: true, MaxResults: 1000, Shelf: 1 << 24,
		Options: []byte(`{"fields":["/title","/body"]}`)}
	core := sdktest.Start(t, &index{}, config)
	for n, input := range []string{
		`{"title":"the motte","body":["holds", "all winter"]}`,
		`{"title":"the bailey","body":"may fall"}`,
		`{"title":"fall"}`,
		`{"title":""}`,
		`{}`,
		`{"title":1}`,
	} {
		core.InsertOf(sdk.Owner(1+n%2), sdktest.ID(n), input)
	}
	core.Save()
	core.Insert(sdktest.Version(2, 1), `{"title":"autumn"}`)
	core.Save()
	core.Remove(sdktest.ID(1))
	core, fed := core.Restart(&index{})
	if len(fed) > 0 {
		t.Errorf("%d objects are fed, want none", len(fed))
	}
	for predicate, want := range map[string]sdk.Identity{
		`"all winter"`: sdktest.ID(0), `title:motte`: sdktest.ID(0), `autumn`: sdktest.Version(2, 1),
	} {
		if found, err := core.Search(predicate, 10); err != nil || len(found) != 1 || found[0] != want {
			t.Errorf("%s finds %x (%v), want %x", predicate, found, err, want)
		}
	}
	for _, predicate := range []string{"fall", `"holds winter"`, "body:motte"} {
		if found, err := core.Search(predicate, 10); err != nil || len(found) > 0 {
			t.Errorf("%s finds %x (%v), want no object", predicate, found, err)
		}
	}
	found, _, err := core.Ask(sdk.Query{Owner: 2, Limit: 10})
	if err != nil || len(found) != 1 || found[0] != sdktest.ID(3) {
		t.Errorf("the second owner has %x (%v), want the object with the empty title", found, err)
	}
}

// FuzzRestore: any data are refused, or give an entry that Entry returns again.
func FuzzRestore(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 4, 'f', 'o', 'x', 0})
	f.Add([]byte{2, 4, 'f', 'o', 'x', 0, 1, 3, 'a', 'b'})
	f.Add(bytes.Repeat([]byte{0xff}, 20))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := &index{}
		if err := x.Configure(sdk.Config{Type: model.TypeText, Options: []byte(`{"fields":["/a","/b"]}`)}); err != nil {
			t.Fatal(err)
		}
		x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Owner: 1, Input: []byte(`{"a":"fox"}`)}})
		restored := x.Restore(sdk.Entry{Identity: sdktest.Version(1, 1), Owner: 2, Data: data})
		x.Restored()
		e, ok := x.Entry(sdktest.ID(1).Value())
		if ok != restored || ok && (e.Identity != sdktest.Version(1, 1) || e.Owner != 2) {
			t.Fatalf("restored: %v; then the entry is %+v, %v", restored, e, ok)
		}
		found, _, err := sdktest.Page(x, sdk.Query{Limit: 2})
		if err != nil || (len(found) == 1) != restored {
			t.Fatalf("%d objects are found: %v", len(found), err)
		}
	})
}

// BenchmarkRestore measures the processor time of a text of 60 words at a start with a shelf, and of
// its insertion. It also prints how many bytes the text takes on the shelf for
// each of its own.
func BenchmarkRestore(b *testing.B) {
	const count = 20_000
	x := &index{}
	if err := x.Configure(sdk.Config{Type: model.TypeText}); err != nil {
		b.Fatal(err)
	}
	var entries []sdk.Entry
	size, texts := 0, 0
	const batch = 20 // as many as a build brings at once, about
	var inputs []sdk.Change
	began := processorTime(b)
	for n := range count {
		var text []byte
		for w := range 60 {
			text = fmt.Appendf(text, "w%d ", n*w%2003)
		}
		inputs = append(inputs, sdk.Change{Identity: sdktest.ID(n), Owner: 1, Input: text})
		if len(inputs) == batch {
			x.Apply(inputs)
			inputs = inputs[:0]
		}
		texts += len(text)
	}
	inserted := processorTime(b) - began
	began = processorTime(b)
	for n := range count {
		e, _ := x.Entry(sdktest.ID(n).Value())
		e.Data = bytes.Clone(e.Data)
		entries, size = append(entries, e), size+len(e.Data)
	}
	saved := processorTime(b) - began
	began = processorTime(b)
	for b.Loop() {
		next := &index{}
		if err := next.Configure(sdk.Config{Type: model.TypeText}); err != nil {
			b.Fatal(err)
		}
		for _, e := range entries {
			next.Restore(e)
		}
		next.Restored()
	}
	restored := (processorTime(b) - began) / time.Duration(b.N)
	b.ReportMetric(float64(inserted.Microseconds())/count, "cpu-µs/insert")
	b.ReportMetric(float64(saved.Microseconds())/count, "cpu-µs/entry")
	b.ReportMetric(float64(restored.Microseconds())/count, "cpu-µs/restore")
	b.ReportMetric(float64(size)/float64(texts), "B/text-B")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
