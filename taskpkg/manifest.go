package taskpkg

import (
	"errors"
	"fmt"
	"time"

	"motte/client"
	"motte/client/frames"
	"motte/core/model"
	"motte/sdk/ijson"
)

// manifestVersion is the version of the manifest's format.
const manifestVersion = 1

// Manifest has the name of a Task, and its row without the measurement.
type Manifest struct {
	Name string
	Row  model.Row
}

// ErrManifest says that a text is no manifest.
var ErrManifest = errors.New("not a Task's manifest")

// manifestText is a manifest as JSON. The members are those of 'motte task list --json'.
type manifestText struct {
	Version     int      `json:"version"`
	Name        string   `json:"name"`
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

// ParseManifest reads a manifest. It refuses unknown members, and values that the Core would refuse
// in a row.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) > maxManifest {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrManifest, maxManifest)
	}
	var t manifestText
	if err := ijson.Decode(text, &t); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	m, err := t.manifest()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, nil
}

// manifest checks each member, and returns the manifest.
func (t *manifestText) manifest() (*Manifest, error) {
	if t.Version != manifestVersion {
		return nil, fmt.Errorf("version is %d, and this program reads version %d", t.Version, manifestVersion)
	}
	if !model.ValidIdentifier(t.Name) {
		return nil, fmt.Errorf("name has to be 1 to %d of a–z, 0–9, '_' and '-', a letter first", model.MaxIdentifier)
	}
	operations, err := parseOperations(t.Operations)
	if err != nil {
		return nil, err
	}
	dataType, err := client.ParseType(t.Type)
	if err != nil {
		return nil, fmt.Errorf("type: %w", err)
	}
	const longest = model.MaxDeadline * time.Millisecond
	switch {
	case t.MaxInput == 0 || t.MaxInput > model.MaxObject:
		return nil, fmt.Errorf("max_input has to be from 1 to %d bytes", model.MaxObject)
	case t.MaxResults == 0 || t.MaxResults > model.MaxResultsLimit:
		return nil, fmt.Errorf("max_results has to be from 1 to %d", model.MaxResultsLimit)
	case t.DeadlineMS == 0 || t.DeadlineMS > model.MaxDeadline:
		return nil, fmt.Errorf("deadline_ms has to be from 1 to %d: %v", model.MaxDeadline, longest)
	case t.Memory == 0:
		return nil, errors.New("memory is missing: bytes")
	case t.Shelf > model.MaxShelf:
		return nil, fmt.Errorf("shelf has to be from 0 to %d bytes", uint64(model.MaxShelf))
	}
	return &Manifest{t.Name, model.Row{Operations: operations, Type: dataType, Ordered: t.Ordered,
		MaxInput: t.MaxInput, MaxResults: t.MaxResults, Deadline: t.DeadlineMS, Memory: t.Memory,
		LeakBudget: t.LeakBudget, IndexBudget: t.IndexBudget, Shelf: t.Shelf}}, nil
}

// operations are the operations of a row, in the order of a statement.
var operations = []struct {
	bit  uint8
	name string
}{{frames.TaskSearch, "search"}, {frames.TaskCount, "count"}, {frames.TaskDelete, "delete"}}

func parseOperations(names []string) (bits uint8, err error) {
	for _, name := range names {
		before := bits
		for _, o := range operations {
			if o.name == name {
				bits |= o.bit
			}
		}
		if bits == before {
			return 0, fmt.Errorf("operations: %.20q is unknown, or given twice: search, count and delete, once each", name)
		}
	}
	if bits == 0 {
		return 0, errors.New("operations is missing: search, count, delete")
	}
	return bits, nil
}

// operationNames lists operations by name.
func operationNames(bits uint8) (names []string) {
	for _, o := range operations {
		if bits&o.bit != 0 {
			names = append(names, o.name)
		}
	}
	return names
}
