package engine

import (
	"bytes"
	"encoding/binary"
	"testing"

	"motte/client/frames"
	"motte/core/access"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// written returns the bodies of records from a short life of a store, as realistic seeds for
// decoders.
func written(f *testing.F, want func(seglog.Kind) bool) (bodies [][]byte) {
	f.Helper()
	w := newWorld(f, 1)
	w.settle()
	w.register("c", "x", model.OptionAttribute|model.OptionOrdered)
	alice := access.Principal{0: 9}
	w.must(admin, wire.Request{Op: model.OpAddPrincipal, Identity: identity.ID(alice), Name: []byte("alice")}, model.OK)
	named := put("c", "one", "data of one")
	named.Query = frames.AppendAttribute(nil, "x", []byte("input"))
	w.must(admin, named, model.OK)
	w.must(admin, put("c", "", "no name"), model.OK)
	w.must(admin, put("c", "empty", ""), model.OK)
	for _, r := range w.disk {
		if want(r.Kind) {
			bodies = append(bodies, r.Body)
		}
	}
	return bodies
}

// Each record has exactly one encoding: if a decoder accepts bytes, encoding the result gives
// the same bytes. Records are sealed, so only the Core writes them. Their form is checked
// nevertheless.

func FuzzDecodeObject(f *testing.F) {
	for _, p := range written(f, func(k seglog.Kind) bool { return k == seglog.KindPut }) {
		f.Add(p)
		f.Add(p[:len(p)/2])
	}
	f.Add([]byte{})
	f.Add([]byte{0, 1, 0xff, 0xff, 0xff, 0xff, 'n'}) // attributes longer than the rest of the record
	f.Fuzz(func(t *testing.T, p []byte) {
		o, err := DecodeObject(p)
		if err != nil {
			return
		}
		again := binary.BigEndian.AppendUint16(nil, uint16(len(o.Name)))
		again = binary.BigEndian.AppendUint32(again, uint32(len(o.Attributes)))
		again = append(append(append(again, o.Name...), o.Attributes...), o.Data...)
		if !bytes.Equal(again, p) {
			t.Fatalf("%+v encoded again as\n%x, was\n%x", o, again, p)
		}
	})
}

// encodedAgain decodes the body of a record of the catalogue, and encodes it again.
func encodedAgain(kind seglog.Kind, p []byte) (again []byte, err error) {
	var n item
	switch kind {
	case seglog.KindRegisterTask:
		n, err = decodeRegistered(p)
	case seglog.KindAddPrincipal:
		n, err = decodePrincipal(p)
	case seglog.KindRemovePrincipal:
		n, err = decodePrincipalRemoval(p)
	case seglog.KindRotatePrincipal:
		n, err = decodeRotation(p)
	case seglog.KindCreateCollection:
		n, err = decodeCreation(p)
	case seglog.KindGrant, seglog.KindRevoke:
		n, err = decodeGrant(p)
	case seglog.KindQuota:
		var quota model.Quota
		quota, err = decodeQuotaLimit(p)
		n = quotaLimit(quota)
	case seglog.KindCreateIndex:
		n, err = decodeDefinition(p)
	case seglog.KindDropIndex:
		n, err = decodeIndexDrop(p)
	default:
		return nil, codec.ErrMalformed
	}
	if err != nil {
		return nil, err
	}
	return n.record(1).Body, nil
}

// FuzzCatalogueRecords: a body that is accepted has a single encoding.
func FuzzCatalogueRecords(f *testing.F) {
	if n := len(written(f, func(k seglog.Kind) bool { return k >= seglog.KindCreateCollection && k <= seglog.KindRevoke })); n < 3 {
		f.Fatalf("only %d records to begin with", n)
	}
	kinds := []seglog.Kind{seglog.KindRegisterTask, seglog.KindAddPrincipal, seglog.KindRemovePrincipal,
		seglog.KindRotatePrincipal, seglog.KindCreateCollection, seglog.KindGrant, seglog.KindQuota, seglog.KindCreateIndex,
		seglog.KindDropIndex}
	for _, kind := range kinds {
		for _, p := range written(f, func(k seglog.Kind) bool { return k == kind }) {
			f.Add(byte(kind), p)
			f.Add(byte(kind), p[:len(p)-1])
		}
		f.Add(byte(kind), make([]byte, fixedSize))
		f.Add(byte(kind), []byte{})
	}
	f.Fuzz(func(t *testing.T, kind byte, p []byte) {
		if again, err := encodedAgain(seglog.Kind(kind), p); err == nil && !bytes.Equal(again, p) {
			t.Fatalf("kind %d encoded again as\n%x, was\n%x", kind, again, p)
		}
	})
}

// FuzzRestore: if a catalogue is restored from any list of records, its own checkpoint restores
// the same catalogue.
func FuzzRestore(f *testing.F) {
	w := indexed(f, model.OptionOrdered)
	w.add(access.Principal{0: 9}, "alice")
	_, piece, _ := w.e.Checkpoint()
	f.Add(piece)
	f.Add(piece[:len(piece)/2])
	f.Add([]byte("00000000\x01")) // an object does not belong to the catalogue
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		first, second := New(w.e.Config), New(w.e.Config)
		if first.Restore(0, p) != nil {
			return
		}
		_, want, _ := first.Checkpoint()
		if err := second.Restore(0, want); err != nil {
			t.Fatal(err)
		}
		if _, got, _ := second.Checkpoint(); !bytes.Equal(got, want) {
			t.Fatalf("%x comes back as\n%x", want, got)
		}
	})
}

// FuzzRestorePiece: a restored piece of objects encodes to the same bytes, and the mapping finds
// every object that it yields.
func FuzzRestorePiece(f *testing.F) {
	w := full(f, 3)
	w.stuff("c", 1, 3)
	c := w.checkpoint()
	for _, piece := range c.pieces[1:] {
		f.Add(piece)
	}
	f.Add([]byte{0, 0, 0, 1})
	f.Add(make([]byte, 4+47))
	f.Fuzz(func(t *testing.T, p []byte) {
		e := New(w.e.Config)
		if err := e.Restore(0, c.pieces[0]); err != nil {
			t.Fatal(err)
		}
		if e.Restore(1, p) != nil {
			return
		}
		_, _, rest := e.Checkpoint()
		if got := e.Section(&rest, len(p)); !bytes.Equal(got, p) || e.Section(&rest, 1) != nil {
			t.Fatalf("%x comes back as\n%x", p, got)
		}
		for _, o := range all(e) {
			if got, ok := e.live(o.Collection, o.ID.Value()); !ok || got != o {
				t.Fatalf("%+v is not found", o)
			}
		}
	})
}
