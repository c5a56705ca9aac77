package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/client"
)

// fieldsOf reads the value of --fields.
func fieldsOf(t testing.TB, s string) (list []field) {
	t.Helper()
	if err := (fieldList{&list}).Set(s); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestPartsOfObjects: a line has a cell for each field, JSON only the parts that are there.
func TestPartsOfObjects(t *testing.T) {
	for _, k := range []struct{ object, fields, line, json string }{
		{`{"name":"Ada","age":36}`, "/name,/age", "Ada\t36", `{"/name":"Ada","/age":36}`},
		{`{"name":"Ada","age":36}`, "/age,/name", "36\tAda", `{"/age":36,"/name":"Ada"}`},
		{`{"a":{"b":[1, {"c": "x"} ]}}`, "/a/b,/a/b/1/c,/a/b/2", "[1,{\"c\":\"x\"}]\tx\t", `{"/a/b":[1,{"c":"x"}],"/a/b/1/c":"x"}`},
		{`{"a":null,"b":true,"c":"","d":1e400}`, "/a,/b,/c,/d,/e", "null\ttrue\t\t1e400\t", `{"/a":null,"/b":true,"/c":"","/d":1e400}`},
		{`{"a":"x\ty\nz\r\\\u001b[2J\u0085é"}`, "/a", `x\ty\nz\r\\\u001b[2J\u0085é`, `{"/a":"x\ty\nz\r\\\u001b[2J\u0085é"}`},
		{"{\"a\":{\"b\":\"\u009b\"}}", "/a", `{"b":"\u009b"}`, `{"/a":{"b":"\u009b"}}`},
		{`{"a,b":1,"/":2,"~":3,"<":4}`, "/a,b,/~1,/~0,/<", "1\t2\t3\t4", `{"/a,b":1,"/~1":2,"/~0":3,"/<":4}`},
		{`[10,20]`, "/1,/2", "20\t", `{"/1":20}`},
		{`"text"`, "/a", "", `{}`},
		{`{"":7}`, "/", "7", `{"/":7}`},
	} {
		list := fieldsOf(t, k.fields)
		if got := partsLine([]byte(k.object), list); got != k.line {
			t.Errorf("%s of %s: the line is %q; want %q", k.fields, k.object, got, k.line)
		}
		var b bytes.Buffer
		if err := encode(&b, newParts(client.Object{Name: "n", Data: []byte(k.object)}, list)); err != nil {
			t.Error(err)
		}
		want := `{"id":"` + strings.Repeat("0", 64) + `","name":"n","fields":` + k.json + "}\n"
		if b.String() != want {
			t.Errorf("%s of %s as JSON: %s; want %s", k.fields, k.object, b.String(), want)
		}
	}
}

// TestACellIsOneLine: a cell has no tab, no line break and no control character, and tells all
// strings apart.
func TestACellIsOneLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "string")
		value, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got := cell(value)
		if !printable([]byte(got), "") {
			t.Fatalf("%q becomes %q, which has control characters", s, got)
		}
		var back string
		if err := json.Unmarshal([]byte(`"`+strings.ReplaceAll(got, `"`, `\"`)+`"`), &back); err != nil || back != s {
			t.Fatalf("%q becomes %q, which is read as %q, %v", s, got, back, err)
		}
	})
}

// TestWrongPointers are refused, with what a pointer is.
func TestWrongPointers(t *testing.T) {
	for s, want := range map[string]string{
		"a": "not a JSON Pointer", "/a,b,/~2": "not a JSON Pointer", "a,/b": "not a JSON Pointer", "/a,/a": "/a is given twice",
		"/a,": "", "-/a": "not a JSON Pointer", "/\xff": "is not UTF-8", "-": "not a JSON Pointer",
	} {
		var list []field
		if err := (fieldList{&list}).Set(s); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("--fields %q: %v; want %q", s, err, want)
		}
	}
	for _, s := range []string{"-", "--/a", "a", "-a"} {
		var keys []sortKey
		if err := (sortList{&keys}).Set(s); err == nil {
			t.Errorf("--sort %q is read as %+v", s, keys)
		}
	}
}

// TestObjectsWithoutFieldsAreLeftOut: what is not JSON for all readers has no parts.
func TestObjectsWithoutFieldsAreLeftOut(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		p := &printer{app: &app{json: asJSON, stderr: devNull(t)}, out: bufio.NewWriter(&out), fields: fieldsOf(t, "/a")}
		for _, data := range []string{"text", `{"a":1,"a":2}`, `{"a":"\ud800"}`, `{"a":3}`, ""} {
			if err := p.object(client.Object{Data: []byte(data)}); err != nil {
				t.Fatal(err)
			}
		}
		err := p.finish(p.flush(nil))
		if !errors.As(err, new(leftOutError)) || !strings.Contains(err.Error(), "left out 4 objects") || strings.Count(out.String(), "\n") != 1 || !strings.Contains(out.String(), "3") {
			t.Errorf("printed %q, then %v; want one object, and 4 left out", out.String(), err)
		}
	}
}
