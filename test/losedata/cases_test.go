package losedata

import "maps"

// The segments of the store with which every case begins.
const (
	oldSegment    = 0 // before the newest checkpoint; it has the objects early and hers
	middleSegment = 1 // after the newest checkpoint; it has the objects middle
)

// cases holds, for each row of the page, a function that makes its event, by the name of the
// row.
var cases = func() map[string]func(w *world) {
	all := make(map[string]func(w *world))
	for _, some := range []map[string]func(w *world){
		filesAreRemoved, bytesAreChanged, copiesAreMade, serversAndPlaces, ordersAreGiven, processesAreKilled,
	} {
		maps.Copy(all, some)
	}
	return all
}()
