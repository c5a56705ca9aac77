package frames

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"motte/core/model"
	"motte/core/wire"
	"motte/internal/testutil"
)

// vectors is where the golden vectors of all frames are. The decoder of package wire is held to
// the same files.
const vectors = "../../core/wire/testdata"

// head is the head in the vectors.
var head = func() (h model.Head) {
	for i := range h.Segment {
		h.Segment[i], h.Chain[i] = byte(0xc0+i), byte(0xd0+i)
	}
	h.LSN = 4711
	return h
}()

// TestGoldenExpressions fixes the requests with an expression. The Core tells them from others by
// their index, which is empty.
func TestGoldenExpressions(t *testing.T) {
	ordered := AppendOrder(nil, 2)
	ordered = AppendLeaf(ordered, model.TypeInt64, "by_age", ">= 30 and < 40")
	ordered = AppendOperator(AppendLeaf(ordered, model.TypeAny, "notes", "+enclave -sgx"), wire.StepAnd)
	ordered = AppendOperator(AppendLeaf(ordered, model.TypeAny, "near", "[0.5, 1] top 100"), wire.StepAndNot)
	either := AppendOrder(nil, 0)
	either = AppendLeaf(either, model.TypeAny, "by_age", "< 18")
	either = AppendOperator(AppendLeaf(either, model.TypeAny, "by_age", "> 65"), wire.StepOr)
	alone := AppendLeaf(AppendOrder(nil, 0), model.TypeAny, "notes", "")
	for _, g := range []struct {
		name, comment string
		wire.Request
	}{
		{"search-expression", "SEARCH by_age AND notes AND NOT near, in the order of notes, for at most 10 identities", wire.Request{
			Op: model.OpSearch, Limit: 10, Flags: wire.FlagIDsOnly, Query: ordered}},
		{"search-explain", "SEARCH of two leaves, for what they cost", wire.Request{Op: model.OpSearch, Flags: wire.FlagExplain, Query: either}},
		{"count-expression", "COUNT of two leaves of one index, joined by OR", wire.Request{Op: model.OpCount, Query: either}},
		{"delete-where-expression", "DELETE WHERE with a single leaf, whose predicate is empty", wire.Request{Op: model.OpDeleteWhere, Query: alone}},
	} {
		g.Number, g.Collection = 0x0102030405060708, "people"
		testutil.Golden(t, filepath.Join(vectors, "request-"+g.name+".hex"), g.comment, AppendRequest(nil, &g.Request))
	}
}

// explained is the body of the golden vector.
var explained = []LeafWork{
	{Objects: 1200, Rounds: 1, Time: 3100 * time.Microsecond, Exhausted: true},
	{Objects: 10, Rounds: 2, Time: 400 * time.Microsecond, Ranked: true},
	{Rounds: 1, Time: time.Second, Exhausted: true},
}

// appendExplain encodes the body of a wire.KindExplain frame like the Core.
func appendExplain(list []LeafWork) (p []byte) {
	for _, w := range list {
		p = binary.BigEndian.AppendUint32(p, w.Objects)
		p = binary.BigEndian.AppendUint32(p, w.Rounds)
		p = binary.BigEndian.AppendUint64(p, uint64(w.Time.Microseconds()))
		flags := byte(0)
		if w.Exhausted {
			flags |= byte(wire.ExplainExhausted)
		}
		if w.Ranked {
			flags |= byte(wire.ExplainRanked)
		}
		p = append(p, flags)
	}
	return p
}

// TestGoldenExplain fixes the frame that says what the leaves cost.
func TestGoldenExplain(t *testing.T) {
	body := appendExplain(explained)
	h := wire.ReplyHeader{Kind: wire.KindExplain, Number: 0x0102030405060708, BodyLen: len(body), Head: head}
	p := append(wire.AppendReplyHeader(nil, &h), body...)
	testutil.Golden(t, filepath.Join(vectors, "reply-explain.hex"), "What the three leaves of a SEARCH cost: instead of its objects", p)
	if got, code := DecodeReplyHeader(p[:wire.ReplyHeaderSize]); code != model.OK || got != h {
		t.Errorf("code %d, header %+v; want %+v", code, got, h)
	}
	if got, err := DecodeExplain(body); err != nil || !slices.Equal(got, explained) {
		t.Errorf("decoded as %+v, %v; want %+v", got, err, explained)
	}
}

// TestExplainIsDecodedStrictly: it has 1 to 16 whole leaves, and no unknown flag is set.
func TestExplainIsDecodedStrictly(t *testing.T) {
	good := appendExplain(explained)
	flagged := bytes.Clone(good)
	flagged[len(flagged)-1] = 4
	late := bytes.Clone(good)
	late[8] = 0xff // microseconds that no duration holds
	for name, body := range map[string][]byte{
		"no leaf":            nil,
		"too many leaves":    appendExplain(make([]LeafWork, wire.MaxLeaves+1)),
		"cut off":            good[:len(good)-1],
		"a byte more":        append(bytes.Clone(good), 0),
		"an unknown flag":    flagged,
		"an impossible time": late,
	} {
		if list, err := DecodeExplain(body); err == nil {
			t.Errorf("%s: decoded as %+v", name, list)
		}
	}
}

// FuzzDecodeExplain: what is decoded has one encoding.
func FuzzDecodeExplain(f *testing.F) {
	f.Add(appendExplain(explained))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		if list, err := DecodeExplain(p); err == nil && !bytes.Equal(appendExplain(list), p) {
			t.Fatalf("%x is decoded as %+v, which is encoded otherwise", p, list)
		}
	})
}
