package analysis

import "unicode/utf8"

// Fits reports whether a text fits a folded pattern. It goes back to the last "*" only, so it takes at most the
// product of the lengths in steps. It ends if step returns false.
func Fits(text string, pattern []rune, step func(int) bool) bool {
	at, star, from := 0, -1, ""
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case at < len(pattern) && pattern[at] == AnyText:
			star, from = at, text
			at++
			continue
		case at < len(pattern) && (pattern[at] == r || pattern[at] == AnyChar && r >= ' '):
			at, text = at+1, text[size:]
		case star >= 0:
			_, size := utf8.DecodeRuneInString(from)
			from = from[size:]
			at, text = star+1, from
		default:
			return false
		}
		if !step(1) {
			return false
		}
	}
	for at < len(pattern) && pattern[at] == AnyText {
		at++
	}
	return at == len(pattern)
}
