// Package manifest reads manifests of Tasks. A manifest is a JSON text with the name of a Task, and
// its row in the API format table without the measurement.
//
// [Row] has the members of a row as JSON. The command line prints rows with the same members.
package manifest

import (
	"errors"
	"fmt"
	"time"

	"motte/client"
	"motte/core/model"
	"motte/sdk/ijson"
)

// MaxSize bounds a manifest, in bytes: it has a dozen members.
const MaxSize = 16 << 10

// version is the version of the manifest's format.
const version = 1

// Manifest has the name of a Task, and its row without the measurement.
type Manifest struct {
	Name string
	Row  model.Row
}

// ErrInvalid says that a text is no manifest.
var ErrInvalid = errors.New("not a Task's manifest")

// Text is a manifest as JSON.
type Text struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	Row
}

// Parse reads a manifest. It refuses unknown members, and values that the Core would refuse in a row.
func Parse(text []byte) (*Manifest, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrInvalid, MaxSize)
	}
	var t Text
	if err := ijson.Decode(text, &t); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	m, err := t.manifest()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return m, nil
}

func (t *Text) manifest() (*Manifest, error) {
	if t.Version != version {
		return nil, fmt.Errorf("version is %d, and this program reads version %d", t.Version, version)
	}
	if !model.ValidIdentifier(t.Name) {
		return nil, fmt.Errorf("name has to be 1 to %d of a–z, 0–9, '_' and '-', a letter first", model.MaxIdentifier)
	}
	row, err := t.Row.decode()
	return &Manifest{t.Name, row}, err
}

// decode checks each member, and returns the row.
func (r *Row) decode() (row model.Row, err error) {
	operations, err := parseOperations(r.Operations)
	if err != nil {
		return row, err
	}
	dataType, err := client.ParseType(r.Type)
	if err != nil {
		return row, fmt.Errorf("type: %w", err)
	}
	const longest = model.MaxDeadline * time.Millisecond
	switch {
	case r.MaxInput == 0 || r.MaxInput > model.MaxObject:
		return row, fmt.Errorf("max_input has to be from 1 to %d bytes", model.MaxObject)
	case r.MaxResults == 0 || r.MaxResults > model.MaxResultsLimit:
		return row, fmt.Errorf("max_results has to be from 1 to %d", model.MaxResultsLimit)
	case r.DeadlineMS == 0 || r.DeadlineMS > model.MaxDeadline:
		return row, fmt.Errorf("deadline_ms has to be from 1 to %d: %v", model.MaxDeadline, longest)
	case r.Memory == 0:
		return row, errors.New("memory is missing: bytes")
	case r.Shelf > model.MaxShelf:
		return row, fmt.Errorf("shelf has to be from 0 to %d bytes", uint64(model.MaxShelf))
	}
	return model.Row{Operations: operations, Type: dataType, Ordered: r.Ordered,
		MaxInput: r.MaxInput, MaxResults: r.MaxResults, Deadline: r.DeadlineMS, Memory: r.Memory,
		LeakBudget: r.LeakBudget, IndexBudget: r.IndexBudget, Shelf: r.Shelf}, nil
}

func parseOperations(names []string) (bits uint8, err error) {
	for _, name := range names {
		bit, ok := Operation(name)
		if !ok || bits&bit != 0 {
			return 0, fmt.Errorf("operations: %.20q is unknown, or given twice: search, count and delete, once each", name)
		}
		bits |= bit
	}
	if bits == 0 {
		return 0, errors.New("operations is missing: search, count, delete")
	}
	return bits, nil
}
