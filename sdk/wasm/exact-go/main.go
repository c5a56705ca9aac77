// Command exact-go is a Task as a WebAssembly module: it finds the objects whose input equals the
// predicate, byte for byte. It has no configuration. An input has at most 1024 bytes.
package main

import (
	"iter"
	"maps"
	"slices"

	"motte/sdk/wasm"
)

const maxKey = 1024 // bytes

// index holds the objects of each key, and the key of each object.
type index struct {
	keys    map[string]map[wasm.Object]bool
	objects map[wasm.Object]string
}

func init() { wasm.Serve(&index{make(map[string]map[wasm.Object]bool), make(map[wasm.Object]string)}) }

func main() {}

// Configure implements wasm.Index.
func (x *index) Configure(c wasm.Config) wasm.Result {
	if len(c.Options) > 0 {
		return wasm.Refused
	}
	return wasm.OK
}

// Insert implements wasm.Index.
func (x *index) Insert(o wasm.Object, _ wasm.Owner, input []byte) wasm.Result {
	switch {
	case len(input) == 0:
		return wasm.Nothing
	case len(input) > maxKey:
		return wasm.Refused
	}
	key := string(input)
	if x.keys[key] == nil {
		x.keys[key] = make(map[wasm.Object]bool)
	}
	x.keys[key][o] = true
	x.objects[o] = key
	return wasm.OK
}

// Remove implements wasm.Index.
func (x *index) Remove(o wasm.Object) {
	key := x.objects[o]
	delete(x.objects, o)
	delete(x.keys[key], o)
	if len(x.keys[key]) == 0 {
		delete(x.keys, key)
	}
}

// Search implements wasm.Index.
func (x *index) Search(q *wasm.Query) (iter.Seq[wasm.Object], wasm.Result) {
	q.AnyOrder()
	key := string(q.Predicate)
	if !q.Narrowed {
		return maps.Keys(x.keys[key]), wasm.OK
	}
	others := func(o wasm.Object) bool { return x.objects[o] != key }
	return slices.Values(slices.DeleteFunc(q.Candidates, others)), wasm.OK
}

// Save implements wasm.Saver: a record is the input.
func (x *index) Save(o wasm.Object, record []byte) []byte { return append(record, x.objects[o]...) }

// Load implements wasm.Saver.
func (x *index) Load(o wasm.Object, owner wasm.Owner, record []byte) wasm.Result {
	return x.Insert(o, owner, record)
}
