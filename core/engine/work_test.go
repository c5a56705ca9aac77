package engine

import (
	"slices"
	"testing"
)

// TestWorkTakesTurns: the first step runs immediately. Each call of Work runs one step of one
// piece of work, so that no piece waits for the end of another.
func TestWorkTakesTurns(t *testing.T) {
	e := New(Config{})
	var ran []string
	begin := func(name string, steps int) {
		e.later(func() bool {
			ran = append(ran, name)
			steps--
			return steps > 0
		})
	}
	begin("a", 3)
	begin("b", 1)
	begin("c", 2)
	for e.Work() {
	}
	if want := []string{"a", "b", "c", "a", "c", "a"}; !slices.Equal(ran, want) {
		t.Errorf("steps ran in the order %v, want %v", ran, want)
	}
	if e.Work() || len(ran) != 6 {
		t.Errorf("work is left: %v", ran)
	}
}
