package ijson

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTextsThatAreJSON(t *testing.T) {
	for _, text := range []string{
		`1`, ` {"a" : [1, {"a":null}], "A":1} `, "\t1\r\n", `1e400`, `-0.0`, `1.0`, `"\ud83d\ude00"`, "\"\u00e9\"", `"a\u0000b"`,
		`[{"a":1},{"a":1}]`, `{"a":{"a":1}}`, `{"":1}`, `123456789012345678901234567890`,
		strings.Repeat("[", 10000) + strings.Repeat("]", 10000),
	} {
		if err := Check([]byte(text)); err != nil {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestTextsThatAreNotJSON(t *testing.T) {
	for _, text := range []string{
		"", " ", "{", "1 2", `{"a":1}x`, "\ufeff1", "\x00", "'a'", "NaN", `{"a":1,}`, "\xff", `"a`, "\u00a01", "01", "+1",
		`{"a":1,"a":2`, "\"\xff", strings.Repeat("[", 1<<20),
	} {
		if err := Check([]byte(text)); !errors.Is(err, ErrSyntax) || errors.Is(err, ErrAmbiguous) {
			t.Errorf("%.40q: %v; want a syntax error", text, err)
		}
	}
}

func TestTextsThatReadersUnderstandDifferently(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"a":1}`:                                      `the member "/a" is given twice`,
		`{"a/b":[0,{"x":{},"\u0078":2}]}`:                    `the member "/a~1b/1/x" is given twice`,
		`{"` + strings.Repeat("n", 999) + `":{"a":1,"a":2}}`: "is given twice",
		`"\ud800"`:           "the escape at byte 2 stands for no character",
		`{"a":"x\udfff"}`:    "stands for no character",
		`{"\ud800\ud800":1}`: "stands for no character",
		"\"\xe9\"":           "byte 2 is not UTF-8",
		"{\"a\xff\":1}":      "is not UTF-8",
		"\"\xed\xa0\x80\"":   "is not UTF-8", // a surrogate as UTF-8
		"\"\xc0\x80\"":       "is not UTF-8", // NUL, overlong
	} {
		err := Check([]byte(text))
		if !errors.Is(err, ErrAmbiguous) || errors.Is(err, ErrSyntax) || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("%.40q: %v; want %q", text, err, want)
		}
		if !json.Valid([]byte(text)) {
			t.Errorf("%.40q must be JSON for the standard library; otherwise it is no case of this test", text)
		}
	}
}

func TestDecodeTakesWhatTheStructHas(t *testing.T) {
	type options struct {
		Path *string `json:"path"`
		Data []byte  `json:"data"`
	}
	var o options
	if err := Decode([]byte(`{"path":"/a","data":"AA=="}`), &o); err != nil || *o.Path != "/a" || string(o.Data) != "\x00" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, text := range []string{
		`{"Path":"/a"}`, `{"path":null}`, `{"path":1}`, `{"path":"/a","path":"/b"}`, `{"pfad":"/a"}`, `{"path":"/a"} {}`, `null`, `[]`, `"x"`,
		`{"data":"?"}`, `{"data":1}`, "{\"path\":\"\xff\"}", ``, `{"path":"/a","PATH":"/b"}`,
	} {
		o = options{}
		if err := Decode([]byte(text), &o); err == nil {
			t.Errorf("Decode accepts %q as %+v; want an error", text, o)
		}
	}
}

// FuzzCheck: a text that passes is JSON for the standard library, and UTF-8. It keeps its value
// when it is decoded and encoded.
func FuzzCheck(f *testing.F) {
	for _, text := range []string{`{"a":1,"a":2}`, `"\ud800"`, `[{"a":[1e400,"\ud83d\ude00"]},null]`, "\"\xff\"", "1 "} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		err := Check(text)
		if errors.Is(err, ErrSyntax) == json.Valid(text) {
			t.Fatalf("Check of %q returns %v, but for the standard library it is valid: %v", text, err, json.Valid(text))
		}
		if err != nil {
			return
		}
		if !utf8.Valid(text) {
			t.Fatalf("%q is not UTF-8", text)
		}
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(v)
		if err != nil || Check(again) != nil {
			t.Fatalf("%q becomes %q: %v, %v", text, again, err, Check(again))
		}
	})
}
