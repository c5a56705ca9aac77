package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"motte/internal/realdata"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// real is plain code over the packages of Debian: the reference of the index.
type real struct {
	random *rand.Rand
	fields []string
	texts  []map[string]string // by field
	words  [][][]int32         // of each package and field: numbers in vocabulary
	number map[string]int32
	all    []string // the vocabulary
}

func newReal(t *testing.T, objects [][]byte, fields ...string) *real {
	t.Helper()
	r := &real{random: rand.New(rand.NewPCG(7, 11)), fields: fields, number: make(map[string]int32)}
	for _, o := range objects {
		var members map[string]any
		if err := json.Unmarshal(o, &members); err != nil {
			t.Fatal(err)
		}
		texts, words := make(map[string]string), make([][]int32, len(fields))
		for i, f := range fields {
			texts[f], _ = members[f].(string)
			for _, w := range plainWords(texts[f]) {
				if _, ok := r.number[w]; !ok {
					r.number[w] = int32(len(r.all))
					r.all = append(r.all, w)
				}
				words[i] = append(words[i], r.number[w])
			}
		}
		r.texts, r.words = append(r.texts, texts), append(r.words, words)
	}
	return r
}

// plainWords divides a text in the way of a few lines of code.
func plainWords(text string) []string {
	var apart strings.Builder // symbols such as ™ become letters, and stand apart
	for _, r := range text {
		if unicode.In(r, unicode.So, unicode.Sm, unicode.Sc) {
			apart.WriteString(" " + string(r) + " ")
		} else {
			apart.WriteRune(r)
		}
	}
	text = apart.String()
	lower := norm.NFKC.String(cases.Lower(language.Und).String(norm.NFKC.String(text)))
	return strings.FieldsFunc(strings.NewReplacer("ß", "ss", "ς", "σ").Replace(lower), func(r rune) bool { return !unicode.In(r, unicode.L, unicode.N, unicode.M) })
}

// condition is what a predicate stands for.
type condition func(pkg [][]int32) bool

// contains returns a condition on a field, or on all of them, of words in an order.
func (r *real) contains(field int, sets ...map[int32]bool) condition {
	return func(pkg [][]int32) bool {
		for f, words := range pkg {
			if field >= 0 && f != field {
				continue
			}
			for at := 0; at+len(sets) <= len(words); at++ {
				found := true
				for i := range sets {
					found = found && sets[i][words[at+i]]
				}
				if found {
					return true
				}
			}
		}
		return false
	}
}

func (r *real) matching(match func(string) bool) map[int32]bool {
	set := make(map[int32]bool)
	for n, w := range r.all {
		if match(w) {
			set[int32(n)] = true
		}
	}
	return set
}

func isPlain(word string) bool {
	return strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789") == "" && len(word) <= 40
}

// word returns a word of a text, which is ASCII.
func (r *real) word() string {
	for {
		words := r.words[r.random.IntN(len(r.words))]
		if field := words[r.random.IntN(len(words))]; len(field) > 0 {
			if w := r.all[field[r.random.IntN(len(field))]]; isPlain(w) {
				return w
			}
		}
	}
}

// phrase returns words that follow each other in a text.
func (r *real) phrase() []string {
	for {
		words := r.words[r.random.IntN(len(r.words))]
		field := words[r.random.IntN(len(words))]
		count := 2 + r.random.IntN(3)
		if len(field) < count {
			continue
		}
		at := r.random.IntN(len(field) - count + 1)
		var list []string
		for _, n := range field[at : at+count] {
			list = append(list, r.all[n])
		}
		if !slices.ContainsFunc(list, func(w string) bool { return !isPlain(w) }) {
			return list
		}
	}
}

func (r *real) sets(words []string) (sets []map[int32]bool) {
	for _, w := range words {
		n, ok := r.number[w]
		sets = append(sets, map[int32]bool{n: ok})
	}
	return sets
}

// primary returns a random part of a predicate, and what it stands for.
func (r *real) primary(depth int) (string, condition) {
	prefix, field := "", -1
	if r.random.IntN(3) == 0 {
		field = r.random.IntN(len(r.fields))
		prefix = r.fields[field] + ":"
	}
	w := r.word()
	switch r.random.IntN(10) {
	case 0:
		n := 1 + r.random.IntN(len(w))
		return prefix + w[:n] + "*", r.contains(field, r.matching(func(s string) bool { return strings.HasPrefix(s, w[:n]) }))
	case 1:
		n := r.random.IntN(len(w))
		return prefix + "*" + w[n:], r.contains(field, r.matching(func(s string) bool { return strings.HasSuffix(s, w[n:]) }))
	case 2:
		n := r.random.IntN(len(w))
		pattern := regexp.MustCompile("^" + w[:n] + "." + w[n+1:] + ".*$")
		return prefix + w[:n] + "?" + w[n+1:] + "*", r.contains(field, r.matching(pattern.MatchString))
	case 3:
		edits := 1 + r.random.IntN(2)
		return fmt.Sprintf("%s%s~%d", prefix, w, edits), r.contains(field, r.matching(func(s string) bool { return distance([]rune(s), []rune(w)) <= edits }))
	case 4:
		list := r.phrase()
		return prefix + `"` + strings.Join(list, " ") + `"`, r.contains(field, r.sets(list)...)
	case 5:
		list := r.phrase()
		return prefix + strings.ToUpper(strings.Join(list, []string{"-", "/", "_", "@", "::", "--"}[r.random.IntN(6)])) + ".", r.contains(field, r.sets(list)...)
	case 6:
		texts := r.texts[r.random.IntN(len(r.texts))]
		if text := texts["homepage"]; text != "" && !strings.ContainsAny(text, `"()^~`) {
			return text, r.contains(-1, r.sets(plainWords(text))...)
		}
	case 7:
		if depth > 0 {
			text, c := r.expression(depth - 1)
			return "(" + text + ")", c
		}
	}
	return prefix + w, r.contains(field, r.sets([]string{w})...)
}

// expression returns a random predicate, and what it stands for.
func (r *real) expression(depth int) (string, condition) {
	a, isA := r.primary(depth)
	b, isB := r.primary(depth)
	c, isC := r.primary(depth)
	switch r.random.IntN(9) {
	case 0:
		return a + " AND " + b, func(p [][]int32) bool { return isA(p) && isB(p) }
	case 1:
		return a + " OR " + b + " AND " + c, func(p [][]int32) bool { return isA(p) || isB(p) && isC(p) }
	case 2:
		return "+" + a + " -" + b + " " + c, func(p [][]int32) bool { return isA(p) && !isB(p) }
	case 3:
		return a + " " + b + " -" + c, func(p [][]int32) bool { return (isA(p) || isB(p)) && !isC(p) }
	case 4:
		return "NOT " + a, func(p [][]int32) bool { return !isA(p) }
	case 5:
		return a + " AND NOT " + b + " OR -" + c, func(p [][]int32) bool { return isA(p) && !isB(p) || !isC(p) }
	case 6:
		return "+" + a + "^2 +" + b, func(p [][]int32) bool { return isA(p) && isB(p) }
	}
	return a, isA
}

// distance is the distance of two words, by the whole table.
func distance(a, b []rune) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0 || j == 0:
				rows[i][j] = i + j
				continue
			case a[i-1] == b[j-1]:
				rows[i][j] = rows[i-1][j-1]
			default:
				rows[i][j] = 1 + min(rows[i-1][j-1], rows[i-1][j], rows[i][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

// TestPackagesAgreeWithPlainCode asks random predicates over the package index of Debian, and compares
// the answers with plain code over its words.
func TestPackagesAgreeWithPlainCode(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	agrees(t, some(realdata.Packages(t)), 150, "package", "homepage", "description")
}

// TestCitiesAgreeWithPlainCode asks random predicates over cities, whose names are in many languages.
func TestCitiesAgreeWithPlainCode(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	agrees(t, some(realdata.Cities(t)), 150, "name", "country")
}

// some returns one in 20 objects, since the plain code looks at all words of each object.
func some(objects [][]byte) (list [][]byte) {
	for n := 0; n < len(objects); n += 20 {
		list = append(list, objects[n])
	}
	return list
}

func agrees(t *testing.T, objects [][]byte, count int, fields ...string) {
	t.Helper()
	r := newReal(t, objects, fields...)
	paths, _ := json.Marshal(map[string][]string{"fields": prefixed(fields)})
	x := &index{}
	if err := x.Configure(sdk.Config{Options: paths, Ordered: true}); err != nil {
		t.Fatal(err)
	}
	for n, o := range objects {
		x.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1 + sdk.Owner(n%3), Input: o}})
	}
	empty := 0
	for range count {
		predicate, match := r.expression(1)
		var want []sdk.Identity
		for n := range r.words {
			if match(r.words[n]) {
				want = append(want, sdktest.ID(n))
			}
		}
		found, _, err := sdktest.Page(x, sdk.Query{Predicate: []byte(predicate), Limit: 1 << 20})
		if err != nil {
			t.Errorf("%q: %v", predicate, err)
			continue
		}
		if len(want) == 0 {
			empty++
		}
		slices.SortFunc(want, compare)
		if got := slices.SortedFunc(slices.Values(found), compare); !slices.Equal(got, want) {
			t.Errorf("%q finds %d objects, and plain code %d; they differ in %s", predicate, len(got), len(want), objects[differs(got, want, len(objects))])
		}
	}
	if empty > count/2 {
		t.Errorf("%d of %d predicates find no object, so the test tests little", empty, count)
	}
}

// differs returns the number of an object that is in one of two answers.
func differs(a, b []sdk.Identity, count int) int {
	for n := range count {
		_, inA := slices.BinarySearchFunc(a, sdktest.ID(n), compare)
		_, inB := slices.BinarySearchFunc(b, sdktest.ID(n), compare)
		if inA != inB {
			return n
		}
	}
	return -1
}

func prefixed(fields []string) (paths []string) {
	for _, f := range fields {
		paths = append(paths, "/"+f)
	}
	return paths
}
