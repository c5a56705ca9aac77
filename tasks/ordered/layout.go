package main

import (
	"encoding/binary"
	"math"
)

// layout is how an entry on the shelf has a key: as few bytes as the type allows.
type layout[K any] struct {
	add  func(p []byte, k K) []byte
	read func(p []byte) (k K, rest []byte, ok bool) // k does not alias p
}

var (
	int64Layout   = layout[int64]{add: binary.AppendVarint, read: readVarint}
	float64Layout = layout[float64]{add: addFloat64, read: readFloat64}
	stringLayout  = layout[string]{add: addString, read: readString}
	boolLayout    = layout[bool]{add: addBool, read: readBool}
	timeLayout    = layout[instant]{add: addInstant, read: readInstant}
)

func readVarint(p []byte) (k int64, rest []byte, ok bool) {
	k, n := binary.Varint(p)
	if n <= 0 {
		return 0, nil, false
	}
	return k, p[n:], true
}

func addFloat64(p []byte, k float64) []byte {
	return binary.BigEndian.AppendUint64(p, math.Float64bits(k))
}

func readFloat64(p []byte) (k float64, rest []byte, ok bool) {
	if len(p) < 8 {
		return 0, nil, false
	}
	k = math.Float64frombits(binary.BigEndian.Uint64(p))
	return k + 0, p[8:], !math.IsNaN(k) && !math.IsInf(k, 0)
}

// addString writes the length of a string before its bytes.
func addString(p []byte, k string) []byte {
	return append(binary.AppendUvarint(p, uint64(len(k))), k...)
}

func readString(p []byte) (k string, rest []byte, ok bool) {
	size, n := binary.Uvarint(p)
	if n <= 0 || size > maxString || size > uint64(len(p)-n) {
		return "", nil, false
	}
	p = p[n:]
	return string(p[:size]), p[size:], true
}

func addInstant(p []byte, k instant) []byte {
	return binary.AppendVarint(binary.AppendVarint(p, k.second), int64(k.nanosecond))
}

func readInstant(p []byte) (k instant, rest []byte, ok bool) {
	second, p, ok := readVarint(p)
	if !ok {
		return k, nil, false
	}
	nanosecond, p, ok := readVarint(p)
	return instant{second, int32(nanosecond)}, p, ok && nanosecond >= 0 && nanosecond < 2e9
}

func addBool(p []byte, k bool) []byte { return append(p, byte(rankBool(k))) }

func readBool(p []byte) (k bool, rest []byte, ok bool) {
	if len(p) == 0 || p[0] > 1 {
		return false, nil, false
	}
	return p[0] == 1, p[1:], true
}
