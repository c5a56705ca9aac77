package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"motte/client"
	"motte/core/model"
)

// loads returns the batches that an import would send.
func loads(t *testing.T, i *importer, text io.Reader) (list []*load, err error) {
	t.Helper()
	i.bar = (&app{quiet: true}).bar(-1, "")
	i.from = max(1, i.from)
	err = i.read(newLines(text, i.parsing.maxLine()), func(l *load) error {
		list = append(list, l)
		return nil
	})
	return list, err
}

// outcomes lists the numbers of the lines that would be stored, and of those refused.
func outcomes(list []*load) (stored, refused []int) {
	for _, l := range list {
		for _, it := range l.items {
			if it.err != nil {
				refused = append(refused, it.line)
			} else {
				stored = append(stored, it.line)
			}
		}
	}
	return stored, refused
}

func TestLinesFillBatches(t *testing.T) {
	var text bytes.Buffer
	for i := range 2*batchLines + 1 {
		fmt.Fprintf(&text, "{\"id\":%d}\n", i)
	}
	length := text.Len()
	list, err := loads(t, &importer{parsing: parsing{nameField: "id"}}, &text)
	if err != nil || len(list) != 3 {
		t.Fatalf("%d batches, %v; want 3", len(list), err)
	}
	read := int64(0)
	for i, l := range list {
		read += l.read
		if first := l.items[0].line; first != i*batchLines+1 || l.last != min((i+1)*batchLines, 2*batchLines+1) || len(l.items) != l.last-first+1 {
			t.Errorf("batch %d: lines %d to %d, %d items", i, first, l.last, len(l.items))
		}
	}
	if read != int64(length) {
		t.Errorf("%d bytes are accounted for; want %d", read, length)
	}
}

// TestBatchesKeepWithinTheLimit: the Core ends the connection of a client that sends a larger
// batch.
func TestBatchesKeepWithinTheLimit(t *testing.T) {
	line := func(n int) []byte { return append(append([]byte{'"'}, bytes.Repeat([]byte("x"), n-2)...), '"', '\n') }
	text := slices.Concat(line(100), line(model.MaxObject-200), line(model.MaxObject-opOverhead), line(model.MaxObject), line(100))
	list, err := loads(t, &importer{}, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	objects := 0
	for _, l := range list {
		objects += len(l.items)
		if len(l.items) == 1 { // sent by a PUT
			continue
		}
		var b client.Batch
		for _, it := range l.items {
			b.Put(it.data)
		}
		if b.Size() > model.MaxObject {
			t.Errorf("the lines up to %d make %d bytes", l.last, b.Size())
		}
	}
	if objects != 5 {
		t.Errorf("%d objects; want 5", objects)
	}
	_, err = loads(t, &importer{}, bytes.NewReader(line(model.MaxObject+1)))
	if !errors.Is(err, client.ErrTooLarge) || !strings.Contains(err.Error(), "line 1:") {
		t.Errorf("a line over the limit: %v", err)
	}
}

// endless is a reader of n zero bytes.
type endless struct{ n int64 }

func (e *endless) Read(p []byte) (int, error) {
	n := int(min(e.n, int64(len(p))))
	clear(p[:n])
	if e.n -= int64(n); n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// TestALongLineIsSkipped checks that a long line is skipped, and that the memory stays bounded
// by the longest allowed line.
func TestALongLineIsSkipped(t *testing.T) {
	text := io.MultiReader(strings.NewReader("1\n\""), &endless{n: 512 << 20}, strings.NewReader("\"\n3\n"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	list, err := loads(t, &importer{keepGoing: true}, text)
	runtime.ReadMemStats(&after)
	if err != nil {
		t.Fatal(err)
	}
	stored, refused := outcomes(list)
	if !slices.Equal(stored, []int{1, 3}) || !slices.Equal(refused, []int{2}) {
		t.Errorf("stored are lines %v, refused are %v; want 1 and 3, and 2", stored, refused)
	}
	if taken := after.TotalAlloc - before.TotalAlloc; taken > 128<<20 {
		t.Errorf("a line of 512 MiB takes %s of memory; want 128 MiB at most", size(taken))
	}
}

// TestLinesEndAsTextDoes: an object does not depend on the system that made the file.
func TestLinesEndAsTextDoes(t *testing.T) {
	for text, want := range map[string][]string{
		"":                               nil,
		"\n":                             nil,
		"1":                              {"1"},
		"1\n2":                           {"1", "2"},
		"1\r\n2\r\n":                     {"1", "2"},
		"\ufeff1\n2\n":                   {"1", "2"},
		"\ufeff":                         nil,
		"\n \t \r\n1\n\n":                {"1"},
		" [1, 2] \n":                     {" [1, 2] "},
		"{\"a\":1}\n{\"a\":\"\\u0000\"}": {`{"a":1}`, `{"a":"\u0000"}`},
	} {
		list, err := loads(t, &importer{}, strings.NewReader(text))
		var got []string
		for _, l := range list {
			for _, it := range l.items {
				got = append(got, string(it.data))
			}
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}

// TestInputsWithoutLinesAreNamed checks that an input that is not text is refused as a whole,
// with a remedy.
func TestInputsWithoutLinesAreNamed(t *testing.T) {
	for text, want := range map[string]string{
		"\x1f\x8b\x08\x00\x00\x00\x00": "gunzip -c", "BZh91AY": "bunzip2", "\x28\xb5\x2f\xfdxx": "zstd -dc", "\xfd7zXZ\x00": "xz -dc", "PK\x03\x04xx": "unzip",
		"a.jsonl" + strings.Repeat("\x00", 250) + "ustar\x0000": "tar -xO",
		"\xff\xfe{\x00": "UTF-16", "\xfe\xff\x00{": "UTF-16", "{\x00}\x00": "UTF-16",
	} {
		list, err := loads(t, &importer{keepGoing: true}, strings.NewReader(text))
		if len(list) > 0 || err == nil || !strings.HasPrefix(err.Error(), "the input is ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %d loads, %v; want an error about the input with %q", text, len(list), err, want)
		}
	}
}

// TestLinesThatAreNoJSONAreRefused checks that each line that is not JSON is refused with its
// number.
func TestLinesThatAreNoJSONAreRefused(t *testing.T) {
	for _, line := range []string{
		"{", "1 2", "\x00", "\u00a0", "\"\xe9\"", `"\ud800"`, `{"a":1,"a":2}`, `{"a":{"b":1,"b":1}}`, "\ufeff1", "NaN", "'a'", "1\x00",
	} {
		list, err := loads(t, &importer{keepGoing: true}, strings.NewReader("1\n"+line+"\n3\n"))
		stored, refused := outcomes(list)
		if err != nil || !slices.Equal(stored, []int{1, 3}) || !slices.Equal(refused, []int{2}) {
			t.Errorf("%q: stored are lines %v, refused %v, %v", line, stored, refused, err)
		}
		_, err = loads(t, &importer{}, strings.NewReader("1\n"+line+"\n3\n"))
		if err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%q: %v; want an error about line 2", line, err)
		}
	}
}

func TestLinesBeforeABrokenOneAreSent(t *testing.T) {
	list, err := loads(t, &importer{}, strings.NewReader("1\n2\n\n{\n5\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "line 4: not JSON") {
		t.Errorf("the error is %v; want an error about line 4", err)
	}
	if len(list) != 1 || len(list[0].items) != 2 || list[0].last != 3 {
		t.Errorf("%d loads; want one of 2 objects, up to line 3", len(list))
	}
}

func TestAnImportBeginsWithALine(t *testing.T) {
	list, err := loads(t, &importer{from: 3}, strings.NewReader("{\n2\n3\n4\n"))
	if stored, _ := outcomes(list); err != nil || !slices.Equal(stored, []int{3, 4}) {
		t.Errorf("lines %v, %v; want 3 and 4", stored, err)
	}
}

func TestNamesAreNotInFlightTwice(t *testing.T) {
	named := func(names ...string) *load {
		l := new(load)
		for _, n := range names {
			l.items = append(l.items, item{name: n})
		}
		return l
	}
	i := new(importer)
	first := named("a", "b", "b", "")
	if !i.claim(first) {
		t.Fatal("claim fails, though no name is in flight")
	}
	if i.claim(named("c", "b")) {
		t.Error("claim succeeds for b, which is in flight already")
	}
	if !i.claim(named("c", "")) {
		t.Error("a failed claim has claimed one of its names")
	}
	i.release(first)
	if !i.claim(named("a", "b")) {
		t.Error("a released name is still in flight")
	}
}

// TestNamesOfLines: two lines have one name only if their members have the same text, or the
// same number.
func TestNamesOfLines(t *testing.T) {
	long := strings.Repeat("n", model.MaxName)
	byID, wrapped := parsing{nameField: "id"}, parsing{envelope: true}
	for _, c := range []struct {
		parsing    parsing
		line       string
		name, data string
	}{
		{parsing{}, " {\"a\" : 1}", "", " {\"a\" : 1}"},
		{parsing{}, "  \t", "", ""},
		{byID, `{"id":"a\u0062"}`, "ab", `{"id":"a\u0062"}`},
		{byID, `{"id":-150}`, "-150", `{"id":-150}`},
		{byID, `{"id":0}`, "0", `{"id":0}`},
		{byID, `{"id":123456789012345678901234567890}`, "123456789012345678901234567890", `{"id":123456789012345678901234567890}`},
		{byID, `{"id":"\ud83d\ude00"}`, "\U0001f600", `{"id":"\ud83d\ude00"}`},
		{byID, `{"id":"a\u0000"}`, "a\x00", `{"id":"a\u0000"}`},
		{byID, `{"ID":"b","id":"a"}`, "a", `{"ID":"b","id":"a"}`},
		{byID, `{"id":"` + long + `"}`, long, `{"id":"` + long + `"}`},
		{parsing{nameField: "a/b~"}, `{"a/b~":"x"}`, "x", `{"a/b~":"x"}`},
		{wrapped, `{"id":"00","name":"a","base64":"AAE="}`, "a", "\x00\x01"},
		{wrapped, `{"name_base64":"/w==","base64":"AA=="}`, "\xff", "\x00"},
	} {
		name, _, data, err := c.parsing.line([]byte(c.line))
		if err != nil || name != c.name || string(data) != c.data {
			t.Errorf("%q: name %q, object %q, %v; want %q, %q", c.line, name, data, err, c.name, c.data)
		}
	}
	for _, c := range []struct {
		parsing parsing
		line    string
	}{
		{byID, `null`}, {byID, `["id"]`}, {byID, `"id"`}, {byID, `{"ID":"a"}`}, {parsing{nameField: "0"}, `["a"]`},
		{byID, `{"id":""}`}, {byID, `{"id":null}`}, {byID, `{"id":true}`}, {byID, `{"id":["a"]}`}, {byID, `{"id":{"id":"a"}}`}, {byID, `{"a":[{"id":"a"}]}`},
		{byID, `{"id":1.0}`}, {byID, `{"id":1.50}`}, {byID, `{"id":1e0}`}, {byID, `{"id":1e400}`}, {byID, `{"id":-0}`},
		{byID, `{"id":"\ud800"}`}, {byID, `{"id":"\udfff"}`}, {byID, "{\"id\":\"\xe9\"}"}, {byID, "{\"id\":\"\xff\"}"},
		{byID, `{"id":"a","id":"a"}`}, {byID, `{"id":"a","\u0069d":"b"}`},
		{byID, `{"id":"n` + long + `"}`},
		{wrapped, `{"name":"a"}`}, {wrapped, `{"base64":"?"}`}, {wrapped, `{"base64":null}`}, {wrapped, `{"base64":"AA==","base64":"AA=="}`},
		{wrapped, `{"Base64":"AA=="}`}, {wrapped, `{"name":"a","name_base64":"Yg==","base64":"AA=="}`}, {wrapped, `{"name":"a","object":1,"base64":"AA=="}`},
		{wrapped, `{"name":"\ud800","base64":"AA=="}`}, {wrapped, `{"nome":"a","base64":"AA=="}`}, {wrapped, `{"name":1,"base64":"AA=="}`},
	} {
		if name, _, data, err := c.parsing.line([]byte(c.line)); err == nil {
			t.Errorf("%q: name %q, object %q; want an error", c.line, name, data)
		}
	}
}

// TestAStringAndANumberDoNotShareAName: otherwise {"id":1} and {"id":"1"} would have one name,
// and one object would be lost.
func TestAStringAndANumberDoNotShareAName(t *testing.T) {
	for _, text := range []string{"{\"id\":1}\n{\"id\":\"1\"}\n{\"id\":2}\n", "{\"id\":\"a\"}\n{\"id\":5}\n{\"id\":\"5\"}\n"} {
		list, err := loads(t, &importer{keepGoing: true, parsing: parsing{nameField: "id"}}, strings.NewReader(text))
		stored, refused := outcomes(list)
		if err != nil || !slices.Equal(stored, []int{1, 3}) || !slices.Equal(refused, []int{2}) {
			t.Errorf("%q: stored are lines %v, refused %v, %v", text, stored, refused, err)
		}
	}
}

func TestEmptyObjectsStayObjects(t *testing.T) {
	_, _, data, err := parsing{envelope: true}.line([]byte(`{"base64":""}`))
	if err != nil || data == nil {
		t.Errorf("an empty object is %v, %v; want an object of 0 bytes", data, err)
	}
}

// TestAReadEndsWithItsContext also checks a pipe to which no process writes.
func TestAReadEndsWithItsContext(t *testing.T) {
	r, w := pipe(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errEnough)
	if n, err := (input{ctx, r}).Read(make([]byte, 1)); n != 0 || !errors.Is(err, errEnough) {
		t.Errorf("a read whose context has ended returns %d bytes, %v; want 0 and the context's error", n, err)
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := (input{t.Context(), r}).Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v; want 1", n, err)
	}
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}
