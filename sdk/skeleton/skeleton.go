// Package skeleton writes the directory of a new Task: an index that works, its build, and the
// case with which the conformance suite checks it. A copy of the kit for the language lies in it,
// so it builds without a clone of Motte, and without a network.
//
// The files of a language lie in templates, and those of all languages in templates/shared. A file
// that is in both begins as the language says. In each, {{name}} stands for the name of the Task.
package skeleton

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Languages are the languages that Write knows.
var Languages = []string{"go", "c", "rust", "wasm"}

//go:embed all:templates
var templates embed.FS

// file is a file of a skeleton.
type file struct {
	path string // in the directory of the Task, with slashes
	text []byte
}

// Write writes the directory of a Task with this name, which must not exist or be empty. It writes
// all files, or leaves the directory as it was.
func Write(dir, name, language string) error {
	files, err := compose(name, language)
	if err != nil {
		return err
	}
	if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
		return fmt.Errorf("%s: %w", dir, errNotEmpty)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// All files are written beside the directory, and then take its place together.
	parent := filepath.Dir(filepath.Clean(dir))
	temporary, err := os.MkdirTemp(parent, ".motte-task-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	for _, f := range files {
		if err := writeFile(filepath.Join(temporary, "task"), f); err != nil {
			return err
		}
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(filepath.Join(temporary, "task"), dir)
}

var errNotEmpty = errors.New("the directory exists, and is not empty")

func writeFile(dir string, f file) error {
	to := filepath.Join(dir, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	return os.WriteFile(to, f.text, 0o666)
}

// compose returns the files of a skeleton.
func compose(name, language string) (files []file, err error) {
	kit, ok := kits[language]
	if !ok {
		return nil, fmt.Errorf("no skeleton is in the language %q: there are %s", language, strings.Join(Languages, ", "))
	}
	line, err := goVersion()
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("{{name}}", name, "{{go}}", line)
	for _, dir := range []string{"templates/" + language, "templates/shared"} {
		err := fs.WalkDir(templates, dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := templates.ReadFile(p)
			to := strings.TrimSuffix(strings.TrimPrefix(p, dir+"/"), ".tmpl")
			i := slices.IndexFunc(files, func(f file) bool { return f.path == to })
			if i < 0 {
				i, files = len(files), append(files, file{path: to})
			}
			files[i].text = append(files[i].text, fill.Replace(string(text))...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	copied, err := kit()
	return append(files, copied...), err
}
