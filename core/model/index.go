package model

// IndexState is where an index stands.
type IndexState uint8

// The states of an index. Only a serving index answers predicates.
const (
	IndexNotShown    IndexState = 0 // a status hides the state from others than administrators
	IndexStarting    IndexState = 1 // waiting for its Task's process
	IndexBuilding    IndexState = 2 // being fed from the Core's copy
	IndexServing     IndexState = 3
	IndexQuarantined IndexState = 4 // its Task broke the contract; a fresh one is about to start
	IndexRefused     IndexState = 5 // the Task does not accept the configuration: drop the index
)
