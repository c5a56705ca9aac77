package sdk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"motte/core/codec"
)

// snapshots saves a Snapshotter as a whole, in the parts that blobs can hold. The place of a blob is
// the number of its snapshot. A snapshot begins with the number of the voids, and the identity of
// each.
type snapshots struct {
	index Snapshotter
	held  *held
	quota int64

	changes int    // since the last snapshot began
	whole   uint64 // the number of the last snapshot whose parts are all on the shelf
	number  uint64 // of the last snapshot that was begun
	part    uint32
	rest    []byte // the parts of this snapshot that are not on the shelf yet
	out     []byte

	loading, loaded []io.Reader // the parts of a snapshot that are not complete, and that are
}

// snapshotFactor bounds the bytes that are written for each byte of a change: a snapshot is due
// when one in snapshotFactor entries has changed.
const snapshotFactor = 4

func (s *snapshots) changed(*Value, bool) { s.changes++ }

func (s *snapshots) anew() { s.whole, s.rest = 0, nil }

func (s *snapshots) superseded(b *blob) bool { return b.place.circle < s.whole }

// due reports whether a snapshot is worth its bytes.
func (s *snapshots) due() bool {
	count := s.held.entries.count + s.held.voids.count
	if s.whole == 0 {
		return count > 0
	}
	return s.changes*snapshotFactor > count
}

func (s *snapshots) next(room int) ([]byte, place) {
	if s.rest == nil && (!s.due() || !s.begin()) {
		return nil, place{}
	}
	n := min(len(s.rest), room-snapshotHead)
	last := n == len(s.rest)
	s.out = codec.Writer(s.out[:0]).U8(kindSnapshot).U64(s.number).U32(s.part).Bool(last).Bytes(s.rest[:n])
	s.rest, s.part = s.rest[n:], s.part+1
	if last {
		s.rest, s.whole = nil, s.number
	}
	return s.out, place{circle: s.number}
}

// begin writes a snapshot to memory. It returns false if it can't, or if the quota does not cover
// the snapshot.
func (s *snapshots) begin() bool {
	var w bytes.Buffer
	w.Write(binary.AppendUvarint(nil, uint64(s.held.voids.count)))
	s.held.voids.ascend(new(Value), func(v *Value, g *tag) bool {
		id := join(v, g)
		w.Write(id[:])
		return true
	})
	s.changes = 0
	if err := s.index.Save(&w); err != nil || int64(w.Len()) > s.quota/4*3 {
		return false
	}
	s.rest, s.part, s.number = w.Bytes(), 0, s.number+1
	return true
}

func (s *snapshots) stored(blob []byte) (place, bool) {
	if len(blob) < snapshotHead || blob[0] != kindSnapshot {
		return place{}, false
	}
	r := codec.NewReader(blob[1:])
	number, part, last := r.U64(), r.U32(), r.Bool()
	if part == 0 {
		s.loading, s.number = nil, number
	}
	if number != s.number || int(part) != len(s.loading) {
		return place{}, false
	}
	s.loading = append(s.loading, bytes.NewReader(bytes.Clone(r.Rest())))
	if last {
		s.loaded, s.loading, s.whole = s.loading, nil, number
	}
	return place{circle: number}, true
}

var errSnapshot = errors.New("not a snapshot")

// ready loads the last snapshot that is complete.
func (s *snapshots) ready() (restored chan struct{}) {
	parts := io.MultiReader(s.loaded...)
	s.loading, s.loaded = nil, nil
	if s.whole == 0 {
		return nil
	}
	voids, err := readVoids(parts)
	if err == nil {
		err = s.index.Load(parts)
	}
	if err != nil {
		s.whole = 0
		return nil
	}
	for i := range voids {
		s.held.voids.put(&voids[i])
	}
	for id := range s.index.Held() {
		v := id.Value()
		s.held.voids.drop(&v)
		s.held.entries.put(&id)
	}
	return nil
}

// readVoids reads the identities at the beginning of a snapshot.
func readVoids(in io.Reader) (voids []Identity, err error) {
	count, err := binary.ReadUvarint(byteReader{in})
	if err != nil {
		return nil, errSnapshot
	}
	var id Identity
	for ; count > 0; count-- {
		if _, err := io.ReadFull(in, id[:]); err != nil {
			return nil, errSnapshot
		}
		voids = append(voids, id)
	}
	return voids, nil
}

// byteReader reads single bytes.
type byteReader struct{ io.Reader }

// ReadByte implements io.ByteReader.
func (r byteReader) ReadByte() (byte, error) {
	var p [1]byte
	_, err := io.ReadFull(r, p[:])
	return p[0], err
}
