package main

import "motte/sdk"

// span is a span of time: from, and up to but not including to.
type span struct{ from, to int64 }

func (s span) cut(t span) span { return span{max(s.from, t.from), min(s.to, t.to)} }

// entry is an object of a series, in a walk.
type entry struct {
	sample
	id *sdk.Identity
}

// ascend calls visit with the objects of a span, in the order of time, until visit returns false. They
// come behind a place, if that is not nil. It reports whether visit got all of them.
func (s *series) ascend(in span, behind *place, visit func(entry) bool) bool {
	start := place{time: in.from} // the least identity
	if behind != nil && behind.time >= in.from {
		start = *behind
	}
	var buffer [chunkSize]sample
	for n := s.chunkOf(&start); n < len(s.chunks); n++ {
		c := s.chunks[n]
		if c.first >= in.to {
			return true
		}
		for i, sample := range c.samples(buffer[:0]) {
			switch {
			case sample.time >= in.to:
				return true
			case sample.time < in.from || behind != nil && behind.compare(sample.time, &c.ids[i]) >= 0:
				continue
			}
			if !visit(entry{sample, &c.ids[i]}) {
				return false
			}
		}
	}
	return true
}

// descend is ascend in the reverse order.
func (s *series) descend(in span, behind *place, visit func(entry) bool) bool {
	start := place{time: in.to}
	if behind != nil && behind.time < in.to {
		start = *behind
	}
	var buffer [chunkSize]sample
	for n := s.chunkOf(&start); n >= 0; n-- {
		c := s.chunks[n]
		samples := c.samples(buffer[:0])
		for i := len(samples) - 1; i >= 0; i-- {
			sample := samples[i]
			switch {
			case sample.time < in.from:
				return true
			case sample.time >= in.to || behind != nil && behind.compare(sample.time, &c.ids[i]) <= 0:
				continue
			}
			if !visit(entry{sample, &c.ids[i]}) {
				return false
			}
		}
	}
	return true
}
