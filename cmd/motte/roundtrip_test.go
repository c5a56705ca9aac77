package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"motte/client"
	"motte/core/model"
)

// takenBack exports objects, and returns the items that an import of the lines would store.
func takenBack(t *rapid.T, objects []client.Object, wrap bool) (list []item, left int) {
	var text bytes.Buffer
	for _, o := range objects {
		whole, err := exportLine(&text, o, wrap)
		if err != nil {
			t.Fatal(err)
		}
		if !whole {
			left++
		}
	}
	i := &importer{parsing: parsing{envelope: wrap}, bar: (&app{quiet: true}).bar(-1, "")}
	err := i.read(newLines(&text, i.parsing.maxLine()), func(l *load) error {
		list = append(list, l.items...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, left
}

// TestEnvelopesKeepEachByte of any name and any object.
func TestEnvelopesKeepEachByte(t *testing.T) {
	bytesOf := rapid.SliceOf(rapid.Byte())
	rapid.Check(t, func(t *rapid.T) {
		var objects []client.Object
		for range rapid.IntRange(0, 5).Draw(t, "objects") {
			name := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, model.MaxName), rapid.Map(rapid.StringN(0, 100, model.MaxName), func(s string) []byte { return []byte(s) }))
			objects = append(objects, client.Object{Name: string(name.Draw(t, "name")), Data: bytesOf.Draw(t, "data")})
		}
		list, left := takenBack(t, objects, true)
		if left != 0 || len(list) != len(objects) {
			t.Fatalf("of %d objects %d come back, %d are left out", len(objects), len(list), left)
		}
		for k, it := range list {
			if it.name != objects[k].Name || !bytes.Equal(it.data, objects[k].Data) {
				t.Fatalf("the object %q of %d bytes comes back as %q of %d bytes", objects[k].Name, len(objects[k].Data), it.name, len(it.data))
			}
		}
	})
}

// value draws a JSON text with white space, and the same text without.
func value(t *rapid.T, depth int) (spaced, compact string) {
	space := func() string { return rapid.StringOfN(rapid.SampledFrom([]rune(" \t\r\n")), 0, 2, -1).Draw(t, "space") }
	text := func() string {
		switch rapid.IntRange(0, 2).Draw(t, "string") {
		case 0:
			return rapid.SampledFrom([]string{`"\ud83d\ude00"`, `"\u0000"`, `"\/\b\f"`, `"\u2028"`, "\"\u2028\u00e9\"", `""`, `"<&>"`}).Draw(t, "escapes")
		default:
			quoted, _ := json.Marshal(rapid.String().Draw(t, "text"))
			return string(quoted)
		}
	}
	kind := rapid.IntRange(0, 5).Draw(t, "kind")
	if depth == 0 {
		kind = min(kind, 3)
	}
	var parts, short []string
	switch kind {
	case 0:
		spaced = rapid.SampledFrom([]string{"true", "false", "null"}).Draw(t, "literal")
	case 1, 2:
		spaced = rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,4})?`).Draw(t, "number")
	case 3:
		spaced = text()
	case 4:
		for range rapid.IntRange(0, 3).Draw(t, "elements") {
			s, c := value(t, depth-1)
			parts, short = append(parts, s), append(short, c)
		}
		spaced, compact = "["+strings.Join(parts, ",")+space()+"]", "["+strings.Join(short, ",")+"]"
	case 5:
		for k := range rapid.IntRange(0, 3).Draw(t, "members") {
			s, c := value(t, depth-1)
			name := fmt.Sprintf(`"%d%s`, k, text()[1:])
			parts, short = append(parts, space()+name+space()+":"+s), append(short, name+":"+c)
		}
		spaced, compact = "{"+strings.Join(parts, ",")+space()+"}", "{"+strings.Join(short, ",")+"}"
	}
	if compact == "" {
		compact = spaced
	}
	return space() + spaced + space(), compact
}

// TestLinesKeepEachValue: all digits of a number, all escapes of a string, and the order of
// members.
func TestLinesKeepEachValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spaced, compact := value(t, 3)
		list, left := takenBack(t, []client.Object{{Data: []byte(spaced)}}, false)
		if left != 0 || len(list) != 1 || string(list[0].data) != compact {
			t.Fatalf("%q: %d left out, comes back as %+v", spaced, left, list)
		}
	})
}

// TestWhatNoLineHoldsIsLeftOut checks that an object that no line can hold is counted as left
// out, and does not come back as another object.
func TestWhatNoLineHoldsIsLeftOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOf(rapid.SampledFrom([]byte("{}[]\":,a1\\ud80 \n\xff\x00"))).Draw(t, "data")
		list, left := takenBack(t, []client.Object{{Data: data}}, false)
		if left+len(list) != 1 {
			t.Fatalf("%q: %d left out, %d come back", data, left, len(list))
		}
		var compact bytes.Buffer
		if len(list) == 1 && (json.Compact(&compact, data) != nil || !bytes.Equal(compact.Bytes(), list[0].data)) {
			t.Fatalf("%q comes back as %q", data, list[0].data)
		}
	})
}
