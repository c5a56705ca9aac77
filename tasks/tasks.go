// Package tasks lists the Tasks that come with Motte. Each has a folder here, with its source and
// its manifest, motte-task-NAME.json. The manifest holds the row with which the host registers the Task.
//
// The page of a Task is docs/reference/tasks/NAME.md. Its case for the conformance suite is
// sdk/conformance/cases/NAME.json.
package tasks

import (
	"embed"
	"fmt"
	"path"

	"motte/core/model"
	"motte/taskpkg/manifest"
)

//go:embed */motte-task-*.json
var manifests embed.FS

// BuiltIn returns the rows of the Tasks, by name, without a measurement. An error is a fault of a
// manifest.
func BuiltIn() (map[string]model.Row, error) {
	folders, err := manifests.ReadDir(".")
	if err != nil {
		return nil, err
	}
	rows := make(map[string]model.Row)
	for _, folder := range folders {
		name := path.Join(folder.Name(), "motte-task-"+folder.Name()+".json")
		text, err := manifests.ReadFile(name)
		if err != nil {
			return nil, err
		}
		m, err := manifest.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if m.Name != folder.Name() {
			return nil, fmt.Errorf("%s: it names the Task %q", name, m.Name)
		}
		rows[m.Name] = m.Row
	}
	return rows, nil
}
