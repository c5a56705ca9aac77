package main

// The distances between two vectors of the same length. They are replaced by faster ones on processors
// for which the library has them.
var (
	squaredL2         = plainSquaredL2
	dotProduct        = plainDotProduct
	squaredL2OfBytes  = plainSquaredL2OfBytes
	dotProductOfBytes = plainDotProductOfBytes
)

func plainSquaredL2(a, b []float32) (sum float32) {
	for i, x := range a {
		d := x - b[i]
		sum += d * d
	}
	return sum
}

func plainDotProduct(a, b []float32) (sum float32) {
	for i, x := range a {
		sum += x * b[i]
	}
	return sum
}

func plainSquaredL2OfBytes(a, b []uint8) (sum uint32) {
	for i, x := range a {
		d := int32(x) - int32(b[i])
		sum += uint32(d * d)
	}
	return sum
}

func plainDotProductOfBytes(a, b []uint8) (sum uint32) {
	for i, x := range a {
		sum += uint32(x) * uint32(b[i])
	}
	return sum
}
