package highlight

import (
	"testing"

	"motte/tasks/text/grammar"
)

func mark(t *testing.T, configuration, predicate, text string) string {
	t.Helper()
	h, err := New(grammar.DialectOf([]byte(configuration)), predicate)
	if err != nil {
		t.Fatal(err)
	}
	return string(h.Object([]byte(text), "[", "]"))
}

func TestWordsAreMarked(t *testing.T) {
	for _, c := range []struct{ configuration, predicate, text, want string }{
		{``, "fox", "The Fox and the foxes", "The [Fox] and the foxes"},
		{``, "fox*", "The Fox and the foxes", "The [Fox] and the [foxes]"},
		{``, "fix~", "The Fox", "The [Fox]"},
		{``, "quick -fox", "quick fox", "[quick] fox"},
		{``, "quick AND NOT fox OR (the AND dog)", "the quick fox", "[the] [quick] fox"},
		{``, `"quick fox"`, "a quick dog, a quick, fox", "a quick dog, a [quick, fox]"},
		{``, "libc6-dev", "of LIBC6-DEV or dev", "of [LIBC6-DEV] or dev"},
		{``, "strasse", "die Straße, die STRAẞE", "die [Straße], die [STRAẞE]"},
		{``, "caf\u00e9", "le cafe\u0301 noir", "le [cafe\u0301] noir"},
		{``, "motte", "Motte™", "[Motte]™"},
		{``, "tm", "Motte™", "Motte[™]"},
		{``, "京天", "北京天安门", "北[京天]安门"},
		{``, "京", "北京", "北[京]"},
		{``, "👩‍👧", "a 👩‍👧 b", "a [👩‍👧] b"},
		{``, "nothing", "The fox", "The fox"},
		{``, "-fox", "The fox", "The fox"},
		{`{"language":"en"}`, "running", "He runs", "He [runs]"},
		{`{"typos":true}`, "kernle", "the kernel", "the [kernel]"},
		{`{"path":"/note"}`, "fox", `{"note": "a fox","title":"fox", "n":1e400}`, `{"note":"a [fox]","title":"fox","n":1e400}`},
		{`{"path":"/note"}`, "fox", `{"note":["a fox", "Fox"]}`, `{"note":["a [fox]","[Fox]"]}`},
		{`{"fields":["/a/title","/body"]}`, "title:fox dog", `{"a":{"title":"fox dog"},"body":"fox dog"}`, `{"a":{"title":"[fox] [dog]"},"body":"fox [dog]"}`},
		{`?`, "fox", `{"any":{"fox":"a fox"}}`, `{"any":{"fox":"a [fox]"}}`},
	} {
		if got := mark(t, c.configuration, c.predicate, c.text); got != c.want {
			t.Errorf("%s: %q in %q: %q, want %q", c.configuration, c.predicate, c.text, got, c.want)
		}
	}
}

// FuzzMark: marks do not change a text, and are in it in pairs.
func FuzzMark(f *testing.F) {
	f.Add("fox", "The quick fox")
	f.Add("京", "北京™ e\u0301")
	f.Add("a* é", "ab \u0345 é½")
	f.Fuzz(func(t *testing.T, predicate, text string) {
		h, err := New(grammar.Dialect{}, predicate)
		if err != nil {
			return
		}
		at := 0
		for _, r := range h.Find("", text) {
			if r.Start < at || r.End <= r.Start || r.End > len(text) {
				t.Fatalf("%q in %q: %v", predicate, text, r)
			}
			at = r.End
		}
	})
}
