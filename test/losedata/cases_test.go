package losedata

import "maps"

// The segments of the store that every case begins with.
const (
	oldSegment    = 0 // before the newest checkpoint: early and hers
	middleSegment = 1 // behind it: middle
)

// cases does what each row of the page says, by the name of the row's place.
var cases = func() map[string]func(w *world) {
	all := make(map[string]func(w *world))
	for _, some := range []map[string]func(w *world){
		filesAreRemoved, bytesAreChanged, copiesAreMade, serversAndPlaces, ordersAreGiven, processesAreKilled,
	} {
		maps.Copy(all, some)
	}
	return all
}()
