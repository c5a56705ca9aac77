package grammar

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// words returns a node that finds a word.
func words(text ...string) Words {
	w := Words{}
	for i, t := range text {
		w.Elements = append(w.Elements, Element{Exact, t, i})
	}
	return w
}

func TestPredicatesAreParsed(t *testing.T) {
	a, b, c := words("a"), words("b"), words("c")
	quoted := words("a", "b")
	quoted.Quoted = true
	inField := words("b")
	inField.Field = "title"
	similar := words("a")
	similar.Edits = 1
	for text, want := range map[string]Node{
		"":             Everything{},
		" \n ":         Everything{},
		"*":            Everything{},
		"title:*":      Everything{"title"},
		"a":            a,
		"A":            a,
		"(a)":          a,
		"a b":          Group{Should: []Node{a, b}},
		"a\nb":         Group{Should: []Node{a, b}},
		"a OR b":       Or{a, b},
		"a or":         Group{Should: []Node{a, words("or")}},
		"a AND b":      And{a, b},
		"a b AND c":    Group{Should: []Node{a, And{b, c}}},
		"a AND b OR c": Or{And{a, b}, c},
		"a AND -b":     And{a, Not{b}},
		"NOT a AND b":  And{Not{a}, b},
		"a -b":         Group{Should: []Node{a}, Not: []Node{b}},
		"a NOT b":      Group{Should: []Node{a}, Not: []Node{b}},
		"+a -b c":      Group{Must: []Node{a}, Should: []Node{c}, Not: []Node{b}},
		"a OR -b":      Or{a, Group{Not: []Node{b}}},
		"-(a b)":       Group{Not: []Node{Group{Should: []Node{a, b}}}},
		"a AND (b c)":  And{a, Group{Should: []Node{b, c}}},
		`"a b"`:        quoted,
		"a-b":          words("a", "b"),
		"title:b":      inField,
		"title:(b)":    inField,
		"a^2.5":        Weighted{a, 2.5},
		"(a b)^1e2":    Weighted{Group{Should: []Node{a, b}}, 100},
		"a~":           similar,
		"a~1":          similar,
		"a~^2":         Weighted{similar, 2},
		"a::b":         words("a", "b"),
		"12:b":         words("12", "b"),
		"日本語":          Words{Elements: []Element{{Exact, "日本", 0}, {Exact, "本語", 1}}},
		"日":            Words{Elements: []Element{{Prefix, "日", 0}}},
		"日本 語":         Group{Should: []Node{Words{Elements: []Element{{Exact, "日本", 0}}}, Words{Elements: []Element{{Prefix, "語", 0}}}}},
		"日本x":          Words{Elements: []Element{{Exact, "日本", 0}, {Exact, "x", 2}}},
		"a*":           Words{Elements: []Element{{Glob, "a\ufdd0", 0}}},
		"a-b?":         Words{Elements: []Element{{Exact, "a", 0}, {Glob, "b\ufdd1", 1}}},
		"a＊":           a,
		"http://a/?b":  words("http", "a", "b"),
	} {
		got, err := new(Dialect).Parse(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v (%v), want %+v", text, got, err, want)
		}
	}
}

// TestFaultsHaveAPlace: the place is marked by | in the text.
func TestFaultsHaveAPlace(t *testing.T) {
	for _, marked := range []string{
		"a |(b", "a b|)", `a |"b`, "(|)", "a (|", "|+", "a |- b", "|-", "a AND |", "|AND a", "a OR |", "a OR |OR b", "a AND |OR b", "NOT |", "NOT |NOT a",
		"+a AND |b", "a AND |+b", "-|-a", "+|-a", "kernel^|NaN", "a^|", "a^|-1", "a^|1001", "a^2|^3", "a^1|x", "a^1|.", "a|~3", "a|~x", "a*|~", "a-b|~", "日本|~",
		"|&", "a |... b", `|""`, `|"!"`, "a|(b)", `a|"b"`, `"a"|b`, "(a)|b", "title|:", "title|: a", "title:|>5", "title:|-a", "title:|+a", "title:(|)",
		"|日?", "|日?本", "|" + strings.Repeat("a", MaxPattern) + "*",
		strings.Repeat("(", MaxNesting) + "|(a", strings.Repeat("a* ", MaxPatterns) + "|a*", strings.Repeat("a ", MaxTerms) + "|a",
		strings.Repeat(" ", MaxLength) + "|a", "a |\xff", "a \ufffd|\xff",
	} {
		at := strings.IndexByte(marked, '|')
		text := marked[:at] + marked[at+1:]
		_, err := new(Dialect).Parse(text)
		var fault *Error
		if !errors.As(err, &fault) || fault.At != at || fault.Reason == "" {
			t.Errorf("%.80q: %v, want the fault at %d", text, err, at)
		}
	}
}

func TestUnknownFieldsAreFaults(t *testing.T) {
	d := Dialect{Fields: []string{"title", "2024"}}
	for text, accepted := range map[string]bool{
		"title:a": true, "2024:a": true, "titel:a": false, "2023:a": true, "http://a": true, "a:b:c": false, `"titel:a"`: true, "title://a": true,
		"x.y:a": true, "ü:a": true, "Title:a": false,
	} {
		if _, err := d.Parse(text); (err == nil) != accepted {
			t.Errorf("%q: %v, want that it is accepted: %v", text, err, accepted)
		}
	}
}

// FuzzParse: no text makes the parser panic, and each fault is at a place of the text.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", `+quick -"lazy dog" fo* b?r^3`, "text:fox~1", "-", "a AND (b OR NOT c)", "日本*", "a^1e3", "\xff", "12:30"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := new(Dialect).Parse(s)
		var fault *Error
		if err != nil && (!errors.As(err, &fault) || fault.At < 0 || fault.At > len(s)) {
			t.Fatalf("%q: %v", s, err)
		}
		if err == nil && n == nil {
			t.Fatalf("%q: no node", s)
		}
	})
}
