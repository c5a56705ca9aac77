package main

import "slices"

// sampling says which of the matching objects of a series are in the answer.
type sampling struct {
	pick  pick
	width int64 // of a bucket
	count int   // of newest
}

// pick is an object of each bucket, or of each series.
type pick int

const (
	each   pick = iota // all objects
	first              // of each bucket
	last               // of each bucket
	least              // the first with the least value of each bucket
	most               // the first with the greatest value of each bucket
	newest             // the last so many of a series
)

// whole is the span of all times.
var whole = span{minTime, maxTime + 1}

// sampled calls visit with the objects of a series that the answer has, in its direction. They come behind
// a place that is in the answer, if that is not nil. It reports whether visit got all of them.
func (f *finder) sampled(s *series, behind *place, visit func(entry) bool) bool {
	switch f.sampling.pick {
	case each:
		return f.walkSeries(s, f.span, behind, visit)
	case newest:
		list := f.newestOf(s)
		if !f.descending {
			slices.Reverse(list)
		}
		for _, e := range list {
			isBehind := behind == nil || (behind.compare(e.time, e.id) < 0) != f.descending && behind.id != *e.id
			if isBehind && !visit(e) {
				return false
			}
		}
		return true
	}
	rest := f.span
	if behind != nil {
		rest = f.restBehind(behind.time)
	}
	for {
		var found *entry
		f.walkSeries(s, rest, nil, func(e entry) bool {
			found = &e
			return false
		})
		if found == nil {
			return true
		}
		if e, _ := f.pickOf(s, found.time); !visit(e) {
			return false
		}
		rest = f.restBehind(found.time)
	}
}

// restBehind returns the span behind the bucket of a time, in the direction of the answer.
func (f *finder) restBehind(t int64) span {
	from, to := bucket(t, f.sampling.width)
	if f.descending {
		return f.span.cut(span{whole.from, from})
	}
	return f.span.cut(span{to, whole.to})
}

// walkSeries calls visit with the matching objects of a span of a series, in the direction of the answer.
func (f *finder) walkSeries(s *series, in span, behind *place, visit func(entry) bool) bool {
	matching := func(e entry) bool { return !f.matches(e) || visit(e) }
	if f.descending {
		return s.descend(in, behind, matching)
	}
	return s.ascend(in, behind, matching)
}

// pickOf returns the object of the bucket of a time that the answer has. It returns false if no object
// of the bucket matches.
func (f *finder) pickOf(s *series, t int64) (picked entry, ok bool) {
	from, to := bucket(t, f.sampling.width)
	in := f.span.cut(span{from, to})
	walk := s.ascend
	if f.sampling.pick == last {
		walk = s.descend
	}
	walk(in, nil, func(e entry) bool {
		if !f.matches(e) {
			return true
		}
		better := !ok || f.sampling.pick == least && e.value < picked.value || f.sampling.pick == most && e.value > picked.value
		if better {
			picked, ok = e, true
		}
		return f.sampling.pick != first && f.sampling.pick != last
	})
	return picked, ok
}

// newestOf returns the last matching objects of a series, the newest first.
func (f *finder) newestOf(s *series) (list []entry) {
	s.descend(f.span, nil, func(e entry) bool {
		if f.matches(e) {
			list = append(list, e)
		}
		return len(list) < f.sampling.count
	})
	return list
}

// isPick reports whether the answer has an object that matches.
func (f *finder) isPick(s *series, e entry) bool {
	switch f.sampling.pick {
	case each:
		return true
	case newest:
		return slices.ContainsFunc(f.newestOf(s), func(n entry) bool { return *n.id == *e.id })
	}
	picked, ok := f.pickOf(s, e.time)
	return ok && *picked.id == *e.id
}
