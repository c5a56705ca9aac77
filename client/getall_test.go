package client

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"motte/core/model"
	"motte/core/wire"
)

// named returns the body of an object's frame. The object's data is its name.
func named(name string) []byte {
	p := binary.BigEndian.AppendUint16(make([]byte, 32), uint16(len(name)))
	p[0] = name[0]
	return append(append(p, name...), name...)
}

// many answers a GETMANY. Names that begin with n are not found, and names that begin with d are
// damaged. If the first name is "swapped", the answer is in reverse order. With "more" it has
// one object too many, and with "less" one too few.
func many(c conn) {
	for q, ok := c.request(); ok; q, ok = c.request() {
		if q.Op == model.OpHead {
			c.reply(q.Number, wire.KindEnd, 0, nil)
			continue
		}
		list, err := wire.DecodeGetMany(q.Query)
		end := wire.ReplyHeader{Kind: wire.KindEnd, Number: q.Number, Flags: wire.ReplyLast, Count: uint32(len(list))}
		if err != nil {
			end.Code = model.InvalidRequest
			c.send(end, nil)
			continue
		}
		first := string(list[0].Name)
		if first == "swapped" {
			list[0], list[1] = list[1], list[0]
		}
		if first == "less" {
			list = list[1:]
		}
		for _, w := range list {
			missing := wire.ReplyHeader{Kind: wire.KindMissing, Number: q.Number}
			switch name := string(w.Name); {
			case name == "":
				c.reply(q.Number, wire.KindObject, 0, append(append(w.Identity[:], 0, 0), '.'))
			case name[0] == 'n':
				end.Code = max(end.Code, model.NotFound)
				c.send(missing, wire.AppendMissing(nil, Identity{}, model.NotFound))
			case name[0] == 'd':
				end.Code = model.Damaged
				c.send(missing, wire.AppendMissing(nil, Identity{'d'}, model.Damaged))
			default:
				c.reply(q.Number, wire.KindObject, 0, named(name))
			}
		}
		if first == "more" {
			c.reply(q.Number, wire.KindObject, 0, named("more"))
		}
		c.send(end, nil)
	}
}

// TestGetAllKeepsTheOrder over several requests. The last element names the missing objects.
func TestGetAllKeepsTheOrder(t *testing.T) {
	ctx := context.Background()
	c, err := Dial(ctx, fake(t, many))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, n := range []int{0, 1, 2, wire.MaxGetMany, wire.MaxGetMany + 1, 3*wire.MaxGetMany + 7} {
		var names, want, gone []string
		for i := range n {
			name := fmt.Sprintf("%c%d", "aand"[i%4], i/2)
			names = append(names, name)
			if name[0] == 'a' {
				want = append(want, name)
			} else {
				gone = append(gone, name)
			}
		}
		var missing *MissingError
		for o, err := range c.GetAll(ctx, "c", names...) {
			if err != nil {
				if !errors.As(err, &missing) || len(want) > 0 {
					t.Fatalf("%d names: %v before %v", n, err, want)
				}
				continue
			}
			if len(want) == 0 || o.Name != want[0] || string(o.Data) != want[0] {
				t.Fatalf("%d names: %q came, want %q", n, o.Name, want)
			}
			want = want[1:]
		}
		if len(gone) > 0 != (missing != nil) || len(want) > 0 {
			t.Fatalf("%d names: the answer ends with %v; want an error about %q", n, missing, want)
		}
		for i, name := range gone {
			m := missing.Objects[i]
			not := name[0] == 'n'
			if m.Name != name || not != errors.Is(m.Err, ErrNotFound) || not != (m.Identity == Identity{}) {
				t.Fatalf("%d names: missing is %+v, want %q", n, m, name)
			}
		}
	}
	var ids []Identity
	for i := range 300 {
		ids = append(ids, Identity{1, byte(i), byte(i >> 8)})
	}
	i := 0
	for o, err := range c.GetAllIdentities(ctx, "c", ids...) {
		if err != nil || o.Identity != ids[i] {
			t.Fatalf("object %d: %x, %v", i, o.Identity, err)
		}
		i++
	}
	for range c.GetAll(ctx, "c", "a", "b") {
		break // a caller that leaves the loop gets no error
	}
}

// TestGetAllIsHeldAgainstWhatWasAsked: an answer with other objects than requested is an error.
func TestGetAllIsHeldAgainstWhatWasAsked(t *testing.T) {
	ctx := context.Background()
	c, err := Dial(ctx, fake(t, many))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, names := range [][]string{{"swapped", "b"}, {"more"}, {"less", "b"}, {"less", "n"}, {""}, {"a", string(make([]byte, model.MaxName+1))}} {
		var failed error
		for _, err := range c.GetAll(ctx, "c", names...) {
			failed = errors.Join(failed, err)
		}
		var missing *MissingError
		if failed == nil || errors.As(failed, &missing) {
			t.Errorf("%q: %v", names, failed)
		}
	}
	for _, err := range c.GetAllIdentities(ctx, "c", Identity{}) {
		if !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("GetAllIdentities of a zero identity returns %v; want ErrInvalidRequest", err)
		}
	}
}
