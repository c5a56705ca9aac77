package manifest

import (
	"motte/client"
	"motte/client/frames"
	"motte/core/model"
)

// Row is a row without the measurement, as JSON.
type Row struct {
	Operations  []string `json:"operations"`
	Type        string   `json:"type"`
	Ordered     bool     `json:"ordered"`
	MaxInput    uint32   `json:"max_input"`
	MaxResults  uint32   `json:"max_results"`
	DeadlineMS  uint32   `json:"deadline_ms"`
	Memory      uint64   `json:"memory"`
	Shelf       uint64   `json:"shelf"`
	LeakBudget  uint64   `json:"leak_budget"`
	IndexBudget uint64   `json:"index_leak_budget"`
}

// NewRow returns a row as JSON.
func NewRow(row *model.Row) Row {
	return Row{Operations: OperationNames(row.Operations), Type: client.TypeName(row.Type), Ordered: row.Ordered,
		MaxInput: row.MaxInput, MaxResults: row.MaxResults, DeadlineMS: row.Deadline, Memory: row.Memory,
		Shelf: row.Shelf, LeakBudget: row.LeakBudget, IndexBudget: row.IndexBudget}
}

// operations are the operations of a row, in the order in which their names are written.
var operations = []struct {
	bit  uint8
	name string
}{{frames.TaskSearch, "search"}, {frames.TaskCount, "count"}, {frames.TaskDelete, "delete"}}

// Operation returns the bit of an operation in a row. It returns false if the name is unknown.
func Operation(name string) (bit uint8, ok bool) {
	for _, o := range operations {
		if o.name == name {
			return o.bit, true
		}
	}
	return 0, false
}

// OperationNames lists the operations of a row by name.
func OperationNames(bits uint8) (names []string) {
	for _, o := range operations {
		if bits&o.bit != 0 {
			names = append(names, o.name)
		}
	}
	return names
}
