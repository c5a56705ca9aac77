package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"motte/client"
	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// Objects that are to be sorted are kept in memory.
const (
	maxSorted      = 10_000   // objects
	maxSortedBytes = 64 << 20 // bytes of objects, their names and the sorted parts
)

// sortKey is a part of JSON objects by which they are sorted.
type sortKey struct {
	text       string // as it was given
	path       pointer.Pointer
	descending bool
}

// sortList is a list of sort keys as a flag, with commas between them.
type sortList struct{ to *[]sortKey }

// String implements pflag.Value.
func (l sortList) String() string {
	if l.to == nil {
		return ""
	}
	var texts []string
	for _, k := range *l.to {
		texts = append(texts, k.text)
	}
	return strings.Join(texts, ",")
}

// Type implements pflag.Value.
func (sortList) Type() string { return "pointers" }

// Set implements pflag.Value.
func (l sortList) Set(s string) error {
	var list []sortKey
	for _, text := range splitPointers(s, "/", "-/") {
		rest, descending := strings.CutPrefix(text, "-")
		path, err := parsePointer(rest)
		if err != nil {
			return err
		}
		list = append(list, sortKey{text, path, descending})
	}
	*l.to = list
	return nil
}

// sorted yields the same objects, sorted by their parts. Objects whose parts are equal stay in the
// order in which they came. Without keys it yields them as they come.
func sorted(objects iter.Seq2[client.Object, error], keys []sortKey) iter.Seq2[client.Object, error] {
	if len(keys) == 0 {
		return objects
	}
	return func(yield func(client.Object, error) bool) {
		list, err := gather(objects, keys)
		slices.SortStableFunc(list, func(a, b sortable) int { return a.compare(&b, keys) })
		for _, s := range list {
			if !yield(s.object, nil) {
				return
			}
		}
		if err != nil {
			yield(client.Object{}, err)
		}
	}
}

// gather reads all objects, or none if they are too many. It returns those before an error as well.
func gather(objects iter.Seq2[client.Object, error], keys []sortKey) (list []sortable, err error) {
	bytes := 0
	for o, err := range objects {
		if err != nil {
			return list, err
		}
		s := newSortable(o, keys)
		list = append(list, s)
		bytes += s.size()
		if len(list) > maxSorted || bytes > maxSortedBytes {
			return nil, fmt.Errorf("--sort keeps the answer in memory, at most %d objects and %s: give --limit, or narrow the query",
				maxSorted, size(maxSortedBytes))
		}
	}
	return list, nil
}

// sortable is an object with its values for the sort keys.
type sortable struct {
	object client.Object
	values []sortValue
}

func newSortable(o client.Object, keys []sortKey) sortable {
	s := sortable{object: o, values: make([]sortValue, len(keys))}
	if ijson.Check(o.Data) != nil {
		return s
	}
	for i, k := range keys {
		if value, ok := k.path.Value(o.Data); ok {
			s.values[i] = newSortValue(value)
		}
	}
	return s
}

func (s *sortable) size() int {
	n := len(s.object.Data) + len(s.object.Name)
	for _, v := range s.values {
		n += len(v.text)
	}
	return n
}

// compare compares two objects by the keys in turn. An object without a value comes last, also in
// descending order.
func (s *sortable) compare(other *sortable, keys []sortKey) int {
	for i, k := range keys {
		a, b := &s.values[i], &other.values[i]
		order := a.compare(b)
		if k.descending && a.kind != noValue && b.kind != noValue {
			order = -order
		}
		if order != 0 {
			return order
		}
	}
	return 0
}

// sortKind orders values of different types.
type sortKind int

const (
	noValue sortKind = iota // after all others: the part is missing or null, or the object is not JSON
	numberValue
	stringValue
	falseValue
	trueValue
	arrayValue
	objectValue
)

// sortValue is a JSON value that can be compared with others.
type sortValue struct {
	kind   sortKind
	number decimal // of a number
	text   string  // of a string: itself; of an array or object: compacted JSON
}

func newSortValue(value []byte) (v sortValue) {
	switch value[0] {
	case 'n':
		return v
	case 'f':
		v.kind = falseValue
	case 't':
		v.kind = trueValue
	case '"':
		v.kind = stringValue
		_ = json.Unmarshal(value, &v.text) // can't fail: the value is a valid string
	case '[', '{':
		if v.kind = arrayValue; value[0] == '{' {
			v.kind = objectValue
		}
		var b bytes.Buffer
		_ = json.Compact(&b, value) // can't fail: the value is valid
		v.text = b.String()
	default:
		v.kind, v.number = numberValue, newDecimal(string(value))
	}
	return v
}

// compare orders all values: numbers by value, then strings by their code points, false, true,
// arrays and objects by their text.
func (v *sortValue) compare(other *sortValue) int {
	switch {
	case v.kind != other.kind && v.kind == noValue:
		return 1
	case v.kind != other.kind && other.kind == noValue:
		return -1
	case v.kind != other.kind:
		return cmp.Compare(v.kind, other.kind)
	case v.kind == numberValue:
		return v.number.compare(&other.number)
	}
	return strings.Compare(v.text, other.text)
}
