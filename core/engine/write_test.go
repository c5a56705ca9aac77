package engine

import (
	"bytes"
	"testing"

	"motte/core/model"
	"motte/core/wire"
)

// TestThePutsBodyIsTheRecords: the body of a client's PUT is sealed in place. It equals the body
// of the same operation in a batch.
func TestThePutsBodyIsTheRecords(t *testing.T) {
	name, object := []byte("name"), []byte("the object")
	for _, name := range [][]byte{name, nil} {
		r := wire.Request{Op: model.OpPut, Number: 1, Collection: "c", NameLen: len(name), ObjectLen: len(object)}
		p := append(bytes.Repeat([]byte{0xff}, RecordFront), append(bytes.Clone(name), object...)...)
		q, code := PrepareBody(r, p)
		if code != model.OK {
			t.Fatalf("code %d", code)
		}
		body := q.Writes[0].body
		if want := appendObject(name, nil, object); !bytes.Equal(body, want) || &body[0] != &p[0] {
			t.Errorf("the record's body is %x, want %x, in place", body, want)
		}
		o, err := DecodeObject(body)
		if err != nil || !bytes.Equal(o.Name, name) || !bytes.Equal(o.Data, object) {
			t.Errorf("the record has %q as %q: %v", o.Data, o.Name, err)
		}
	}
	r := wire.Request{Op: model.OpDelete, Number: 1, Collection: "c", NameLen: len(name)}
	if q, code := PrepareBody(r, append(make([]byte, RecordFront), name...)); code != model.OK || q.Writes[0].body != nil {
		t.Errorf("a DELETE: code %d", code)
	}
}
