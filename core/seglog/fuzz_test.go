package seglog

import (
	"bytes"
	"maps"
	"slices"
	"testing"

	"motte/internal/testutil"
)

// FuzzReplay replaces a segment by any bytes: the oldest, the newest, or one in the middle of a
// store with relocated records. Only written records may be read, even if all damage is
// accepted, and reading must end.
func FuzzReplay(f *testing.F) {
	good := store(f)
	w := mustOpen(f, good, 3)
	testutil.Must(f, w.write(2), w.carry(1), w.write(2), w.l.Resume(), w.write(1))
	for i, name := range good.names(segmentSuffix) {
		f.Add(good.files[name], uint8(i), false)
		f.Add(good.files[name][:len(good.files[name])/2], uint8(i), true)
		f.Add(slices.Concat(good.files[name], make([]byte, 100)), uint8(i), true)
	}
	names := good.names(segmentSuffix)
	f.Fuzz(func(t *testing.T, p []byte, place uint8, accept bool) {
		d := good.clone()
		d.files[names[int(place)%len(names)]] = p
		w, err := openWith(d, 9, accept)
		if w == nil || w.l == nil {
			return
		}
		if !w.authentic() {
			t.Fatal("the log read a record that was never written")
		}
		if err == nil && !accept {
			if err := w.verify(); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range w.l.Segments() {
			_ = w.l.Walk(s.Number, func(r Record, at Location) error {
				if r.LSN == 0 || len(r.Sealed) != int(at.Length) {
					t.Fatal("the replay returned no record")
				}
				return nil
			})
		}
	})
}

// FuzzReadHeader: a segment's header is accepted only if it equals the written one.
func FuzzReadHeader(f *testing.F) {
	good := store(f)
	keys, _, err := OpenKeys(root, good.files[KeysNames[0]])
	testutil.Must(f, err)
	for _, name := range good.names(segmentSuffix) {
		f.Add(good.files[name], uint32(2))
		f.Add(good.files[name][:headerSize], uint32(3))
	}
	f.Add([]byte(segmentMagic), uint32(1))
	f.Fuzz(func(t *testing.T, p []byte, id uint32) {
		d := newDisk()
		name := segmentName(id)
		d.files[name] = p
		l := &Log{storage: d, store: keys.Store(), keys: keys, segments: make(map[uint32]*segment)}
		if err := l.readHeader(id, File{name, int64(len(p))}); err != nil {
			return
		}
		for id, s := range l.segments {
			if was := good.files[segmentName(id)]; string(p[:headerSize]) != string(was[:min(headerSize, len(was))]) {
				t.Fatalf("a header that was never written is accepted: %v", s)
			}
		}
	})
}

// FuzzOpenKeys: a file of the data keys opens only if it is one that was written.
func FuzzOpenKeys(f *testing.F) {
	good := store(f).files[KeysNames[0]]
	old := golden(f, "store-v3.hex").files[KeysNames[0]]
	for _, p := range [][]byte{good, old, good[:24], good[:40], nil} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if k, _, err := OpenKeys(root, p); k != nil && (err != nil || !bytes.Equal(p, good) && !bytes.Equal(p, old)) {
			t.Fatalf("data keys that were never written are accepted: %x", p)
		}
	})
}

// FuzzRestore replaces the newest checkpoint by any bytes. The state must be the same, from this
// checkpoint or from the older one.
func FuzzRestore(f *testing.F) {
	good := settled(f)
	names := good.names(checkpointSuffix)
	newest := names[len(names)-1]
	for _, name := range names {
		f.Add(good.files[name])
	}
	want := mustOpen(f, good.clone(), 9)
	f.Fuzz(func(t *testing.T, p []byte) {
		d := good.clone()
		d.files[newest] = p
		w, err := open(d, 9)
		testutil.Must(t, err)
		same(t, want, w)
	})
}

// FuzzRestorePlace tries any bytes as the log's section of a checkpoint. Only the owner of the key
// can write one. It must be refused, or stay the same when it is encoded again.
func FuzzRestorePlace(f *testing.F) {
	good := settled(f)
	w := mustOpen(f, good, 9)
	f.Add(w.l.footer(w.l.Position()))
	f.Add(w.l.footer(Position{}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		w, err := newWorld(good, good, 9, true)
		testutil.Must(t, err)
		if w.l.restoreFooter(p) != nil {
			return
		}
		l := &Log{segments: maps.Clone(w.l.segments), history: w.l.history}
		got := l.footer(w.l.pos)
		again := &Log{segments: maps.Clone(w.l.segments), damaged: func(*DamageError) error { return nil }}
		if again.restoreFooter(got) != nil || again.pos != w.l.pos || !slices.Equal(again.history, w.l.history) {
			t.Fatal("an accepted section, encoded and decoded again, is another one")
		}
	})
}
