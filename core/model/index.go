package model

// IndexState is the state of an index.
type IndexState uint8

// The states of an index. Only a serving index answers predicates. A predicate wakes a parked one.
const (
	IndexNotShown    IndexState = 0 // a status shows the state to administrators alone
	IndexStarting    IndexState = 1 // the Task's process is about to start
	IndexBuilding    IndexState = 2 // the Core feeds the stored objects to the Task
	IndexServing     IndexState = 3 // the index is complete
	IndexQuarantined IndexState = 4 // the Task broke its contract; a new process is about to start
	IndexRefused     IndexState = 5 // the Task does not accept the configuration: drop the index
	IndexParked      IndexState = 6 // nobody asked it for a while; it comes back on demand
)

// Upgrade says how far an index is on its way to the registered row of its Task.
type Upgrade uint8

// The steps of an upgrade. The index serves in each of them.
const (
	UpgradeNone    Upgrade = 0 // its process has the registered row, or it has no process
	UpgradeWaits   Upgrade = 1 // another index of the Task is upgraded first
	UpgradeBuilds  Upgrade = 2 // a successor is built beside its process
	UpgradeFails   Upgrade = 3 // the same, but the successor has ended again and again
	UpgradeRefused Upgrade = 4 // the successor refused the configuration; the old process stays
)

// IndexOptions say how an index is fed, and how its answers are treated.
type IndexOptions uint8

// The options of an index.
const (
	OptionOrdered   IndexOptions = 1 << 0 // answers keep the Task's order
	OptionLazy      IndexOptions = 1 << 1 // a PUT does not wait for the index
	OptionAttribute IndexOptions = 1 << 2 // the index is fed the attribute of its name, not the object
	OptionResident  IndexOptions = 1 << 3 // the index is never parked
	OptionsAll      IndexOptions = 1<<4 - 1
)
