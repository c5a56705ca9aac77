package main

import (
	"encoding/binary"
	"slices"

	"motte/sdk"
	"motte/tasks/internal/inverted"
)

// An entry on the shelf has the terms of an object, in ascending order of their names. For each field
// it has the pointer, the number of values, and the values. Before each text stands its length.

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	n, ok := x.objects.Find(v)
	if !ok {
		return e, false
	}
	o := x.objects.At(n)
	names := make([]string, len(o.Data))
	for i, t := range o.Data {
		names[i] = x.terms.list[t].name
	}
	slices.Sort(names)
	x.scratch = appendTerms(x.scratch[:0], names)
	return sdk.Entry{Identity: o.ID, Owner: o.Owner, Data: x.scratch}, true
}

// Restore implements sdk.Keeper. It leaves the sets of the terms to Restored.
func (x *index) Restore(e sdk.Entry) bool {
	x.beginRestore()
	x.drop(e.Identity.Value())
	names, ok := readTerms(x.fields.read[:0], e.Data)
	x.fields.read = names
	if !ok {
		return false
	}
	x.hold(e.Identity, e.Owner, names)
	return true
}

// beginRestore forgets the sets of the terms, which Restored makes.
func (x *index) beginRestore() {
	if x.restore {
		return
	}
	x.restore = true
	for n := range x.terms.list {
		x.terms.list[n].objects = inverted.Set{}
	}
}

// Restored implements sdk.BulkKeeper.
func (x *index) Restored() {
	x.restore = false
	x.terms.fill(func(yield func(inverted.Number, []termNumber) bool) {
		x.objects.All().Iterate(func(n inverted.Number) bool { return yield(n, x.objects.At(n).Data) })
	})
}

// appendTerms appends names of terms to p. They ascend.
func appendTerms(p []byte, names []string) []byte {
	for len(names) > 0 {
		field, _ := splitName(names[0])
		same := slices.IndexFunc(names, func(name string) bool {
			other, _ := splitName(name)
			return other != field
		})
		if same < 0 {
			same = len(names)
		}
		p = appendText(p, field)
		p = binary.AppendUvarint(p, uint64(same))
		for _, name := range names[:same] {
			_, value := splitName(name)
			p = appendText(p, value)
		}
		names = names[same:]
	}
	return p
}

func appendText(p []byte, s string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(s))), s...)
}

// readTerms appends the names of the terms in an entry to names. It returns false if they do not
// ascend, or are more or longer than those of an object can be.
func readTerms(names []string, p []byte) (list []string, ok bool) {
	for len(p) > 0 {
		field, rest, ok := readText(p, maxField)
		count, n := binary.Uvarint(rest)
		if !ok || n <= 0 || count == 0 || count > uint64(maxValues-len(names)) {
			return names, false
		}
		p = rest[n:]
		for range count {
			var value string
			if value, p, ok = readText(p, 1+maxPlain); !ok {
				return names, false
			}
			name := termName(field, value)
			if last := len(names) - 1; last >= 0 && names[last] >= name {
				return names, false
			}
			names = append(names, name)
		}
	}
	return names, true
}

func readText(p []byte, most uint64) (s string, rest []byte, ok bool) {
	size, n := binary.Uvarint(p)
	if n <= 0 || size > most || size > uint64(len(p)-n) {
		return "", nil, false
	}
	p = p[n:]
	return string(p[:size]), p[size:], true
}
