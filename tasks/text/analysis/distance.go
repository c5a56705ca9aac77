package analysis

// Distances computes how many letters of words differ from those of a word: letters added, left out, changed, or
// exchanged with the next. Words that begin alike share work, if they are read one after the other.
type Distances struct {
	word  []rune
	edits int
	term  []rune
	rows  [][]int // for each beginning of the term, the empty one first
	far   int     // the length of the shortest beginning that is too far; 0: none
}

// NewDistances returns the distances from a word. Those of more than edits letters are not computed.
func NewDistances(word string, edits int) *Distances {
	return &Distances{word: []rune(word), edits: edits}
}

// Far returns the shortest beginning of the term that was read last with which all words are too far; nil if
// there is none.
func (t *Distances) Far() []rune {
	if t.far == 0 {
		return nil
	}
	return t.term[:t.far]
}

// Read computes the rows of a term, except those that it shares with the term before. It returns their
// number.
func (t *Distances) Read(term string) (computed int) {
	if t.rows == nil {
		row := make([]int, len(t.word)+1)
		for i := range row {
			row[i] = i
		}
		t.rows = append(t.rows, row)
	}
	shared, whole := 0, true
	n := 0
	for _, r := range term {
		if whole = whole && n < len(t.term) && t.term[n] == r; whole {
			shared++
		}
		t.term = append(t.term[:n], r)
		n++
	}
	t.term = t.term[:n]
	if t.far > 0 && shared >= t.far {
		return 0
	}
	t.far = 0
	for depth := shared + 1; depth <= n && t.far == 0; depth++ {
		if t.row(depth) > t.edits {
			t.far = depth
		}
		computed++
	}
	return computed
}

// row computes the row of a beginning, and returns its least distance.
func (t *Distances) row(depth int) (least int) {
	if depth == len(t.rows) {
		t.rows = append(t.rows, make([]int, len(t.word)+1))
	}
	row, above := t.rows[depth], t.rows[depth-1]
	row[0] = depth
	least = depth
	for i := 1; i <= len(t.word); i++ {
		changed := above[i-1]
		if t.term[depth-1] != t.word[i-1] {
			changed++
		}
		row[i] = min(changed, above[i]+1, row[i-1]+1)
		if i > 1 && depth > 1 && t.term[depth-1] == t.word[i-2] && t.term[depth-2] == t.word[i-1] {
			row[i] = min(row[i], t.rows[depth-2][i-2]+1)
		}
		least = min(least, row[i])
	}
	return least
}

// Distance returns the distance of the term that was read last, or a number above the edits.
func (t *Distances) Distance() int {
	if t.far > 0 {
		return t.edits + 1
	}
	return t.rows[len(t.term)][len(t.word)]
}
