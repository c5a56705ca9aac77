package main

import (
	"testing"

	"motte/storetool/fsck"
)

// TestLossesSayWhatCantBeKnown: the question of a salvage and the error of verify list the known
// losses, and mention unknown losses if there may be some.
func TestLossesSayWhatCantBeKnown(t *testing.T) {
	gone := make([]fsck.Object, 106)
	for _, c := range []struct {
		name string
		r    fsck.Report
		want string
	}{
		{"nothing", fsck.Report{}, "nothing"},
		{"objects", fsck.Report{Gone: gone}, "106 objects"},
		{"records whose heads can't be read", fsck.Report{Unknown: []fsck.Range{{From: 3, To: 5}, {From: 9, To: 9}}},
			"4 unreadable records"},
		{"the end", fsck.Report{Gone: gone, Unknown: []fsck.Range{{From: 4711}}},
			"106 objects, and an unknown number of records more: all records from 4711 on"},
		{"nothing that is known, but the end", fsck.Report{Unknown: []fsck.Range{{From: 4711}}},
			"nothing, and an unknown number of records more: all records from 4711 on"},
	} {
		if got := losses(&c.r); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
