// Package leak computes the charges of the leak meter: bounds of the information that an
// outcome of a query can carry (design, section 7).
//
// The attacker controls a Task, which chooses the outcome of a query, and a client, which
// reads it. So each outcome has a charge.
//
// Invariants:
//
//  1. The charges of a query obey Kraft's inequality: the sum of 2^-charge over all
//     outcomes that a client can tell apart is at most 1. So at most 2^B different
//     histories cost B bits or less, also if questions depend on earlier answers.
//  2. Every charge is rounded up.
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

// The charges that do not depend on an answer. Answers have the share 15/16 of the sum in
// Kraft's inequality. At most sixteen codes share the rest: 16 * 2^-8 = 1/16. Each PUT,
// alone or in a batch, has two outcomes.
const (
	Rare       Bits = 8 * Bit          // the outcome of a query is a code; also an outage of an index
	answered   Bits = 97_633           // the outcome of a query is an answer: log2 (16/15)
	Indexed    Bits = 370              // an index accepted the input of a PUT: log2 (1 + 2^-12)
	NotIndexed Bits = 12*Bit + Indexed // an index refused the input of a PUT

	// A Task chooses how many blobs it saves, up to 2^16, how many it drops, up to 2^12, and how the
	// saving ends. Each of them is a record, and each reply shows the number of records.
	Saving Bits = 30 * Bit
)

// Whole returns n bits.
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

// Minus returns b - c, or 0 if c is larger.
func (b Bits) Minus(c Bits) Bits { return b - min(b, c) }

// Choice describes an answer, and the answers that the Task could have given instead.
type Choice struct {
	Versions uint64 // object versions that the Core would have accepted when it queued the query
	Since    uint64 // versions added since then
	Limit    uint64 // the most objects that the answer could show
	Shown    uint64 // objects that the answer shows
	Which    bool   // the answer names the objects; otherwise it is their number
	Ordered  bool   // the Task chose the order of the objects
	Partial  bool   // a truncated answer also tells whether a next page can begin
	Last     uint64 // shown objects of which the answer tells that the Task named them last, and their order
}

// Charge returns the cost of an answer. It is the sum of the costs of being an answer, of
// its number of objects, of being truncated or not, of the number of versions added
// meanwhile, and of the choice among all versions.
func (c Choice) Charge() Bits {
	versions := c.Versions + min(c.Since, math.MaxUint64-c.Versions)
	most := min(c.Limit, versions)
	ends := uint64(2) // truncated or not
	if c.Partial {
		ends++
	}
	charge := answered + Log(ends).Plus(Log(most+1)) // most+1 numbers
	// The shares 1/((n+1)(n+2)) of all n add up to 1. So a Task that delays its answer, to
	// choose among more versions, pays for them.
	charge = charge.Plus(Log(c.Since + 1)).Plus(Log(c.Since + 2))
	if c.Which {
		charge = charge.Plus(Selection(versions, c.Shown, c.Ordered))
		if !c.Ordered {
			charge = charge.Plus(Selection(c.Shown, c.Last, true))
		}
	}
	return charge
}

// Log returns log2 n. An n of 0 stands for 2^64: the result is 64 bits.
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

// Selection returns the cost of a choice of k out of n: log2 C(n,k), and log2 k! more if
// the Task chose their order.
func Selection(n, k uint64, ordered bool) Bits {
	if k > n { // n was counted wrong; the charge must not become small
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
	// The error of each logarithm is a few units in its last place, 2^-52 of it.
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
