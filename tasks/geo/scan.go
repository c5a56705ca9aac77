package main

// scan finds the answer in the order of the layers and their keys.
func (f *finder) scan() {
	layer := 0
	var behind *entry
	if f.behind != nil {
		e := f.index.entry(f.behind.slot)
		behind, layer = &e, int(f.index.objects.at(f.behind.slot).layer)
	}
	for ; layer < layerCount; layer++ {
		if !f.scanCell(cell{layer: layer}, behind) {
			return
		}
		behind = nil
	}
}

// scanCell finds objects of a cell, behind an entry if that is not nil. It returns false if the
// answer is complete, or can't be completed.
func (f *finder) scanCell(c cell, behind *entry) bool {
	if behind != nil && c.high() < behind.key {
		return true
	}
	if !f.step() {
		return false
	}
	lies := inside
	if f.region != nil {
		lies = f.region.relation(c, &f.work)
	}
	switch lies {
	case outside:
		return true
	case inside:
		return f.index.visit(c, behind, func(e entry) bool { return f.step() && f.show(e.slot) })
	}
	var some [leafEntries + 1]entry
	list, all := f.index.few(c, behind, some[:0])
	if all {
		for _, e := range list {
			if !f.step() {
				return false
			}
			if _, ok := f.measure(e.slot); ok && !f.show(e.slot) {
				return false
			}
		}
		return true
	}
	for _, q := range c.children() {
		if !f.scanCell(q, behind) {
			return false
		}
	}
	return true
}

// show adds an object that matches to the answer. It returns false if the answer is complete.
func (f *finder) show(n slot) bool {
	if f.wants(n) {
		f.found = append(f.found, hit{slot: n})
	}
	return len(f.found) < f.limit
}
