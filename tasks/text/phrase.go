package main

import "slices"

// phrase finds the objects in which words stand in an order. Its words narrow the objects; then it reads
// the texts of these.
type phrase struct {
	search   *search
	words    node
	elements []phraseElement
	span     int // places from the first element to the last
	fields   uint32
	rarity   float64
	at       slot
	found    float64 // the weight of all places of the phrase in the object
}

// phraseElement is a word of a phrase, and its place.
type phraseElement struct {
	at    int
	terms termSet
}

// termSet is a set of terms.
type termSet struct {
	few  []number
	many map[number]bool // instead, if there are more than a few
}

const fewTerms = 8

func newTermSet(members []member) (s termSet) {
	if len(members) > fewTerms {
		s.many = make(map[number]bool, len(members))
	}
	for _, m := range members {
		if s.many != nil {
			s.many[m.number] = true
		} else {
			s.few = append(s.few, m.number)
		}
	}
	return s
}

func (s *termSet) has(n number) bool {
	if s.many != nil {
		return s.many[n]
	}
	return slices.Contains(s.few, n)
}

func (n *phrase) seek(s slot) slot {
	if n.found > 0 && n.at == s {
		return s
	}
	for s = n.words.seek(s); s != noSlot; s = n.words.seek(s + 1) {
		if n.found = n.look(s); n.found > 0 {
			n.at = s
			return s
		}
		if n.search.left < 0 {
			return noSlot
		}
	}
	return noSlot
}

// look returns the weight of all places of the phrase in an object.
func (n *phrase) look(s slot) (weight float64) {
	x := n.search
	decodeText(x.index.documents.all[s].text, x.text)
	for field, text := range x.text {
		if n.fields>>field&1 == 0 || !x.step(len(text)) {
			continue
		}
		times := uint64(0)
		for at := 0; at+n.span < len(text); at++ {
			if n.elements[0].terms.has(text[at]) && n.begins(text[at:]) {
				times++
			}
		}
		if times > 0 {
			weight += x.weight(field, s, times)
		}
	}
	return weight
}

// begins reports whether the phrase is at the beginning of a text, whose first word is the first of the phrase.
func (n *phrase) begins(text []number) bool {
	for i := range n.elements[1:] {
		e := &n.elements[i+1]
		if !n.search.step(1) || !e.terms.has(text[e.at]) {
			return false
		}
	}
	// Words that are left out of the phrase must not hide the end of a text.
	return n.span == len(n.elements)-1 || !slices.Contains(text[:n.span], gap)
}

func (n *phrase) score() float64 { return n.rarity * saturated(n.found) }

func (n *phrase) size() int { return n.words.size() }
