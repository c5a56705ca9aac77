package main

import "math"

// Constants of BM25F, as usual.
const (
	saturation = 1.2  // k1: how soon further occurrences of a word count little
	lengthPart = 0.75 // b: how far the length of a text counts
)

// weight returns what a number of occurrences in a field counts.
func (x *search) weight(field int, s slot, times uint64) float64 {
	d := &x.index.documents
	return x.index.weights[field] * float64(times) / (1 - lengthPart + lengthPart*float64(d.lengths[field][s])*x.perMean[field])
}

// rarity returns the factor of a word that so many objects have.
func (x *search) rarity(count int) float64 {
	all := float64(len(x.index.documents.byValue))
	n := min(float64(count), all)
	return math.Log(1 + (all-n+0.5)/(n+0.5))
}

// saturated returns the part of the score that a weight is worth.
func saturated(weight float64) float64 { return weight * (saturation + 1) / (weight + saturation) }
