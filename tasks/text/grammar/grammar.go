// Package grammar parses the predicates of the Task text. The Task refuses a predicate without a reason,
// since no text of a Task reaches a client. So a client parses the predicate again, and learns from
// [Error] where the fault is.
//
//	predicate   = [ expression ]
//	expression  = group { "OR" group }
//	group       = clause { clause }
//	clause      = "+" primary | conjunction
//	conjunction = unary { "AND" unary }
//	unary       = [ "-" | "NOT" ] primary
//	primary     = [ field ":" ] ( "(" expression ")" | phrase | word | "*" ) [ "^" weight ]
//	phrase      = '"' text without '"' '"'
//	word        = characters without spaces, parentheses, '"', "^" and "~", [ "~" [ "1" | "2" ] ]
//	field       = letters and digits of ASCII, "_", "-"
//	weight      = a decimal number from 0 to 1000
//
// A sign and a field stand directly before what they belong to. Spaces separate all else. The page of the
// Task, docs/reference/tasks/text.md, says what each form finds.
package grammar

import "fmt"

// Limits of a predicate. They bound the work of reading it; the Task bounds that of answering it.
const (
	MaxLength   = 8 << 10 // bytes
	MaxTerms    = 1024    // words, counting those of phrases
	MaxPatterns = 8       // words with wildcards or "~": each stands for many words
	MaxPattern  = 64      // characters of one of them
	MaxNesting  = 32      // parentheses inside one another
	MaxWeight   = 1000
)

// Node is a part of a predicate: one of [Or], [And], [Not], [Group], [Weighted], [Everything], [Words].
type Node interface{ node() }

// Or finds what any of its parts finds.
type Or []Node

// And finds what all of its parts find.
type And []Node

// Not finds what its part does not find.
type Not struct{ Node Node }

// Group finds what all parts of Must find, and no part of Not. If Must is empty, at least one part of
// Should must find it. If Should is empty, too, the group finds all but Not.
type Group struct{ Must, Should, Not []Node }

// Weighted multiplies the score of its part.
type Weighted struct {
	Node   Node
	Weight float64
}

// Everything finds each object that has a word in the field, or each object that is indexed.
type Everything struct{ Field string }

// Words finds a word, or several words in this order.
type Words struct {
	Field    string // "": any field
	Elements []Element
	Quoted   bool
	Edits    int // letters that may differ, if there is one element
}

// Element is a word of [Words].
type Element struct {
	Kind Kind
	Text string // folded
	At   int    // its place behind the first element
}

// Kind says which words an element stands for.
type Kind int

// The kinds of elements.
const (
	Exact  Kind = iota // the word, or words with the same stem
	Prefix             // all that begin with the text: a single character of a script without spaces
	Glob               // all that the text fits, in which wildcards stand for letters
)

func (Or) node()         {}
func (And) node()        {}
func (Not) node()        {}
func (Group) node()      {}
func (Weighted) node()   {}
func (Everything) node() {}
func (Words) node()      {}

// Error says why a text is not a predicate.
type Error struct {
	At     int // the byte of the text at which the fault is; the length of the text: at its end
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("at byte %d: %s", e.At, e.Reason) }
