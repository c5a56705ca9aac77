package pointer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"motte/sdk/ijson"
)

// The document and pointers of RFC 6901, section 5.
const rfcText = `{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}`

func TestPointersOfTheRFC(t *testing.T) {
	for pointer, want := range map[string]string{
		"": rfcText, "/foo": `["bar","baz"]`, "/foo/0": `"bar"`, "/": "0", "/a~1b": "1", "/c%d": "2",
		"/e^f": "3", "/g|h": "4", `/i\j`: "5", `/k"l`: "6", "/ ": "7", "/m~0n": "8",
	} {
		p, err := Parse(pointer)
		if err != nil {
			t.Errorf("%q: %v", pointer, err)
			continue
		}
		if got, ok, err := p.Find([]byte(rfcText)); err != nil || !ok || string(got) != want {
			t.Errorf("%q points to %q (%v, %v), want %q", pointer, got, ok, err, want)
		}
	}
}

func TestFind(t *testing.T) {
	for _, c := range []struct{ pointer, text, want string }{
		{"/a/b", " { \"x\" : [ { } , [ 1 ] ] , \"a\" : { \"b\" : -1.50e3 } } ", "-1.50e3"},
		{"/a", `{"b":"}]\"","a":9223372036854775807}`, "9223372036854775807"},
		{"/é", `{"\u00e9":true}`, "true"},
		{"/a/1", `{"a":[ 1 , {"x":[2]} ]}`, `{"x":[2]}`},
		{"/a/10", `{"a":[0,1,2,3,4,5,6,7,8,9,10]}`, "10"},
		{"/a", `{"a":null}`, "null"},
		{"/~01", `{"~1":1}`, "1"},
		{"", " 7 ", "7"},
	} {
		p, err := Parse(c.pointer)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok, err := p.Find([]byte(c.text)); err != nil || !ok || string(got) != c.want {
			t.Errorf("%q in %q: %q (%v, %v), want %q", c.pointer, c.text, got, ok, err, c.want)
		}
	}
}

func TestNothingFound(t *testing.T) {
	for _, c := range []struct{ pointer, text string }{
		{"/a", ``}, {"/a", `{"a":1`}, {"/a", `{"a":1}x`}, {"/a", "\xff"}, {"/a", `[]`}, {"/a", `1`}, {"/a", `{}`},
		{"/a/01", `{"a":[1,2]}`}, {"/a/-", `{"a":[1]}`}, {"/a/1", `{"a":[1]}`}, {"/a/b", `{"a":"b"}`},
		{"", strings.Repeat("[", 1<<20)},
	} {
		p, err := Parse(c.pointer)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok, err := p.Find([]byte(c.text)); ok || err != nil {
			t.Errorf("%q in %.20q: found %q, %v", c.pointer, c.text, got, err)
		}
	}
}

// TestAmbiguousTextsHaveNoValues, wherever the pointer leads.
func TestAmbiguousTextsHaveNoValues(t *testing.T) {
	for _, text := range []string{
		`{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a":1,"b":{"c":1,"c":1}}`, `{"a":"\ud800"}`, "{\"a\":\"\xe9\"}", `{"a":1,"b":"\udfff"}`,
	} {
		if got, ok, err := (Pointer{"a"}).Find([]byte(text)); ok || !errors.Is(err, ijson.ErrAmbiguous) {
			t.Errorf("the ambiguous text %q: found %q, %v; want an error", text, got, err)
		}
	}
}

func TestStringsThatAreNoPointers(t *testing.T) {
	for _, s := range []string{"a", "a/b", "#/a", "/~", "/~2", "/a~"} {
		if _, err := Parse(s); err != ErrSyntax {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// FuzzFind: a found value is JSON, and a part of the text.
func FuzzFind(f *testing.F) {
	f.Add("/foo/0", []byte(rfcText))
	f.Add("/a", []byte(`{"b":[{"c":"\""}],"a":[1,{"b":2}]}`))
	f.Add("/0/a", []byte(` [ {"a" : "x"} , 1 ] `))
	f.Fuzz(func(t *testing.T, s string, text []byte) {
		p, err := Parse(s)
		if err != nil {
			return
		}
		got, ok, err := p.Find(text)
		if !ok || err != nil {
			return
		}
		if !json.Valid(got) || !bytes.Contains(text, got) {
			t.Fatalf("%q in %q finds %q, which is not a JSON value in the text", s, text, got)
		}
		if Elements(got, func(e []byte) {
			if !json.Valid(e) {
				t.Fatalf("%q in %q: the element %q is not a JSON value in the text", s, text, e)
			}
		}) != (got[0] == '[') {
			t.Fatalf("%q: Elements and the first byte disagree whether this is an array", got)
		}
		Members(got, func(name string, value []byte) {
			if found, ok := (Pointer{name}).Value(got); !ok || !bytes.Equal(found, bytes.TrimSpace(value)) {
				t.Fatalf("%q: the member %q is %q, but a pointer finds %q", got, name, value, found)
			}
		})
	})
}

// TestMembers: all members of an object are visited in their order, with names as they are meant.
func TestMembers(t *testing.T) {
	var got []string
	add := func(name string, value []byte) { got = append(got, name+"="+string(value)) }
	ok := Members([]byte(" { \"a\" : [1, {\"b\":2}] ,\"\\u00e9\\n\":\"x,}\",\"\":-1.5e3 } "), add)
	if want := `["a=[1, {\"b\":2}]" "é\n=\"x,}\"" "=-1.5e3"]`; !ok || fmt.Sprintf("%q", got) != want {
		t.Errorf("the members are %q (%v), want %s", got, ok, want)
	}
	if !Members([]byte("{}"), add) || len(got) != 3 {
		t.Errorf("the empty object has members: %q", got)
	}
	for _, text := range []string{"[]", "1", `"{}"`, "null"} {
		if Members([]byte(text), add) {
			t.Errorf("%s is taken for an object", text)
		}
	}
}
