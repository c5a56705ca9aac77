package main

import (
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// vector describes a text by its words: each word adds one to, or subtracts one from, a number that the
// word's hash selects. Texts with the same words have near vectors. It stands for the model of
// embeddings that a real application has.
type vector [64]int

// vectorOf returns the vector of the longer words of a text.
func vectorOf(text string) (v vector) {
	for word := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) }) {
		if len(word) < 4 {
			continue
		}
		h := fnv.New32a()
		h.Write([]byte(word))
		sum := h.Sum32()
		v[sum%uint32(len(v))] += 1 - 2*int(sum>>31)
	}
	return v
}

// zero reports whether the vector has no direction. Then the index does not hold it.
func (v vector) zero() bool { return v == vector{} }

// distance is the cosine distance of two vectors.
func (v vector) distance(other vector) float64 {
	var product, a, b float64
	for i := range v {
		product += float64(v[i] * other[i])
		a += float64(v[i] * v[i])
		b += float64(other[i] * other[i])
	}
	return 1 - product/math.Sqrt(a*b)
}

// String writes the vector as JSON.
func (v vector) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return "[" + strings.Join(parts, ",") + "]"
}
