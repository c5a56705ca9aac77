package sdk

import (
	"math/bits"
	"slices"

	"motte/core/taskwire"
)

// shelf records the blobs that the Core keeps for the next process.
type shelf struct {
	quota int64
	used  int64  // bytes of the quota
	last  uint64 // the highest number of a blob
	blobs []blob // in ascending order of their numbers
	unset int    // the last of blobs, since the last Set
}

type blob struct {
	number uint64
	size   int64 // bytes of the quota
	place  place // the saver says what this means
	bad    bool  // the saver could not read it
}

// saver decides what a shelf holds. A saving is a series of calls of next, until it returns nil,
// and then a call of superseded.
type saver interface {
	// stored gets a blob of an earlier process. It returns the place of the blob, or false if
	// the blob is of no use.
	stored(blob []byte) (place, bool)

	// ready comes after the last blob, if there was one. What is held is known then. The index must
	// not be used before restored is closed, unless it is nil.
	ready() (restored chan struct{})

	// changed comes after a change under a value. had says whether there was an entry before.
	changed(v *Value, had bool)

	// anew says that the shelf is empty.
	anew()

	// next returns the next blob, of room bytes at most, and its place. It returns nil if it has
	// no more to save, or needs more room. It may overwrite the blob in the next call.
	next(room int) ([]byte, place)

	// superseded reports whether a blob is of no more use. It may choose all or none of a prefix
	// of the blobs.
	superseded(*blob) bool
}

// The Core pads each blob: with blobHead bytes of its own, it takes a power of two of bytes. The
// record of a blob takes recordSize more bytes of the quota, at most.
const (
	minClass   = 4 << 10
	maxClass   = 128 << 10
	blobHead   = maxClass - taskwire.MaxBlob
	recordSize = 256
)

// class returns the bytes to which the Core pads a blob of n bytes.
func class(n int) int { return max(minClass, 1<<bits.Len(uint(n+blobHead-1))) }

// shelfParts is the least number of blobs that fill a quota. So a quota of a few blobs is not
// taken by one blob.
const shelfParts = 16

// room returns the most bytes that the next blob may have, if the Core grants so many. It is 0 if
// there is no room.
func (s *shelf) room(granted int) int {
	free := min(int64(granted+blobHead), s.quota-s.used-recordSize, max(s.quota/shelfParts, minClass), maxClass)
	if free < minClass {
		return 0
	}
	return 1<<(bits.Len64(uint64(free))-1) - blobHead
}

// stored adds a blob that the Core has kept.
func (s *shelf) stored(number uint64, n int, at place, ok bool) {
	s.add(number, n, at)
	s.blobs[len(s.blobs)-1].bad = !ok
	s.unset = 0
}

// add adds a new blob.
func (s *shelf) add(number uint64, n int, at place) {
	b := blob{number: number, size: int64(class(n) + recordSize), place: at}
	s.last, s.used, s.unset = number, s.used+b.size, s.unset+1
	s.blobs = append(s.blobs, b)
}

// anew forgets all blobs.
func (s *shelf) anew() { s.blobs, s.used, s.unset = nil, 0, 0 }

// drop forgets the superseded blobs, and returns their numbers. It goes on with the oldest blobs
// until an eighth of the quota is free: otherwise a full shelf would stay full.
func (s *shelf) drop(w saver) (numbers []uint64) {
	at := 0
	for at < len(s.blobs) && at < taskwire.MaxDropped && s.goes(w, &s.blobs[at]) {
		numbers = append(numbers, s.blobs[at].number)
		s.used -= s.blobs[at].size
		at++
	}
	s.blobs = slices.Delete(s.blobs, 0, at)
	s.unset = 0
	return numbers
}

// goes reports whether the oldest blob goes.
func (s *shelf) goes(w saver, b *blob) bool {
	full := s.quota - max(s.quota/8, minClass)
	return b.bad || w.superseded(b) || s.used > full
}
