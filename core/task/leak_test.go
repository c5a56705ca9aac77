package task

import (
	"math"
	"math/big"
	"testing"
)

// exactBits is the logarithm that LeakBits bounds, of a number of answers that
// was not rounded.
func exactBits(n, k uint64, ordered bool) float64 {
	answers := new(big.Int).Binomial(int64(n), int64(k))
	if ordered {
		answers.Mul(answers, new(big.Int).MulRange(1, int64(k)))
	}
	mantissa := new(big.Float)
	exponent := new(big.Float).SetInt(answers).MantExp(mantissa)
	m, _ := mantissa.Float64()
	return float64(exponent) + math.Log2(m)
}

// checkBits wants the exact logarithm rounded up, save that rounding on the
// way may have moved it by slack bits.
func checkBits(t *testing.T, n, k uint64, ordered bool, slack float64) {
	t.Helper()
	got, want := LeakBits(n, k, ordered), exactBits(n, k, ordered)
	if float64(got) < want-slack || float64(got) > math.Ceil(want+slack) {
		t.Errorf("%d of %d, ordered %v: %d bits, exactly %v", k, n, ordered, got, want)
	}
}

func TestLeakBitsOfKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		n, k    uint64
		ordered bool
		want    uint64
	}{
		{0, 0, false, 0},      // an empty collection can't tell
		{10, 10, false, 0},    // nor can all of it
		{10, 0, true, 0},      // nor nothing: that is one answer
		{3, 1, false, 2},      // 3 answers
		{52, 5, false, 22},    // 2,598,960 hands of poker
		{52, 5, true, 29},     // dealt in 311,875,200 ways
		{1000, 10, false, 78}, // log2 C(1000,10) = 77.80
		{5, 5, true, 7},       // 5! = 120 orders of all
	} {
		if got := LeakBits(c.n, c.k, c.ordered); got != c.want {
			t.Errorf("%d of %d, ordered %v: %d bits, want %d", c.k, c.n, c.ordered, got, c.want)
		}
	}
}

func TestLeakBitsBoundEverySmallAnswer(t *testing.T) {
	const slack = 1e-9
	for n := range uint64(130) {
		for k := range n + 1 {
			checkBits(t, n, k, false, slack)
			checkBits(t, n, k, true, slack)
		}
	}
}

// TestLeakBitsBoundAnswersOfLargeStores: up to 2^40 objects, whose mapping
// would take 60 TB of memory. The logarithms of their factorials are so large
// that a sixteenth of a bit may be lost.
func TestLeakBitsBoundAnswersOfLargeStores(t *testing.T) {
	const slack = 1.0 / 16
	for bits := 8; bits <= 40; bits++ {
		for _, n := range []uint64{1<<bits - 1, 1 << bits, 1<<bits + 1} {
			for _, k := range []uint64{1, 2, 10, 100} {
				checkBits(t, n, k, false, slack)
				checkBits(t, n, k, true, slack)
			}
		}
	}
}

// TestLeakBitsGrow: with the number of objects, with that of results as long
// as they are the smaller part, and if the order is told too.
func TestLeakBitsGrow(t *testing.T) {
	for n := uint64(1); n < 200; n++ {
		for k := uint64(1); k <= n; k++ {
			switch one, all := LeakBits(n, k, false), LeakBits(n, k, true); {
			case all < one:
				t.Errorf("%d of %d: %d bits with their order, %d without", k, n, all, one)
			case LeakBits(n+1, k, false) < one, LeakBits(n+1, k, true) < all:
				t.Errorf("%d of %d tell more than of %d", k, n, n+1)
			case 2*k <= n && LeakBits(n, k-1, false) > one, LeakBits(n, k-1, true) > all:
				t.Errorf("%d of %d tell more than %d", k-1, n, k)
			}
		}
	}
}

// TestLeakBitsOfMoreThanThereIs: a Task may name more than the collection has
// by now; that is no more than all of it.
func TestLeakBitsOfMoreThanThereIs(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		for _, n := range []uint64{0, 1, 7, 1000} {
			for _, k := range []uint64{n + 1, 2*n + 1, math.MaxUint64} {
				if got, want := LeakBits(n, k, ordered), LeakBits(n, n, ordered); got != want {
					t.Errorf("%d of %d, ordered %v: %d bits, all of them %d", k, n, ordered, got, want)
				}
			}
		}
	}
	for _, k := range []uint64{0, math.MaxUint64} {
		if got := LeakBits(math.MaxUint64, k, false); got != 0 {
			t.Errorf("%d of as many as can be counted: %d bits, want 0", k, got)
		}
	}
}
