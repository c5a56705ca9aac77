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

// IndexOptions say how an index is fed, and how its answers are treated.
type IndexOptions uint8

// The options of an index.
const (
	OptionOrdered   IndexOptions = 1 << 0 // answers keep the Task's order
	OptionLazy      IndexOptions = 1 << 1 // a PUT does not wait for the index
	OptionAttribute IndexOptions = 1 << 2 // the index is fed the attribute of its name, not the object
	OptionsAll      IndexOptions = 1<<3 - 1
)
