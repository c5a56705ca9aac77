package analysis

import (
	"slices"
	"strings"
)

// Placed is a folded text of which each part has its place in the text before folding.
type Placed struct {
	Text   string
	starts []int // of the parts in Text, in ascending order
	places []int // of the parts in the text before folding, and its length
}

// FoldPlaced is Fold of a language, with places.
func (l *Language) FoldPlaced(text string) Placed {
	var p Placed
	var folded strings.Builder
	begin := 0
	part := func(end int) {
		p.starts, p.places = append(p.starts, folded.Len()), append(p.places, begin)
		folded.WriteString(l.Fold(text[begin:end]))
		begin = end
	}
	for at, r := range text {
		// A part begins where no character changes those before it.
		if at > begin && standsAlone(r) && !isInvisible(r) {
			part(at)
		}
	}
	part(len(text))
	p.Text, p.places = folded.String(), append(p.places, len(text))
	return p
}

// Place returns the bytes of the text before folding from which some bytes of the folded text come.
func (p *Placed) Place(start, end int) (int, int) {
	first, exact := slices.BinarySearch(p.starts, start)
	if !exact {
		first--
	}
	last, _ := slices.BinarySearch(p.starts, end)
	for first > 0 && p.starts[first-1] == p.starts[first] { // parts that fold to nothing
		first--
	}
	return p.places[first], p.places[last]
}
