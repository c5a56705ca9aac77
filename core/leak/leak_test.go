package leak

import (
	"math"
	"math/big"
	"testing"
)

// exact returns the logarithm that Selection bounds, in bits, without rounding the number of
// answers.
func exact(n, k uint64, ordered bool) float64 {
	answers := new(big.Int).Binomial(int64(n), int64(k))
	if ordered {
		answers.Mul(answers, new(big.Int).MulRange(1, int64(k)))
	}
	mantissa := new(big.Float)
	exponent := new(big.Float).SetInt(answers).MantExp(mantissa)
	m, _ := mantissa.Float64()
	return float64(exponent) + math.Log2(m)
}

// check checks that Selection returns at least the exact logarithm, and at most slack bits more.
func check(t *testing.T, n, k uint64, ordered bool, slack float64) {
	t.Helper()
	got, want := float64(Selection(n, k, ordered))/float64(Bit), exact(n, k, ordered)
	if got < want-1e-9 || got > want+slack {
		t.Errorf("Selection of %d of %d, ordered %v, is %v bits; the exact value is %v", k, n, ordered, got, want)
	}
}

const unit = 1.0 / float64(Bit)

func TestSelectionsOfKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		n, k    uint64
		ordered bool
		want    uint64 // bits, rounded up
	}{
		{0, 0, false, 0},      // a single answer: the collection is empty
		{10, 10, false, 0},    // a single answer: all objects
		{10, 0, true, 0},      // a single answer: no object
		{3, 1, false, 2},      // 3 answers
		{52, 5, false, 22},    // 2,598,960 hands of poker
		{52, 5, true, 29},     // dealt in 311,875,200 ways
		{1000, 10, false, 78}, // log2 C(1000,10) = 77.80
		{5, 5, true, 7},       // all objects, in 5! = 120 orders
	} {
		if got := Selection(c.n, c.k, c.ordered).Up(); got != c.want {
			t.Errorf("%d of %d, ordered %v: %d bits, want %d", c.k, c.n, c.ordered, got, c.want)
		}
	}
}

func TestSelectionBoundsEverySmallAnswer(t *testing.T) {
	for n := range uint64(130) {
		for k := range n + 1 {
			check(t, n, k, false, 1.01*unit)
			check(t, n, k, true, 1.01*unit)
		}
	}
}

// TestSelectionIsNeverLowForLargeStores, with up to 2^40 objects. Their mapping would take 60 TB
// of memory. The logarithms of their factorials are very large. So the charge may be a third of
// a bit too high, but must never be too low.
func TestSelectionIsNeverLowForLargeStores(t *testing.T) {
	for bits := 8; bits <= 40; bits++ {
		for _, n := range []uint64{1<<bits - 1, 1 << bits, 1<<bits + 1} {
			for _, k := range []uint64{1, 2, 10, 100} {
				check(t, n, k, false, 0.5)
				check(t, n, k, true, 0.5)
			}
		}
	}
}

// TestSelectionOfMoreThanThereIs: a count of objects that is too low must not make an answer
// cheap.
func TestSelectionOfMoreThanThereIs(t *testing.T) {
	for _, n := range []uint64{0, 1, 7, 1000} {
		for _, k := range []uint64{n + 1, 2*n + 1} {
			if got := Selection(n, k, false); got < Whole(k) {
				t.Errorf("Selection of %d of %d costs %d units; want at least the cost of an answer of this size among as many objects", k, n, got)
			}
		}
	}
}

func TestLogIsRoundedUp(t *testing.T) {
	for n := uint64(1); n < 10_000; n++ {
		got, want := float64(Log(n))/float64(Bit), math.Log2(float64(n))
		if got < want || got > want+1.01*unit {
			t.Errorf("log2 %d: %v, want %v", n, got, want)
		}
	}
	for bits := range 64 {
		n := uint64(1) << bits
		if got := Log(n); got != Bits(bits)*Bit {
			t.Errorf("log2 of 2^%d: %d units", bits, got)
		}
		if got := Log(n + 1); n > 1 && got <= Bits(bits)*Bit {
			t.Errorf("log2 of 2^%d+1: %d units", bits, got)
		}
	}
	if got := Log(0); got != 64*Bit {
		t.Errorf("log2 of 2^64: %d units", got)
	}
	if got := Log(math.MaxUint64); got != 64*Bit && got != 64*Bit+1 {
		t.Errorf("log2 of 2^64-1: %d units", got)
	}
}

func TestBitsSaturate(t *testing.T) {
	if Unlimited.Plus(1) != Unlimited || Bit.Plus(Unlimited) != Unlimited || Bit.Minus(2*Bit) != 0 ||
		Whole(math.MaxUint64) != Unlimited || Whole(3) != 3*Bit || (Bit+1).Up() != 2 || (Bit+1).Down() != 1 || Bit.Up() != 1 {
		t.Error("a sum of charges wraps around; want the maximum")
	}
}

// parts returns 2^-charge.
func parts(b Bits) float64 { return math.Exp2(-float64(b) / float64(Bit)) }

// TestTheChargesOfAQueryAreAPrefixCode checks Kraft's inequality: for all answers to a query,
// together with sixteen codes. It covers any number of versions, and any number of versions that
// appear meanwhile.
func TestTheChargesOfAQueryAreAPrefixCode(t *testing.T) {
	for versions := uint64(0); versions < 5; versions++ {
		for limit := uint64(0); limit < 7; limit++ {
			for _, which := range []bool{false, true} {
				for _, ordered := range []bool{false, true} {
					sum := 16 * parts(Rare)
					for since := range uint64(200) {
						n := versions + since
						for k := range min(limit, n) + 1 {
							answers := 2.0 // truncated, or not
							if which {
								answers *= math.Exp2(exact(n, k, ordered))
							}
							c := Choice{Versions: versions, Since: since, Limit: limit, Shown: k, Which: which, Ordered: ordered}
							sum += answers * parts(c.Charge())
						}
					}
					if sum > 1 || sum < 0.9 {
						t.Errorf("%d versions, limit %d, which %v, ordered %v: the sum is %v; want at most 1", versions, limit, which, ordered, sum)
					}
				}
			}
		}
	}
}

// TestTheChargesOfAPutAreAPrefixCode: the answer to a PUT says whether an input was refused. The
// answer to a batch of n PUTs says this for each PUT.
func TestTheChargesOfAPutAreAPrefixCode(t *testing.T) {
	for _, n := range []Bits{1, 2, 3, 17, 128, 1024} {
		sum := 0.0
		for refused := range n + 1 {
			ways := math.Exp2(exact(uint64(n), uint64(refused), false))
			sum += ways * parts(refused*NotIndexed+(n-refused)*Indexed)
		}
		if sum > 1+1e-9 || sum < 0.999 {
			t.Errorf("a batch of %d: the sum is %v; want at most 1", n, sum)
		}
	}
}
