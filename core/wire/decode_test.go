package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"motte/client/frames"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

// Offsets in a request header.
const (
	atMagic, atVersion, atOp, atType      = 0, 4, 5, 6
	atNumber, atCollection, atIndex       = 8, 24, 56
	atName, atQuery, atObject, atReserved = 120, 124, 128, 132
	lastOfIdentifier                      = model.MaxIdentifier - 1
)

func TestRequestHeaderLimits(t *testing.T) {
	u32 := func(at int, v uint32) func(p []byte) []byte {
		return func(p []byte) []byte { binary.BigEndian.PutUint32(p[at:], v); return p }
	}
	u8 := func(at int, v byte) func(p []byte) []byte {
		return func(p []byte) []byte { p[at] = v; return p }
	}
	for _, c := range []struct {
		name  string
		spoil func(p []byte) []byte
		want  model.Code
	}{
		{"as it is", func(p []byte) []byte { return p }, model.OK},
		{"empty", func(p []byte) []byte { return nil }, model.Malformed},
		{"one byte short", func(p []byte) []byte { return p[:len(p)-1] }, model.Malformed},
		{"one byte long", func(p []byte) []byte { return append(p, 0) }, model.Malformed},
		{"another magic", u8(atMagic+3, 'P'), model.Malformed},
		{"version 0", u8(atVersion, 0), model.UnsupportedVersion},
		{"version 2", u8(atVersion, wire.Version+1), model.UnsupportedVersion},
		{"version 2 with what is malformed in version 1", func(p []byte) []byte { p[atVersion], p[atReserved] = 2, 1; return p }, model.UnsupportedVersion},
		{"number 0", u8(atNumber+7, 0), model.Malformed},
		{"reserved byte set", u8(atReserved+3, 1), model.Malformed},
		{"collection of full width", func(p []byte) []byte { copy(p[atCollection:], strings.Repeat("c", model.MaxIdentifier)); return p }, model.OK},
		{"zero byte inside collection", u8(atCollection+lastOfIdentifier, 'c'), model.Malformed},
		{"zero byte inside index", u8(atIndex+lastOfIdentifier, 'i'), model.Malformed},
		{"operation 0", u8(atOp, 0), model.OK},
		{"highest data type", u8(atType, byte(model.TypeTime)), model.OK},
		{"operation of no version", u8(atOp, 255), model.OK},
		{"data type over it", u8(atType, byte(model.TypeTime)+1), model.OK},
		{"longest name", u32(atName, model.MaxName), model.OK},
		{"name over it", u32(atName, model.MaxName+1), model.TooLarge},
		{"longest sub-query", u32(atQuery, model.MaxSubQuery), model.OK},
		{"sub-query over it", u32(atQuery, model.MaxSubQuery+1), model.TooLarge},
		{"longest object", u32(atObject, model.MaxObject), model.OK},
		{"object over it", u32(atObject, model.MaxObject+1), model.TooLarge},
		{"longest length there is", u32(atObject, 1<<32-1), model.TooLarge},
		{"too large and no operation", func(p []byte) []byte { p[atOp] = 0; return u32(atObject, 1<<32-1)(p) }, model.TooLarge},
	} {
		p := frames.AppendRequest(nil, &wire.Request{Op: model.OpPut, Number: 1, Limit: 2})
		h, code := wire.DecodeHeader(c.spoil(p))
		if code != c.want {
			t.Errorf("%s: code %d, want %d", c.name, code, c.want)
		}
		// The answer needs the number and the limit.
		if (code == model.TooLarge || code == model.OK) && (h.Number != 1 || h.Limit != 2) {
			t.Errorf("%s: the decoded header is incomplete: %+v", c.name, h)
		}
		if known := p[atOp] == byte(model.OpPut) && p[atType] <= byte(model.TypeTime); code == model.OK && (h.Op == model.OpPut) != known || !known && h.Op != 0 {
			t.Errorf("%s: operation %d", c.name, h.Op)
		}
	}
}

// TestLengthsDoNotWrap: the sum of three lengths of 32 bits does not overflow, and is refused.
func TestLengthsDoNotWrap(t *testing.T) {
	p := frames.AppendRequest(nil, &wire.Request{Op: model.OpPut, Number: 1})
	for i := atName; i < atReserved; i++ {
		p[i] = 0xff
	}
	h, code := wire.DecodeHeader(p)
	if code != model.TooLarge || h.BodyLen() != 3*(1<<32-1) {
		t.Errorf("code %d, body of %d bytes", code, h.BodyLen())
	}
}

func TestOnlyListedOperationsAndCodesAreValid(t *testing.T) {
	valid := func(n int, is func(byte) bool) (list string) {
		for i := range n {
			if is(byte(i)) {
				list += fmt.Sprint(i, " ")
			}
		}
		return list
	}
	const operations = "1 2 3 4 5 6 7 8 9 16 17 18 19 20 21 22 23 24 25 26 27 28 32 33 34 35 36 37 "
	if got := valid(256, func(b byte) bool { return frames.ValidOperation(model.Operation(b)) }); got != operations {
		t.Errorf("the valid operations are %s", got)
	}
	if !frames.ValidCode(model.LastCode) || frames.ValidCode(model.LastCode+1) || frames.ValidCode(255) {
		t.Error("LastCode is not the last valid code")
	}
}

func TestIdentifiersAndLabels(t *testing.T) {
	for s, want := range map[string]bool{
		"": false, "a": true, "people": true, "by_age-2": true, "z9": true,
		"9a": false, "_a": false, "-a": false, "A": false, "aB": false, "a b": false, "a.b": false, "ä": false, "a\x00": false,
		strings.Repeat("a", model.MaxIdentifier): true, strings.Repeat("a", model.MaxIdentifier+1): false,
	} {
		if model.ValidIdentifier(s) != want {
			t.Errorf("identifier %q: %v", s, !want)
		}
	}
	// Every byte, in the first position and in a later one.
	for b := range 256 {
		first := b >= 'a' && b <= 'z'
		later := first || b >= '0' && b <= '9' || b == '_' || b == '-'
		one, two := string([]byte{byte(b)}), string([]byte{'a', byte(b), 'a'})
		if model.ValidIdentifier(one) != first || model.ValidIdentifier(two) != later {
			t.Errorf("the identifier %q or %q is accepted, or refused, against the rule", one, two)
		}
		if printable := b > ' ' && b <= '~'; model.ValidLabel(one) != printable || model.ValidLabel(two) != printable {
			t.Errorf("the label %q or %q is accepted, or refused, against the rule", one, two)
		}
	}
	for s, want := range map[string]bool{
		"": false, "a": true, "Alice@example.org": true, "!": true, "~": true,
		"a b": false, "\x7f": false, "a\n": false, "é": false,
		strings.Repeat("a", model.MaxLabel): true, strings.Repeat("a", model.MaxLabel+1): false,
	} {
		if model.ValidLabel(s) != want {
			t.Errorf("label %q: %v", s, !want)
		}
	}
}

func TestAttributeLimits(t *testing.T) {
	list := func(n int) (p []byte) {
		for i := range n {
			p = frames.AppendAttribute(p, fmt.Sprintf("a%02d", i), []byte("x"))
		}
		return p
	}
	one := frames.AppendAttribute(nil, "a", []byte("data"))
	tooLong := bytes.Clone(one)
	binary.BigEndian.PutUint32(tooLong[model.MaxIdentifier:], 5)
	checkDecoder(t, func(p []byte) error { _, err := wire.DecodeAttributes(p); return err }, []decoding{
		{"none", nil, true},
		{"one", one, true},
		{"one without data", frames.AppendAttribute(nil, "a", nil), true},
		{"as many as indexes", list(wire.MaxAttributes), true},
		{"one more", list(wire.MaxAttributes + 1), false},
		{"in another order", append(frames.AppendAttribute(nil, "b", nil), one...), false},
		{"two for one index", append(bytes.Clone(one), one...), false},
		{"no index", frames.AppendAttribute(nil, "", nil), false},
		{"no identifier", frames.AppendAttribute(nil, "A", nil), false},
		{"shorter than it says", tooLong, false},
		{"a byte left over", append(bytes.Clone(one), 0), false},
		{"cut", one[:len(one)-1], false},
	})
}

func TestBatchLimits(t *testing.T) {
	op := func(o wire.Request) []byte { return frames.AppendBatchOp(nil, &o) }
	put := op(wire.Request{Op: model.OpPut, Object: []byte("x")})
	checkDecoder(t, func(p []byte) error { _, err := wire.DecodeBatch(p); return err }, []decoding{
		{"none", nil, false},
		{"a put", put, true},
		{"a delete", op(wire.Request{Op: model.OpDelete, Identity: pattern(1)}), true},
		{"a get", op(wire.Request{Op: model.OpGet}), false},
		{"a batch", op(wire.Request{Op: model.OpBatch}), false},
		{"most operations", bytes.Repeat(put, wire.MaxBatch), true},
		{"one more", bytes.Repeat(put, wire.MaxBatch+1), false},
		{"longest name", op(wire.Request{Op: model.OpPut, Name: make([]byte, model.MaxName)}), true},
		{"name over it", op(wire.Request{Op: model.OpPut, Name: make([]byte, model.MaxName+1)}), false},
		{"longest attributes", op(wire.Request{Op: model.OpPut, Query: make([]byte, model.MaxSubQuery)}), true},
		{"attributes over it", op(wire.Request{Op: model.OpPut, Query: make([]byte, model.MaxSubQuery+1)}), false},
		{"cut in an object", put[:len(put)-1], false},
		{"cut in a header", put[:20], false},
		{"a byte left over", append(bytes.Clone(put), 0), false},
	})
}

func TestGetManyLimits(t *testing.T) {
	name := frames.AppendWantedName(nil, []byte("n"))
	id := frames.AppendWantedIdentity(nil, pattern(1))
	checkDecoder(t, func(p []byte) error { _, err := wire.DecodeGetMany(p); return err }, []decoding{
		{"none", nil, false},
		{"a name", name, true},
		{"an identity", id, true},
		{"both", append(bytes.Clone(name), id...), true},
		{"the identity of no object", frames.AppendWantedIdentity(nil, identity.ID{}), false},
		{"most names", bytes.Repeat(name, wire.MaxGetMany), true},
		{"one more", bytes.Repeat(name, wire.MaxGetMany+1), false},
		{"most identities", bytes.Repeat(id, wire.MaxGetMany), true},
		{"one identity more", bytes.Repeat(id, wire.MaxGetMany+1), false},
		{"longest name", frames.AppendWantedName(nil, make([]byte, model.MaxName)), true},
		{"name over it", frames.AppendWantedName(nil, make([]byte, model.MaxName+1)), false},
		{"cut in a name", name[:len(name)-1], false},
		{"cut in an identity", id[:len(id)-1], false},
		{"cut in a length", name[:1], false},
		{"a byte left over", append(bytes.Clone(id), 0), false},
	})
}

func TestAfterLimits(t *testing.T) {
	list := make([]identity.ID, model.MaxAfter+1)
	for i := range list {
		list[i] = pattern(byte(i))
	}
	one := frames.AppendIdentities(nil, list[:1])
	checkDecoder(t, func(p []byte) error { _, err := wire.DecodeAfter(p); return err }, []decoding{
		{"none", nil, true},
		{"one", one, true},
		{"the identity of no object", make([]byte, identity.Size), true}, // the engine finds no such object
		{"two that are equal", append(bytes.Clone(one), one...), true},
		{"most identities", frames.AppendIdentities(nil, list[:model.MaxAfter]), true},
		{"one more", frames.AppendIdentities(nil, list), false},
		{"a byte over the most", append(frames.AppendIdentities(nil, list[:model.MaxAfter]), 0), false},
		{"cut", one[:len(one)-1], false},
		{"a byte left over", append(bytes.Clone(one), 0), false},
		{"an object", make([]byte, model.MaxObject), false},
	})
	got, err := wire.DecodeAfter(frames.AppendIdentities(nil, list[:3]))
	if err != nil || !slices.Equal(got, list[:3]) {
		t.Errorf("decoded as %x, %v; want the order to stay", got, err)
	}
}

func TestNextLimits(t *testing.T) {
	list := make([]identity.ID, model.MaxAfter+1)
	whole, truncated := wire.ReplyLast, wire.ReplyLast|wire.ReplyTruncated
	one, most, more := frames.AppendIdentities(nil, list[:1]), frames.AppendIdentities(nil, list[:model.MaxAfter]), frames.AppendIdentities(nil, list)
	for flags, cases := range map[wire.ReplyFlags][]decoding{
		whole: {{"whole: none", nil, true}, {"whole: one", one, false}, {"whole: a byte", one[:1], false}},
		truncated: {{"none", nil, true}, {"one", one, true}, {"most", most, true}, {"one more", more, false},
			{"cut", one[:len(one)-1], false}, {"a byte left over", append(bytes.Clone(most), 0), false}},
	} {
		checkDecoder(t, func(p []byte) error { _, err := frames.DecodeNext(p, &wire.ReplyHeader{Flags: flags}); return err }, cases)
	}
}

func TestRowLimits(t *testing.T) {
	with := func(change func(w *model.Row)) []byte {
		w := row
		change(&w)
		return frames.AppendRow(nil, &w)
	}
	set := func(at int, b byte) []byte {
		p := frames.AppendRow(nil, &row)
		p[at] = b
		return p
	}
	whole := frames.AppendRow(nil, &row)
	if len(whole) != 80 {
		t.Fatalf("a row has %d bytes", len(whole))
	}
	checkDecoder(t, func(p []byte) error { _, err := model.DecodeRow(p); return err }, []decoding{
		{"as it is", whole, true},
		{"a byte short", whole[:len(whole)-1], false},
		{"a byte long", append(bytes.Clone(whole), 0), false},
		{"no operation", with(func(w *model.Row) { w.Operations = 0 }), false},
		{"unknown operation", with(func(w *model.Row) { w.Operations |= 1 << model.OpGet }), false},
		{"highest data type", with(func(w *model.Row) { w.Type = model.TypeTime }), true},
		{"data type over it", with(func(w *model.Row) { w.Type = model.TypeTime + 1 }), false},
		{"not ordered", set(34, 0), true},
		{"ordered 2", set(34, 2), false},
		{"reserved byte set", set(35, 1), false},
		{"no input", with(func(w *model.Row) { w.MaxInput = 0 }), false},
		{"largest input", with(func(w *model.Row) { w.MaxInput = model.MaxObject }), true},
		{"input over it", with(func(w *model.Row) { w.MaxInput = model.MaxObject + 1 }), false},
		{"no results", with(func(w *model.Row) { w.MaxResults = 0 }), false},
		{"most results", with(func(w *model.Row) { w.MaxResults = model.MaxResultsLimit }), true},
		{"results over it", with(func(w *model.Row) { w.MaxResults = model.MaxResultsLimit + 1 }), false},
		{"no deadline", with(func(w *model.Row) { w.Deadline = 0 }), false},
		{"longest deadline", with(func(w *model.Row) { w.Deadline = model.MaxDeadline }), true},
		{"deadline over it", with(func(w *model.Row) { w.Deadline = model.MaxDeadline + 1 }), false},
		{"no memory", with(func(w *model.Row) { w.Memory = 0 }), false},
		{"leaks not capped", with(func(w *model.Row) { w.LeakBudget, w.IndexBudget = 0, 0 }), true},
		{"leaks capped for all", with(func(w *model.Row) { w.IndexBudget = math.MaxUint64 }), true},
		{"no shelf", with(func(w *model.Row) { w.Shelf = 0 }), true},
		{"largest shelf", with(func(w *model.Row) { w.Shelf = model.MaxShelf }), true},
		{"shelf over it", with(func(w *model.Row) { w.Shelf = model.MaxShelf + 1 }), false},
	})
}

func TestAlertLimits(t *testing.T) {
	of := func(r model.Reason) []byte { return model.AppendAlert(nil, &model.Alert{Reason: r, Collection: "c"}) }
	whole := of(model.LastReason)
	checkDecoder(t, func(p []byte) error { _, err := frames.DecodeAlert(p); return err }, []decoding{
		{"no reason", of(0), false},
		{"first reason", of(model.ReasonInvalidIdentity), true},
		{"last reason", whole, true},
		{"reason over it", of(model.LastReason + 1), false},
		{"a byte short", whole[:len(whole)-1], false},
		{"a byte long", append(bytes.Clone(whole), 0), false},
	})
}

// decoding is an input of a decoder, and whether the decoder must accept it.
type decoding struct {
	name  string
	input []byte
	ok    bool
}

// checkDecoder runs a decoder on all cases. It also checks that the decoder always returns the
// same error.
func checkDecoder(t *testing.T, decode func([]byte) error, cases []decoding) {
	t.Helper()
	for _, c := range cases {
		if err := decode(c.input); (err == nil) != c.ok || err != nil && !errors.Is(err, codec.ErrMalformed) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestExpressionsAreChecked: the program of an expression leaves one result, and its ordering leaf is one
// that each object of the result matches.
func TestExpressionsAreChecked(t *testing.T) {
	leaf := func(p []byte) []byte { return frames.AppendLeaf(p, model.TypeAny, "x", "p") }
	program := func(order int, steps string) []byte {
		p := []byte{byte(order)}
		for _, step := range steps {
			switch step {
			case 'x':
				p = leaf(p)
			default:
				p = append(p, byte(map[rune]wire.StepKind{'&': wire.StepAnd, '|': wire.StepOr, '-': wire.StepAndNot, '?': 5, '0': 0}[step]))
			}
		}
		return p
	}
	many := func(n int) string { return strings.Repeat("x", n) + strings.Repeat("&", n-1) }
	for _, c := range []struct {
		order int
		steps string
		ok    bool
	}{
		{0, "x", true}, {1, "x", true}, {2, "x", false},
		{0, "", false}, {0, "xx", false}, {0, "x&", false}, {0, "&", false}, {0, "xx&&", false}, {0, "xx?", false}, {0, "0", false},
		{0, "xx&x|", true}, {0, "xxx-|", true},
		{1, "xx&", true}, {2, "xx&", true}, {3, "xx&", false},
		{1, "xx|", false}, {2, "xx|", false}, {1, "xx-", true}, {2, "xx-", false},
		{1, "xx|x&", false}, {3, "xx|x&", true}, {1, "xxx|&", true}, {2, "xxx|&", false},
		{1, "xx&x-", true}, {2, "xx&x-", true}, {1, "xxx&-", true}, {2, "xxx&-", false}, {3, "xxx&-", false},
		{0, many(wire.MaxLeaves), true}, {wire.MaxLeaves, many(wire.MaxLeaves), true}, {0, many(wire.MaxLeaves + 1), false},
	} {
		x, err := wire.DecodeExpression(program(c.order, c.steps))
		if (err == nil) != c.ok {
			t.Errorf("order %d, program %q: %v", c.order, c.steps, err)
		}
		if err == nil && (x.Order != c.order || len(x.Program) != len(c.steps) || len(x.Leaves) != strings.Count(c.steps, "x")) {
			t.Errorf("order %d, program %q is decoded as %+v", c.order, c.steps, x)
		}
	}
	x, err := wire.DecodeExpression(program(0, "xx-xx&-"))
	excludes := []bool{false, true, true, true}
	for i := range x.Leaves {
		if x.Leaves[i].Excludes != excludes[i] {
			t.Errorf("leaf %d excludes: %v", i+1, !excludes[i])
		}
	}
	if err != nil {
		t.Error(err)
	}
	good := program(0, "x")
	for name, spoil := range map[string]func(p []byte) []byte{
		"a name that is none":         func(p []byte) []byte { p[3] = 'X'; return p },
		"no name":                     func(p []byte) []byte { p[3] = 0; return p },
		"an unknown data type":        func(p []byte) []byte { p[2] = byte(model.LastType) + 1; return p },
		"a length beyond the end":     func(p []byte) []byte { p[38]++; return p },
		"bytes behind the expression": func(p []byte) []byte { return append(p, 0) },
		"a byte missing":              func(p []byte) []byte { return p[:len(p)-1] },
	} {
		if _, err := wire.DecodeExpression(spoil(slices.Clone(good))); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}
