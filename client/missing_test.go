package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"motte/core/model"
	"motte/core/wire"
)

// objectOf returns the body of an object's frame.
func objectOf(first byte) []byte {
	p := append([]byte{first}, make([]byte, 31)...)
	p = binary.BigEndian.AppendUint16(p, 1)
	return append(p, 'a'+first, '.')
}

// lacking answers a LIST in two parts. Each part lacks objects. It answers a SEARCH with the
// first part. A truncated answer says that there are more objects.
func lacking(c conn) {
	for q, ok := c.request(); ok; q, ok = c.request() {
		missing := func(first byte, code model.Code) {
			c.send(wire.ReplyHeader{Kind: wire.KindMissing, Number: q.Number}, wire.AppendMissing(nil, Identity{first}, code))
		}
		next := Identity{}
		end := wire.ReplyHeader{Kind: wire.KindEnd, Number: q.Number, Flags: wire.ReplyLast}
		switch {
		case q.Op == model.OpHead:
		case q.Identity != Identity{128}:
			c.reply(q.Number, wire.KindObject, 0, objectOf(1))
			missing(2, model.Expired)
			missing(3, model.Damaged)
			c.reply(q.Number, wire.KindObject, 0, objectOf(4))
			end.Code, next = model.Damaged, Identity{128}
			if string(q.Query) == "more" {
				end.Flags |= wire.ReplyTruncated
			}
		default:
			c.reply(q.Number, wire.KindObject, 0, objectOf(130))
			missing(131, model.ReadFailed)
			end.Code = model.ReadFailed
		}
		if q.Op != model.OpList {
			c.send(end, nil)
		} else {
			c.send(end, next[:])
		}
	}
}

// TestWhatIsMissingComesLast: an answer that lacks objects yields all others, in all parts of a
// LIST. Then an error names the missing objects.
func TestWhatIsMissingComesLast(t *testing.T) {
	ctx := context.Background()
	c, err := Dial(ctx, fake(t, lacking))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, k := range []struct {
		name      string
		list      func(yield func(Object, error) bool)
		shown     string
		missing   string
		temporary bool
		truncated bool
	}{
		{"list", c.List(ctx, "c"), "1 4 130 ", "2 3 131 ", false, false},
		{"search", c.Search(ctx, Query{Collection: "c", Index: "x"}), "1 4 ", "2 3 ", false, false},
		{"search with a limit", c.Search(ctx, Query{Collection: "c", Index: "x", Limit: 10}), "1 4 ", "2 3 ", false, false},
		{"search of which there is more", c.Search(ctx, Query{Collection: "c", Index: "x", Predicate: "more"}), "1 4 ", "2 3 ", false, true},
	} {
		var shown, lacks string
		var last error
		for o, err := range k.list {
			if last != nil {
				t.Fatalf("%s: an element follows the error", k.name)
			}
			if last = err; err == nil {
				shown += fmt.Sprint(o.Identity[0], " ")
			}
		}
		var m *MissingError
		if !errors.As(last, &m) || !errors.Is(last, ErrDamaged) || Temporary(last) || errors.Is(last, ErrTruncated) != k.truncated {
			t.Fatalf("%s: the answer ends with %v; want a MissingError", k.name, last)
		}
		for _, o := range m.Objects {
			lacks += fmt.Sprint(o.Identity[0], " ")
		}
		if shown != k.shown || lacks != k.missing || m.Count != len(m.Objects) || !strings.Contains(last.Error(), "0300000000") {
			t.Errorf("%s: shown %s; missing %s, %d: %v", k.name, shown, lacks, m.Count, last)
		}
	}
	for range c.List(ctx, "c") {
		break // a caller that leaves the loop gets no error
	}
}

func TestAMissingErrorIsBounded(t *testing.T) {
	var m *MissingError
	for range maxMissing + 5 {
		m = m.join(&MissingError{Objects: []Missing{{Identity: Identity{1}, Err: ErrReadFailed}}, Count: 1})
	}
	if len(m.Objects) != maxMissing || m.Count != maxMissing+5 || len(m.Error()) > 1000 || !Temporary(m) {
		t.Errorf("the error names %d of %d missing objects: %v", len(m.Objects), m.Count, m)
	}
	if damaged := m.join(&MissingError{}); !slices.Equal(damaged.Objects, m.Objects) {
		t.Error("joining with an empty error changes the error")
	}
}
