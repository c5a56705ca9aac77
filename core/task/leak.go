package task

import "math"

// LeakBits bounds the covert choice in an answer of k out of n identities, in
// bits, rounded up: log2 C(n,k) for which ones they are, plus log2 k! for
// their order if the Task's order is kept (design, section 7, "Leak meter").
// It is what a Task that was taken over could tell a colluding client by the
// answer alone. Up to 2^40 objects it is at most 1/16 of a bit too low.
func LeakBits(n, k uint64, ordered bool) uint64 {
	k = min(k, n)
	nats := lnFactorial(n) - lnFactorial(n-k)
	if !ordered {
		nats -= lnFactorial(k)
	}
	return uint64(math.Ceil(math.Max(0, nats/math.Ln2)))
}

func lnFactorial(n uint64) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}
