package wire_test

import (
	"bytes"
	"testing"

	"motte/client/frames"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/wire"
)

func TestReplyHeaderLimits(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(h *wire.ReplyHeader)
		want  model.Code
	}{
		{"as it is", func(*wire.ReplyHeader) {}, model.OK},
		{"kind 0", func(h *wire.ReplyHeader) { h.Kind = 0 }, model.Malformed},
		{"highest kind", func(h *wire.ReplyHeader) { h.Kind = wire.KindExplain }, model.OK},
		{"kind over it", func(h *wire.ReplyHeader) { h.Kind = wire.KindExplain + 1 }, model.Malformed},
		{"highest code", func(h *wire.ReplyHeader) { h.Code = model.LastCode }, model.OK},
		{"code over it", func(h *wire.ReplyHeader) { h.Code = model.LastCode + 1 }, model.Malformed},
		{"longest body", func(h *wire.ReplyHeader) { h.BodyLen = frames.MaxReplyBody }, model.OK},
		{"body over it", func(h *wire.ReplyHeader) { h.BodyLen = frames.MaxReplyBody + 1 }, model.Malformed},
	} {
		h := wire.ReplyHeader{Kind: wire.KindEnd, Number: 1}
		c.spoil(&h)
		p := wire.AppendReplyHeader(nil, &h)
		if len(p) != wire.ReplyHeaderSize {
			t.Fatalf("a reply header has %d bytes", len(p))
		}
		if got, code := frames.DecodeReplyHeader(p); code != c.want || code == model.OK && got != h {
			t.Errorf("%s: code %d, want %d", c.name, code, c.want)
		}
	}
	p := wire.AppendReplyHeader(nil, &wire.ReplyHeader{Kind: wire.KindEnd})
	for name, c := range map[string]struct {
		input []byte
		want  model.Code
	}{
		"empty":           {nil, model.Malformed},
		"a byte short":    {p[:len(p)-1], model.Malformed},
		"a byte long":     {append(bytes.Clone(p), 0), model.Malformed},
		"a request":       {append([]byte(wire.RequestMagic), p[4:]...), model.Malformed},
		"another version": {append([]byte(wire.ReplyMagic+"\x02"), p[5:]...), model.UnsupportedVersion},
	} {
		if _, code := frames.DecodeReplyHeader(c.input); code != c.want {
			t.Errorf("%s: code %d, want %d", name, code, c.want)
		}
	}
}

func TestObjectLimits(t *testing.T) {
	of := func(name, data int) []byte {
		p := objectBody(identity.ID{}, make([]byte, name), make([]byte, data))
		if len(p) != identity.Size+2+name+data {
			t.Fatalf("an object of %d and %d bytes has %d", name, data, len(p))
		}
		return p
	}
	checkDecoder(t, func(p []byte) error { _, err := frames.DecodeObject(p); return err }, []decoding{
		{"empty object without a name", of(0, 0), true},
		{"shorter than that", of(0, 0)[:identity.Size+1], false},
		{"longest name", of(model.MaxName, 0), true},
		{"name over it", of(model.MaxName+1, 0), false},
		{"largest object", of(model.MaxName, model.MaxObject), true},
		{"object over it", of(0, model.MaxObject+1), false},
		{"cut in the name", of(2, 0)[:identity.Size+3], false},
	})
	if largest := len(of(model.MaxName, model.MaxObject)); largest > frames.MaxReplyBody {
		t.Errorf("the largest object needs a body of %d bytes", largest)
	}
}

func TestIdentitiesAreAsManyAsCounted(t *testing.T) {
	two := make([]byte, 2*identity.Size)
	for _, c := range []struct {
		name  string
		input []byte
		count uint32
		ok    bool
	}{
		{"none", nil, 0, true}, {"two", two, 2, true}, {"one too few", two, 3, false}, {"one too many", two, 1, false},
		{"a byte short", two[1:], 2, false}, {"a count whose size wraps", nil, 1 << 27, false}, {"highest count", two, 1<<32 - 1, false},
	} {
		if ids, err := frames.DecodeIdentities(c.input, c.count); (err == nil) != c.ok || c.ok && len(ids) != int(c.count) {
			t.Errorf("%s: %d identities, %v", c.name, len(ids), err)
		}
	}
}
