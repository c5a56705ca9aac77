package main

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"motte/client"
	"motte/core/wire"
)

// loads returns what an import would send.
func loads(t *testing.T, p parsing, text []byte) (list []*load, err error) {
	t.Helper()
	i := &importer{parsing: p}
	err = i.read(bytes.NewReader(text), func(l *load) error {
		list = append(list, l)
		return nil
	})
	return list, err
}

func TestLinesFillBatches(t *testing.T) {
	var text bytes.Buffer
	for i := range 2*batchLines + 1 {
		fmt.Fprintf(&text, "{\"id\":%d}\n", i)
	}
	list, err := loads(t, parsing{nameField: "id"}, text.Bytes())
	if err != nil || len(list) != 3 {
		t.Fatalf("%d batches, %v; want 3", len(list), err)
	}
	read := int64(0)
	for i, l := range list {
		read += l.read
		if l.first != i*batchLines+1 || l.last != min((i+1)*batchLines, 2*batchLines+1) || l.batch.Len() != l.last-l.first+1 || len(l.names) != l.batch.Len() {
			t.Errorf("batch %d: lines %d to %d, %d operations, %d names", i, l.first, l.last, l.batch.Len(), len(l.names))
		}
	}
	if read != int64(text.Len()) {
		t.Errorf("%d bytes are accounted for; want %d", read, text.Len())
	}
}

// TestBatchesKeepWithinTheLimit: the Core ends the connection of who sends more.
func TestBatchesKeepWithinTheLimit(t *testing.T) {
	line := func(n int) []byte { return append(append([]byte{'"'}, bytes.Repeat([]byte("x"), n-2)...), '"', '\n') }
	text := slices.Concat(line(100), line(wire.MaxObject-200), line(wire.MaxObject-opOverhead), line(wire.MaxObject), line(100))
	list, err := loads(t, parsing{}, text)
	if err != nil {
		t.Fatal(err)
	}
	objects := 0
	for _, l := range list {
		objects += l.batch.Len()
		if l.alone != nil {
			objects++
		}
		if l.batch.Size() > wire.MaxObject || len(l.alone) > wire.MaxObject {
			t.Errorf("lines %d to %d make %d and %d bytes", l.first, l.last, l.batch.Size(), len(l.alone))
		}
	}
	if objects != 5 {
		t.Errorf("%d objects; want 5", objects)
	}
	_, err = loads(t, parsing{}, line(wire.MaxObject+1))
	if !errors.Is(err, client.ErrTooLarge) || !strings.Contains(err.Error(), "line 1:") {
		t.Errorf("a line over the limit: %v", err)
	}
}

func TestLinesBeforeABrokenOneAreSent(t *testing.T) {
	list, err := loads(t, parsing{}, []byte("1\n2\n\n{\n5\n"))
	if err == nil || !strings.HasPrefix(err.Error(), "line 4: not JSON") {
		t.Errorf("the error is %v; want one about line 4", err)
	}
	if len(list) != 1 || list[0].batch.Len() != 2 {
		t.Errorf("%d batches; want one of 2 objects", len(list))
	}
}

func TestNamesAreNotInFlightTwice(t *testing.T) {
	i := &importer{bar: (&app{quiet: true}).bar(-1, "")}
	first, second := &load{names: []string{"a", "b", "b"}}, &load{names: []string{"c", "b"}}
	if !i.claim(first) {
		t.Fatal("nothing is in flight, and yet there is a clash")
	}
	if i.claim(second) {
		t.Error("b is in flight twice")
	}
	if !i.claim(&load{names: []string{"c"}}) {
		t.Error("what was not claimed whole was claimed in part")
	}
	i.release(first)
	if !i.claim(&load{names: []string{"a", "b"}}) {
		t.Error("what was released is still in flight")
	}
}

func TestLinesAreTakenAsTheyAre(t *testing.T) {
	long := strings.Repeat("n", wire.MaxName)
	for _, c := range []struct {
		parsing    parsing
		line       string
		name, data string
	}{
		{parsing{}, " {\"a\" : 1}\r", "", " {\"a\" : 1}\r"},
		{parsing{}, "  \t", "", ""},
		{parsing{nameField: "id"}, `{"id":"a\u0062"}`, "ab", `{"id":"a\u0062"}`},
		{parsing{nameField: "id"}, `{"id":-1.50}`, "-1.50", `{"id":-1.50}`},
		{parsing{nameField: "id"}, `{"id":"` + long + `"}`, long, `{"id":"` + long + `"}`},
		{parsing{envelope: true}, `{"id":"00","name":"a","base64":"AAE="}`, "a", "\x00\x01"},
		{parsing{envelope: true}, `{"name_base64":"/w==","base64":"AA=="}`, "\xff", "\x00"},
	} {
		name, data, err := c.parsing.line([]byte(c.line))
		if err != nil || name != c.name || string(data) != c.data {
			t.Errorf("%q: name %q, object %q, %v; want %q, %q", c.line, name, data, err, c.name, c.data)
		}
	}
	for _, c := range []struct {
		parsing parsing
		line    string
	}{
		{parsing{}, "{"},
		{parsing{}, "1 2"},
		{parsing{nameField: "id"}, `null`},
		{parsing{nameField: "id"}, `{"id":""}`},
		{parsing{nameField: "id"}, `{"id":null}`},
		{parsing{nameField: "id"}, `{"id":"n` + long + `"}`},
		{parsing{envelope: true}, `{"name":"a"}`},
		{parsing{envelope: true}, `{"base64":"?"}`},
	} {
		if name, data, err := c.parsing.line([]byte(c.line)); err == nil {
			t.Errorf("%q: name %q, object %q; want an error", c.line, name, data)
		}
	}
}

func TestEmptyObjectsStayObjects(t *testing.T) {
	_, data, err := parsing{envelope: true}.line([]byte(`{"base64":""}`))
	if err != nil || data == nil {
		t.Errorf("an empty object is %v, %v; want one of no bytes", data, err)
	}
}
