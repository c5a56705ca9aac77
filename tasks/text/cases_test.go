package main

import (
	"strings"
	"testing"
	"unicode"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// found asks for the numbers of the texts that a predicate finds.
func foundIn(t *testing.T, options string, texts []string, predicate string) string {
	t.Helper()
	core := start(t, false, options)
	core.InsertAll(0, texts)
	found, err := core.Search(predicate, 100)
	if err != nil {
		return err.Error()
	}
	return numbers(found, len(texts))
}

// TestPredicatesOfRealTexts has words that other query languages misread.
func TestPredicatesOfRealTexts(t *testing.T) {
	texts := []string{
		0:  "a kernel module for linux",
		1:  "a module of the game",
		2:  "libc6-dev: the development files",
		3:  "dev libc6",
		4:  "departs at 12:30",
		5:  `C:\x is a path`,
		6:  "see https://www.example.org/a?b=c",
		7:  "std::vector<int> of std",
		8:  "write to bob.smith@example.org",
		9:  "in ٢٠٢٤ or १२",
		10: "30 12",
		11: "vector std",
		12: "don't panic",
	}
	for predicate, want := range map[string]string{
		"+module\n-linux":               "1",
		"+module\t\r\n\u00a0-linux":     "1",
		"+libc6-dev":                    "2",
		"libc6-dev":                     "2",
		"libc6-de*":                     "2",
		"-the":                          "0 3 4 5 6 7 8 9 10 11 12",
		"module -(kernel linux)":        "1",
		"module AND NOT (kernel linux)": "1",
		"(kernel OR game) AND module":   "0 1",
		"kernel AND linux OR panic":     "0 12",
		"module kernel AND linux":       "0 1",
		"+module (game)":                "0 1",
		"+(kernel panic) -game":         "0 12",
		"module OR -a":                  "0 1 2 3 4 7 8 9 10 11 12",
		"NOT a AND NOT the AND module":  "",
		"* -a":                          "2 3 4 7 8 9 10 11 12",
		"12:30":                         "4",
		`C:\x`:                          "5",
		`c:\X`:                          "5",
		"https://www.example.org/a?b=c": "6",
		"https://www.example.org":       "6",
		"std::vector":                   "7",
		"std::vector<int>":              "7",
		"bob.smith@example.org":         "8",
		"example.org":                   "6 8",
		"٢٠٢٤":                          "9",
		"१२":                            "9",
		"don't":                         "12",
		"don’t":                         "12",
		"kernel^NaN":                    sdktest.ErrQueryRefused.Error(),
		"-(kernel linux":                sdktest.ErrQueryRefused.Error(),
		"AND kernel":                    sdktest.ErrQueryRefused.Error(),
		"kernel OR":                     sdktest.ErrQueryRefused.Error(),
		"+kernel AND linux":             sdktest.ErrQueryRefused.Error(),
		"kernel AND +linux":             sdktest.ErrQueryRefused.Error(),
	} {
		if got := foundIn(t, "", texts, predicate); got != want {
			t.Errorf("%q finds %q, want %q", predicate, got, want)
		}
	}
}

// TestFieldsCalledByNumbers: a predicate names them like others.
func TestFieldsCalledByNumbers(t *testing.T) {
	texts := []string{`{"2024":"fox","0":"dog"}`, `{"2024":"dog","0":"fox"}`, `{"0":"at 12:30 or 2024:dog"}`}
	for predicate, want := range map[string]string{
		"2024:fox": "0", "0:fox": "1", "0:dog": "0 2", "2024:(fox dog)": "0 1", "0:*": "0 1 2", "2024:*": "0 1",
		"12:30": "2", `"2024:dog"`: "2", "0:12:30": "2", "2024:12:30": "", "-2024:fox": "1 2",
	} {
		if got := foundIn(t, `{"fields":["/2024","/0"]}`, texts, predicate); got != want {
			t.Errorf("%q finds %q, want %q", predicate, got, want)
		}
	}
}

// TestSpellings: two spellings of a word find each other, and words that differ do not.
func TestSpellings(t *testing.T) {
	texts := []string{
		0: "İzmir", 1: "İzmit", 2: "Izmir", 3: "Straẞe", 4: "straße", 5: "5 \u212A", 6: "Σίσυφος ΣΙΣΥΦΟΣ σισυφος",
		7: "caf\u00e9", 8: "cafe\u0301", 9: "ﬁn", 10: "Motte™ x²", 11: "distinct\u00ADion",
	}
	for predicate, want := range map[string]string{
		"İzmir": "0", "i\u0307zmir": "0", "İzmit": "1", "izmir": "2", "IZMIR": "2", "İz*": "0 1", "iz*": "2",
		"STRASSE": "3 4", "straße": "3 4", "STRAẞE": "3 4", "straß*": "3 4", "strasze~": "3 4",
		"k": "5", "K": "5", "\u212A": "5", "\u212A*": "5",
		"ΣΙΣΥΦΟΣ*": "6", "σισυφος": "6", "ΣΙΣΥΦΟΣ": "6", "Σίσυφος": "6", "ΣΊΣΥΦΟΣ": "6", "σισ*ΦΟΣ": "6", "σισυφο?": "6",
		"caf\u00e9": "7 8", "CAFE\u0301": "7 8", "cafe": "", "caf\u00c9*": "7 8", "caf?": "7 8",
		"fin": "9", "FIN": "9", "motte": "10", "X2": "10", "distinction": "11",
	} {
		if got := foundIn(t, "", texts, predicate); got != want {
			t.Errorf("%q finds %q, want %q", predicate, got, want)
		}
	}
}

// TestScriptsWithoutSpaces: any part of a text is found.
func TestScriptsWithoutSpaces(t *testing.T) {
	texts := []string{
		0: "ฉันรักภาษาไทย",
		1: "ຂ້ອຍຮັກພາສາລາວ",
		2: "ខ្ញុំស្រឡាញ់ភាសាខ្មែរ",
		3: "ကျွန်တော်မြန်မာဘာသာစကားကိုချစ်တယ်",
		4: "我爱北京天安门",
		5: "東京タワーは高い",
		6: "한국어를 사랑해요",
		7: "a 🎉 party 👩‍👧 ❤️",
		8: "iPhone手机壳 5€",
	}
	for predicate, want := range map[string]string{
		"ภาษา": "0", "ไทย": "0", "รัก": "0", "ภาษาไทย": "0", "ไทยภาษา": "",
		"ພາສາ": "1", "ລາວ": "1", "ភាសា": "2", "ខ្មែរ": "2", "မြန်မာ": "3", "စကား": "3",
		"北京": "4", "京天安": "4", "门": "4", "北": "4", "北天": "", "京": "4 5", "京*": "4 5", `"北京 天安门"`: "4",
		"タワー": "5", "ﾀﾜｰ": "5", "高": "5", "한국어": "6", "국어": "6", "사랑": "6",
		"🎉": "7", "👩": "7", "👧": "7", "👩‍👧": "7", "❤": "7", "❤️": "7", "🎊": "",
		"手机": "8", "iphone手机": "8", "iphone": "8", "手": "8", "机壳": "8", "€": "8", "5€": "8",
		"北?京": sdktest.ErrQueryRefused.Error(), "北京~": sdktest.ErrQueryRefused.Error(),
	} {
		if got := foundIn(t, "", texts, predicate); got != want {
			t.Errorf("%q finds %q, want %q", predicate, got, want)
		}
	}
}

// TestEachLetterAndNumberIsFound: by itself, as a text and between others.
func TestEachLetterAndNumberIsFound(t *testing.T) {
	x := &index{}
	if err := x.Configure(sdk.Config{Type: model.TypeText}); err != nil {
		t.Fatal(err)
	}
	letters := 0
	for r := range rune(unicode.MaxRune + 1) {
		if !unicode.In(r, unicode.L, unicode.N) {
			continue
		}
		letters++
		x.Apply([]sdk.Change{{Identity: sdktest.ID(1), Input: []byte("a " + string(r) + " b")}})
		predicates := []string{string(r)}
		if letters%16 == 0 {
			predicates = append(predicates, "+"+string(r)+" +a +b", `"`+string(r)+`"`)
		}
		for _, predicate := range predicates {
			if found, err := ask(x, predicate); err != nil || len(found) != 1 {
				t.Fatalf("%U: %q finds %d objects (%v), want 1", r, predicate, len(found), err)
			}
		}
	}
	if letters < 130_000 {
		t.Errorf("%d letters and numbers, want those of Unicode", letters)
	}
}

// TestLongWordsAreFound: only as a whole, or by their beginning or end.
func TestLongWordsAreFound(t *testing.T) {
	long := strings.Repeat("abcd", 1<<18)
	texts := []string{long, long + "e", strings.Repeat("abcd", 16), strings.Repeat("abcd", 16) + " rest", strings.Repeat("abcd", 16) + "rest"}
	for predicate, want := range map[string]string{
		strings.Repeat("abcd", 16):          "2 3",
		strings.Repeat("abcd", 16) + "rest": "4",
		"abcda*":                            "0 1 2 3 4",
		"*rest":                             "3 4",
		"rest":                              "3",
		"?bcd":                              "",
	} {
		if got := foundIn(t, "", texts, predicate); got != want {
			t.Errorf("%.80q finds %q, want %q", predicate, got, want)
		}
	}
}

// TestLanguages: words with the same stem find each other, and patterns see the words themselves.
func TestLanguages(t *testing.T) {
	texts := []string{0: "Running the dogs", 1: "A dog runs", 2: "the state of the art", 3: "the art of the state"}
	options := `{"language":"en","stop_words":"en"}`
	for predicate, want := range map[string]string{
		"run": "0 1", "running": "0 1", "runs": "0 1", "runn*": "0", "dogs": "0 1", "*s": "0 1", "RUNNING": "0 1",
		`"dog run"`: "1", `"running dogs"`: "", `"running the dogs"`: "0",
		"the": "", "-the": "0 1 2 3", "+the +art": "2 3", "art -the": "2 3", "the OR art": "2 3", "NOT the": "0 1 2 3", "the -art": "",
		`"state of the art"`: "2", `"art of the state"`: "3", `"of the"`: "", `"the state"`: "2 3", "(the of)": "", "(the) art": "2 3",
	} {
		if got := foundIn(t, options, texts, predicate); got != want {
			t.Errorf("%q finds %q, want %q", predicate, got, want)
		}
	}
	for _, c := range []struct{ options, text, predicate string }{
		{`{"language":"de"}`, "die Häuser", "haus"}, {`{"language":"fr"}`, "les chevaux", "cheval"},
		{`{"language":"ru"}`, "книги", "книга"}, {`{"language":"tr"}`, "IŞIK", "ışık"}, {`{"language":"tr"}`, "İZMİR", "izmir"},
	} {
		if got := foundIn(t, c.options, []string{c.text, "other"}, c.predicate); got != "0" {
			t.Errorf("%s: %q finds %q in %q", c.options, c.predicate, got, c.text)
		}
	}
}

// TestTypos: by ~, and by the configuration in long words.
func TestTypos(t *testing.T) {
	texts := []string{"kernel", "kernels", "colonel", "enclave encrypted", "1.25.0"}
	for _, c := range []struct{ options, predicate, want string }{
		{"", "kernle", ""}, {"", "kernle~", "0"}, {"", "krnel~", "0"}, {"", "kernel~", "0 1"}, {"", "kernals~1", "1"}, {"", "kernals~2", "0 1"},
		{`{"typos":true}`, "kernle", "0"}, {`{"typos":true}`, "encripted", "3"}, {`{"typos":true}`, "enkripted", "3"}, {`{"typos":true}`, "enkripted", "3"},
		{`{"typos":true}`, "enclve", "3"}, {`{"typos":true}`, `"enclve"`, ""}, {`{"typos":true}`, "-kernle", "0 1 2 3 4"}, {`{"typos":true}`, "kernel -kernels", "0"},
		{`{"typos":true}`, "1.26.0", ""}, {"", "~", sdktest.ErrQueryRefused.Error()}, {"", "enclave-x~", sdktest.ErrQueryRefused.Error()},
	} {
		if got := foundIn(t, c.options, texts, c.predicate); got != c.want {
			t.Errorf("%s: %q finds %q, want %q", c.options, c.predicate, got, c.want)
		}
	}
}

// TestWeightsOfFields: a word in a field of more weight makes an object better.
func TestWeightsOfFields(t *testing.T) {
	for options, want := range map[string]string{
		`{"fields":["/title","/body"],"weights":{"title":5}}`: "0 1",
		`{"fields":["/title","/body"],"weights":{"body":5}}`:  "1 0",
	} {
		core := start(t, true, options)
		core.InsertAll(0, []string{`{"title":"fox","body":"dog"}`, `{"title":"dog","body":"fox"}`})
		if found, err := core.Search("fox", 10); err != nil || numbers(found, 2) != want {
			t.Errorf("%s: %q (%v), want %q", options, numbers(found, 2), err, want)
		}
	}
}
