package leak

import (
	"math"
	"math/big"
	"testing"

	"motte/core/model"
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

// mostLast is the most objects of which a truncated answer says that they were named last.
const mostLast = model.MaxAfter

// answersTo returns the answers with k of n objects that a client can tell apart: those that
// are not truncated, and those that are. A truncated answer that names objects says which of
// them the Task named last, and in which order.
func answersTo(n, k uint64, which, ordered bool) (whole, truncated float64) {
	if !which {
		return 1, 1
	}
	whole = math.Exp2(exact(n, k, ordered))
	if ordered {
		return whole, whole // the order of the answer says this already
	}
	return whole, whole * math.Exp2(exact(k, min(k, mostLast), true))
}

// TestTheChargesOfAQueryAreAPrefixCode: Kraft's inequality holds for all answers to a query,
// for any number of versions that appear meanwhile, together with sixteen codes.
func TestTheChargesOfAQueryAreAPrefixCode(t *testing.T) {
	for versions := uint64(0); versions < 5; versions++ {
		for _, limit := range []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12} {
			for _, which := range []bool{false, true} {
				for _, ordered := range []bool{false, true} {
					sum := 16 * parts(Rare)
					partial := sum
					for since := range uint64(200) {
						n := versions + since
						for k := range min(limit, n) + 1 {
							whole, truncated := answersTo(n, k, which, ordered)
							c := Choice{Versions: versions, Since: since, Limit: limit, Shown: k, Which: which, Ordered: ordered}
							sum += whole * parts(c.Charge())
							c.Last = min(k, mostLast)
							sum += truncated * parts(c.Charge())
							c.Last, c.Partial = 0, true
							partial += 3 * whole * parts(c.Charge())
						}
					}
					if partial > 1 || partial < 0.9 {
						t.Errorf("%d versions, limit %d, which %v, ordered %v: with partial answers, the sum is %v, want at most 1",
							versions, limit, which, ordered, partial)
					}
					if sum > 1 || sum < 0.9 {
						t.Errorf("%d versions, limit %d, which %v, ordered %v: the sum is %v, want at most 1",
							versions, limit, which, ordered, sum)
					}
				}
			}
		}
	}
}

// TestLastObjectsAreCharged: the charge for the objects named last is log2 of k!/(k-8)!, with
// every k. An ordered answer and a COUNT do not pay for them.
func TestLastObjectsAreCharged(t *testing.T) {
	for _, shown := range []uint64{0, 1, 2, 7, 8, 9, 10, 100, 1 << 20} {
		c := Choice{Versions: 1 << 20, Limit: 1 << 20, Shown: shown, Which: true}
		plain := c.Charge()
		c.Last = min(shown, mostLast)
		got := float64(c.Charge().Minus(plain)) / float64(Bit)
		want := exact(shown, c.Last, true)
		// The sum is rounded up once more. For large numbers the charge is a little too high.
		if got < want-1e-9 || got > want+0.001 {
			t.Errorf("%d of %d objects are named last: %v bits more, want %v", c.Last, shown, got, want)
		}
		for _, free := range []Choice{{Ordered: true, Which: true}, {Which: false}} {
			c.Ordered, c.Which, c.Last = free.Ordered, free.Which, 0
			plain = c.Charge()
			c.Last = min(shown, mostLast)
			if got := c.Charge(); got != plain {
				t.Errorf("ordered %v, which %v: %d units more for objects named last, want none",
					c.Ordered, c.Which, got.Minus(plain))
			}
		}
	}
}

// TestMoreLastThanShownIsNotCheap: a count that is too high must not make an answer cheap.
func TestMoreLastThanShownIsNotCheap(t *testing.T) {
	c := Choice{Versions: 100, Limit: 100, Shown: 3, Which: true, Last: 3}
	want := c.Charge()
	if c.Last = mostLast; c.Charge() < want {
		t.Errorf("8 of 3 objects named last cost less than 3 of 3")
	}
}

// TestTheChargesOfAPutAreAPrefixCode: a PUT tells whether its input was refused, and a batch
// of n tells it of each PUT, whichever of them the Task refuses.
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
