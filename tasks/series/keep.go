package main

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"motte/sdk"
)

// An entry on the shelf has the time of an object as a varint, 8 bytes of its value, or none, after a byte
// that says which, and its key.

// pending is an object that is restored.
type pending struct {
	id     sdk.Identity
	owner  sdk.Owner
	key    string
	sample sample
}

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	c, at := x.find(v)
	if c == nil {
		return e, false
	}
	var buffer [chunkSize]sample
	s := c.samples(buffer[:0])[at]
	data := binary.AppendVarint(nil, s.time)
	if math.IsNaN(s.value) {
		data = append(data, 0)
	} else {
		data = binary.LittleEndian.AppendUint64(append(data, 1), math.Float64bits(s.value))
	}
	return sdk.Entry{Identity: c.ids[at], Owner: c.series.owner, Data: append(data, c.series.key...)}, true
}

// Restore implements sdk.Keeper. It leaves the chunks to Restored: an insertion into the middle of a chunk
// takes much longer than to fill one.
func (x *index) Restore(e sdk.Entry) bool {
	if x.pending == nil {
		x.pending = make(map[sdk.Value]pending)
	}
	v := e.Identity.Value()
	delete(x.pending, v)
	key, s, ok := x.source.readEntry(e.Data)
	if ok {
		x.pending[v] = pending{id: e.Identity, owner: e.Owner, key: key, sample: s}
	}
	return ok
}

// readEntry reads the data of an entry, and checks them: an attacker may have written them.
func (c *source) readEntry(data []byte) (key string, s sample, ok bool) {
	var n int
	s.time, n = binary.Varint(data)
	if n <= 0 || s.time < minTime || s.time > maxTime || len(data) == n {
		return "", s, false
	}
	kind, data := data[n], data[n+1:]
	s.value = noValue
	if kind == 1 && len(data) >= 8 {
		s.value = math.Float64frombits(binary.LittleEndian.Uint64(data)) + 0
		data = data[8:]
		ok = c.hasValue && !math.IsNaN(s.value) && !math.IsInf(s.value, 0)
	} else {
		ok = kind == 0
	}
	return strings.Clone(string(data)), s, ok && c.isKey(string(data))
}

// isKey reports whether a text is a key with the right number of parts, as appendPart writes them.
func (c *source) isKey(key string) bool {
	for range c.key {
		end := strings.Index(key, "\x00\x01")
		if end < 0 {
			return false
		}
		part := strings.ReplaceAll(key[:end], "\x00\xff", "\x00")
		if len(part) > maxPart || !utf8.ValidString(part) || string(appendPart(nil, part)) != key[:end+2] {
			return false
		}
		key = key[end+2:]
	}
	return key == ""
}

// Restored implements sdk.BulkKeeper. It sorts the objects, and fills the chunks.
func (x *index) Restored() {
	list := make([]pending, 0, len(x.pending))
	for _, p := range x.pending {
		list = append(list, p)
	}
	x.pending = nil
	slices.SortFunc(list, func(a, b pending) int {
		p := place{a.sample.time, a.id}
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.owner, b.owner), p.compare(b.sample.time, &b.id))
	})
	for len(list) > 0 {
		n := 1
		for n < min(len(list), chunkSize) && list[n].key == list[0].key && list[n].owner == list[0].owner {
			n++
		}
		x.fill(list[:n])
		list = list[n:]
	}
}

// fill adds a chunk at the end of a series.
func (x *index) fill(list []pending) {
	s := x.seriesOf(list[0].key, list[0].owner)
	c := x.addChunk(s, len(s.chunks))
	samples := make([]sample, 0, chunkSize)
	for i := range list {
		v := list[i].id.Value()
		c.ids = append(c.ids, list[i].id)
		samples = append(samples, list[i].sample)
		x.directory.add(&v, c.number)
	}
	c.ids = slices.Clip(c.ids)
	c.set(samples)
}
