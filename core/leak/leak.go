// Package leak says how much an outcome can tell: the charges of the leak meter
// (design, section 7).
//
// A Task that was taken over chooses the outcome of a query, and a client that works
// with it reads the choice. So each outcome has a charge, and the charges of a query
// obey Kraft's inequality: the sum of 2^-charge over all outcomes that a client can
// tell apart is at most 1. Then at most 2^B different histories cost B bits or less,
// however the questions depend on earlier answers.
//
// Every charge is rounded up, never down.
package leak

import (
	"math"
	"math/bits"
)

// Bits is an amount of information, in units of 2^-20 bits. It saturates.
type Bits uint64

// Bit is one bit.
const Bit Bits = 1 << 20

// Unlimited is more than any charge: a budget that is not capped.
const Unlimited Bits = math.MaxUint64

// The charges that do not depend on an answer. Sixteen codes at most share the rest
// beside the answers: 16 * 2^-8 and 15/16 make 1. Each PUT, alone or of a batch, has two
// outcomes.
const (
	Rare       Bits = 8 * Bit          // an outcome of a query that is a code and no answer
	answered   Bits = 97_633           // that there is an answer: log2 (16/15)
	Indexed    Bits = 370              // that a PUT is indexed: log2 (1 + 2^-12)
	NotIndexed Bits = 12*Bit + Indexed // that the Task refused its input
)

// Whole returns a number of whole bits.
func Whole(n uint64) Bits {
	if n > uint64(Unlimited/Bit) {
		return Unlimited
	}
	return Bits(n) * Bit
}

// Up returns b in whole bits, rounded up.
func (b Bits) Up() uint64 { return uint64(b.Plus(Bit-1) / Bit) }

// Down returns b in whole bits, rounded down.
func (b Bits) Down() uint64 { return uint64(b / Bit) }

// Plus returns b + c.
func (b Bits) Plus(c Bits) Bits {
	if c > Unlimited-b {
		return Unlimited
	}
	return b + c
}

// Minus returns b - c, and 0 if that is less.
func (b Bits) Minus(c Bits) Bits { return b - min(b, c) }

// Choice describes an answer, and the answers that the Task could have given instead.
type Choice struct {
	Versions uint64 // that the Core would have accepted when the question was put
	Since    uint64 // versions that have appeared since then
	Limit    uint64 // the most objects that the answer could show
	Shown    uint64 // that it shows
	Which    bool   // it tells which objects, not only how many
	Ordered  bool   // in an order that the Task chose
}

// Charge returns the cost of an answer. It is the sum for being an answer, for its
// number of objects and whether it was cut off, for the number of versions that have
// appeared meanwhile, and for the choice among all versions.
func (c Choice) Charge() Bits {
	versions := c.Versions + min(c.Since, math.MaxUint64-c.Versions)
	most := min(c.Limit, versions)
	charge := answered + Bit.Plus(Log(most+1)) // of two ways, cut off or not, most+1 numbers
	// The parts 1/((n+1)(n+2)) of all n make 1: an answer that waits for more versions
	// to choose among pays for it.
	charge = charge.Plus(Log(c.Since + 1)).Plus(Log(c.Since + 2))
	if c.Which {
		charge = charge.Plus(Selection(versions, c.Shown, c.Ordered))
	}
	return charge
}

// Log returns log2 n; of 0, which stands for 2^64, 64 bits.
func Log(n uint64) Bits {
	if n == 0 {
		return 64 * Bit
	}
	whole := Bits(bits.Len64(n)-1) * Bit
	if n&(n-1) == 0 {
		return whole
	}
	// The error is less than 2^-40; the logarithm is not a whole number of units.
	return max(whole, Bits(math.Ceil(math.Log2(float64(n))*float64(Bit)+1.0/(1<<20))))
}

// Selection returns log2 C(n,k), for the choice of k out of n, and log2 k! more if their
// order is the Task's.
func Selection(n, k uint64, ordered bool) Bits {
	if k > n { // whoever counted n was wrong: the charge must not become small
		n = k + min(k, math.MaxUint64-k)
	}
	if k == 0 || k == n && !ordered {
		return 0
	}
	all, rest := lnFactorial(n), lnFactorial(n-k)
	nats, size := all-rest, all+rest
	if !ordered {
		chosen := lnFactorial(k)
		nats, size = nats-chosen, size+chosen
	}
	// Each logarithm is right to a few units in its last place, 2^-52 of it.
	nats += size / (1 << 48)
	units := math.Ceil(nats / math.Ln2 * float64(Bit))
	if units >= 1<<63 {
		return Unlimited
	}
	return Bits(max(0, units))
}

func lnFactorial(n uint64) float64 {
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}
