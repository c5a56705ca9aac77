package wasm

import "unsafe"

// index is the index of this module.
var index Index

// Serve sets the index that answers. Call it from an init function: main does not run in a reactor.
func Serve(x Index) { index = x }

// The functions of the runner: docs/reference/wasm-abi.md.

//go:wasmimport motte found
func found(object uint32) uint32

//go:wasmimport motte any_order
func anyOrder()

//go:wasmimport motte after_count
func afterCount() uint32

//go:wasmimport motte after
func after(i uint32) uint32

//go:wasmimport motte starts_after
func startsAfter(i uint32)

//go:wasmimport motte candidate_count
func candidateCount() uint32

//go:wasmimport motte candidate
func candidate(i uint32) uint32

//go:wasmimport motte is_candidate
func isCandidate(object uint32) uint32

//go:wasmimport motte write
func write(data unsafe.Pointer, size uint32)

// allObjects is the number of candidates if the client wants all objects.
const allObjects = 1<<32 - 1

// place is where the runner puts what it hands over.
var place = make([]byte, 4096)

// record is the buffer of records that are saved.
var record []byte

//go:wasmexport motte_buffer
func buffer(size uint32) unsafe.Pointer {
	if int(size) > len(place) {
		place = make([]byte, size)
	}
	return unsafe.Pointer(unsafe.SliceData(place))
}

//go:wasmexport motte_configure
func configure(dataType, ordered, maxResults uint32, _ unsafe.Pointer, size uint32) uint32 {
	return uint32(index.Configure(Config{Type: int(dataType), Ordered: ordered == 1, MaxResults: int(maxResults), Options: place[:size]}))
}

//go:wasmexport motte_insert
func insert(object uint32, owner uint64, _ unsafe.Pointer, size uint32) uint32 {
	return uint32(index.Insert(Object(object), Owner(owner), place[:size]))
}

//go:wasmexport motte_remove
func remove(object uint32) { index.Remove(Object(object)) }

//go:wasmexport motte_search
func search(_ unsafe.Pointer, size, limit uint32, owner uint64) uint32 {
	q := Query{Predicate: place[:size], Limit: int(limit), Owner: Owner(owner)}
	for i := range afterCount() {
		q.After = append(q.After, Object(after(i)))
	}
	if n := candidateCount(); n != allObjects {
		q.Narrowed = true
		for i := range n {
			q.Candidates = append(q.Candidates, Object(candidate(i)))
		}
	}
	objects, result := index.Search(&q)
	if result == OK && objects != nil {
		for o := range objects {
			if found(uint32(o)) == 0 {
				break
			}
		}
	}
	return uint32(result)
}

//go:wasmexport motte_save
func save(object uint32) uint32 {
	s, ok := index.(Saver)
	if !ok {
		return uint32(Nothing)
	}
	saved := s.Save(Object(object), record[:0])
	if saved == nil {
		return uint32(Nothing)
	}
	record = saved
	write(unsafe.Pointer(unsafe.SliceData(saved)), uint32(len(saved)))
	return uint32(OK)
}

//go:wasmexport motte_load
func load(object uint32, owner uint64, _ unsafe.Pointer, size uint32) uint32 {
	if s, ok := index.(Saver); ok {
		return uint32(s.Load(Object(object), Owner(owner), place[:size]))
	}
	return uint32(Refused)
}
