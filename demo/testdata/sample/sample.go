// Package sample has one of each kind.
package sample

import "errors"

// Limits of things.
const (
	Small = 1
	Large = 2 // more than enough
	tiny  = 0
)

// ErrNone says that there is nothing.
var ErrNone = errors.New("none")

// Box holds things.
type Box struct {
	things []int
}

// Put adds a thing.
func (b *Box) Put(thing int) {
	b.things = append(b.things, thing)
}

func (b *Box) take() {}

// New returns a Box.
func New(n int) (b *Box, err error) { return &Box{make([]int, n+tiny)}, nil }

type hidden struct{}

// Seen can't be reached by name.
func (hidden) Seen() {}
