package wire_test

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"motte/client/frames"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
	"motte/internal/testutil"
)

// Each message has exactly one encoding: if a decoder accepts bytes, encoding the result gives
// the same bytes.

// seeds adds the golden frames of a kind, without their first skip bytes.
func seeds(f *testing.F, glob string, skip int) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", glob))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no golden frames %s: %v", glob, err)
	}
	for _, path := range paths {
		f.Add(testutil.ReadGolden(f, path)[skip:])
	}
}

func same(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("encoded again as\n%x, was\n%x", got, want)
	}
}

func FuzzRequest(f *testing.F) {
	seeds(f, "request-*.hex", 0)
	f.Fuzz(func(t *testing.T, p []byte) {
		r, code := decodeRequest(p)
		if !frames.ValidCode(code) {
			t.Fatalf("code %d", code)
		}
		if code == model.OK && r.Op != 0 { // operation 0 does not exist
			same(t, frames.AppendRequest(nil, &r), p)
		}
	})
}

func FuzzAttributes(f *testing.F) {
	r, _ := decodeRequest(testutil.ReadGolden(f, "testdata/request-put-name.hex"))
	f.Add(r.Query)
	f.Fuzz(func(t *testing.T, p []byte) {
		attributes, err := wire.DecodeAttributes(p)
		if err != nil {
			return
		}
		var again []byte // a set of attributes has one encoding
		for _, index := range slices.Sorted(maps.Keys(attributes)) {
			again = frames.AppendAttribute(again, index, attributes[index])
		}
		same(t, again, p)
	})
}

func FuzzBatch(f *testing.F) {
	seeds(f, "request-batch.hex", wire.RequestHeaderSize)
	f.Fuzz(func(t *testing.T, p []byte) {
		ops, err := wire.DecodeBatch(p)
		if err != nil {
			return
		}
		var again []byte
		for i := range ops {
			again = frames.AppendBatchOp(again, &ops[i])
		}
		same(t, again, p)
	})
}

func FuzzGetMany(f *testing.F) {
	seeds(f, "request-get-many.hex", wire.RequestHeaderSize)
	f.Fuzz(func(t *testing.T, p []byte) {
		list, err := wire.DecodeGetMany(p)
		if err != nil {
			return
		}
		var again []byte
		for _, w := range list {
			if len(w.Name) > 0 {
				again = frames.AppendWantedName(again, w.Name)
			} else {
				again = frames.AppendWantedIdentity(again, w.Identity)
			}
		}
		same(t, again, p)
	})
}

func FuzzAfter(f *testing.F) {
	r, _ := decodeRequest(testutil.ReadGolden(f, "testdata/request-search-after.hex"))
	f.Add(r.Object)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		list, err := wire.DecodeAfter(p)
		if err != nil {
			return
		}
		if len(list) > model.MaxAfter {
			t.Fatalf("%d identities; want %d at most", len(list), model.MaxAfter)
		}
		same(t, frames.AppendIdentities(nil, list), p)
	})
}

func FuzzNext(f *testing.F) {
	seeds(f, "reply-end-search*.hex", wire.ReplyHeaderSize)
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, flags := range []wire.ReplyFlags{wire.ReplyLast, wire.ReplyLast | wire.ReplyTruncated} {
			if again, err := next(flags)(p, 0); err == nil {
				same(t, again, p)
			}
		}
	})
}

func FuzzRow(f *testing.F) {
	f.Add(frames.AppendRow(nil, &row))
	f.Fuzz(func(t *testing.T, p []byte) {
		if w, err := model.DecodeRow(p); err == nil {
			same(t, frames.AppendRow(nil, &w), p)
		}
	})
}

func FuzzMissing(f *testing.F) {
	seeds(f, "reply-missing.hex", wire.ReplyHeaderSize)
	f.Fuzz(func(t *testing.T, p []byte) {
		if id, code, err := frames.DecodeMissing(p); err == nil {
			same(t, wire.AppendMissing(nil, id, code), p)
		}
	})
}

func FuzzQuota(f *testing.F) {
	f.Add(model.AppendQuota(nil, model.Quota{Bytes: 1, Objects: 2}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		if q, err := model.DecodeQuota(p); err == nil {
			same(t, model.AppendQuota(nil, q), p)
		}
	})
}

func FuzzAlert(f *testing.F) {
	seeds(f, "reply-alert*.hex", wire.ReplyHeaderSize)
	f.Fuzz(func(t *testing.T, p []byte) {
		if a, err := frames.DecodeAlert(p); err == nil {
			same(t, model.AppendAlert(nil, &a), p)
		}
	})
}

func FuzzReplyHeader(f *testing.F) {
	seeds(f, "reply-refused.hex", 0)
	f.Fuzz(func(t *testing.T, p []byte) {
		if h, code := frames.DecodeReplyHeader(p); code == model.OK {
			same(t, wire.AppendReplyHeader(nil, &h), p)
		}
	})
}

func FuzzObject(f *testing.F) {
	seeds(f, "reply-object*.hex", wire.ReplyHeaderSize)
	f.Fuzz(func(t *testing.T, p []byte) {
		if again, err := object(p, 0); err == nil {
			same(t, again, p)
		}
	})
}

func FuzzIdentities(f *testing.F) {
	seeds(f, "reply-identities.hex", wire.ReplyHeaderSize)
	f.Fuzz(func(t *testing.T, p []byte) {
		if again, err := identities(p, uint32(len(p)/identity.Size)); err == nil {
			same(t, again, p)
		}
	})
}

func FuzzResults(f *testing.F) {
	one, two := pattern(0x20), pattern(0x60)
	f.Add(byte(wire.ReplyNotIndexed), append(append(one[:], two[:]...), byte(wire.ReplyNotIndexed), 0))
	f.Add(byte(wire.ReplyLast), one[:])
	f.Fuzz(func(t *testing.T, flags byte, p []byte) {
		for count := range uint32(4) {
			h := wire.ReplyHeader{Count: count, Flags: wire.ReplyFlags(flags)}
			list, err := frames.DecodeResults(p, &h, true)
			if err != nil {
				continue
			}
			var again, marks []byte
			var all wire.ReplyFlags
			for _, r := range list {
				again, marks, all = append(again, r.Identity[:]...), append(marks, byte(r.Flags)), all|r.Flags
			}
			if all != 0 {
				again = append(again, marks...)
			}
			if len(list) != int(count) || !bytes.Equal(again, p) || all&^wire.ReplyFlags(flags) != 0 {
				t.Fatalf("%x with flags %d are %d results %v", p, flags, count, list)
			}
		}
	})
}

func FuzzExpression(f *testing.F) {
	for _, name := range []string{"search", "count", "delete-where"} {
		r, _ := decodeRequest(testutil.ReadGolden(f, "testdata/request-"+name+"-expression.hex"))
		f.Add(r.Query)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		x, err := wire.DecodeExpression(p)
		if err != nil {
			return
		}
		again := frames.AppendOrder(nil, x.Order)
		leaves := x.Leaves
		for _, kind := range x.Program {
			if kind == wire.StepLeaf {
				again = frames.AppendLeaf(again, leaves[0].Type, leaves[0].Index, string(leaves[0].Predicate))
				leaves = leaves[1:]
				continue
			}
			again = frames.AppendOperator(again, kind)
		}
		same(t, again, p)
	})
}
