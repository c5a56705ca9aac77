package build

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// exported are the functions that a module of a Task has: docs/reference/wasm-abi.md. The value says
// the type.
var exported = map[string]string{
	"motte_buffer":    "(i32) -> i32",
	"motte_configure": "(i32, i32, i32, i32, i32) -> i32",
	"motte_insert":    "(i32, i64, i32, i32) -> i32",
	"motte_remove":    "(i32)",
	"motte_search":    "(i32, i32, i32, i64) -> i32",
}

// optional are the functions that a module may have.
var optional = map[string]string{
	"_initialize": "()",
	"motte_save":  "(i32) -> i32",
	"motte_load":  "(i32, i64, i32, i32) -> i32",
}

// imported are the functions that the runner has, by module and name.
var imported = map[string]map[string]string{
	"motte": {
		"found":           "(i32) -> i32",
		"any_order":       "()",
		"after_count":     "() -> i32",
		"after":           "(i32) -> i32",
		"starts_after":    "(i32)",
		"candidate_count": "() -> i32",
		"candidate":       "(i32) -> i32",
		"is_candidate":    "(i32) -> i32",
		"write":           "(i32, i32)",
	},
	"wasi_snapshot_preview1": {
		"args_get":            "(i32, i32) -> i32",
		"args_sizes_get":      "(i32, i32) -> i32",
		"environ_get":         "(i32, i32) -> i32",
		"environ_sizes_get":   "(i32, i32) -> i32",
		"clock_res_get":       "(i32, i32) -> i32",
		"clock_time_get":      "(i32, i64, i32) -> i32",
		"fd_close":            "(i32) -> i32",
		"fd_fdstat_get":       "(i32, i32) -> i32",
		"fd_fdstat_set_flags": "(i32, i32) -> i32",
		"fd_prestat_get":      "(i32, i32) -> i32",
		"fd_prestat_dir_name": "(i32, i32, i32) -> i32",
		"fd_seek":             "(i32, i64, i32, i32) -> i32",
		"fd_write":            "(i32, i32, i32, i32) -> i32",
		"poll_oneoff":         "(i32, i32, i32, i32) -> i32",
		"proc_exit":           "(i32)",
		"random_get":          "(i32, i32) -> i32",
		"sched_yield":         "() -> i32",
	},
}

// maxPages is the largest memory of a module, in pages of 64 KiB: wasm2c keeps its size in 32 bits.
const maxPages = 1<<16 - 1

// ErrModule says that a module is not one of a Task.
var ErrModule = errors.New("this module is no Task")

// Check reports what keeps a module from being a Task: all of it, since an author can then mend all
// of it at once. Each error is an [ErrModule].
func (m *Module) Check() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrModule, fmt.Sprintf(format, args...)))
	}
	if missing := m.unknownImports(); len(missing) > 0 {
		wrong("it imports what a Task does not have: %s. A Task has no files, no network and no threads",
			strings.Join(missing, ", "))
	}
	for _, i := range m.Imports {
		if want := imported[i.Module][i.Name]; want != "" && want != i.Type {
			wrong("its import %s.%s is a %s, want %s", i.Module, i.Name, i.Type, want)
		}
	}
	for _, name := range sorted(exported) {
		m.checkExport(name, exported[name], true, wrong)
	}
	for _, name := range sorted(optional) {
		m.checkExport(name, optional[name], false, wrong)
	}
	switch {
	case m.export("_start") != "":
		wrong("it is a program with a main function: build a reactor, with clang -mexec-model=reactor or go build -buildmode=c-shared")
	case m.export("motte_save") != "" && m.export("motte_load") == "":
		wrong("it exports motte_save and not motte_load")
	case m.export("motte_load") != "" && m.export("motte_save") == "":
		wrong("it exports motte_load and not motte_save")
	}
	if m.Memory.Defined != 1 || m.export("memory") != "memory" {
		wrong("it must have one memory, and export it as \"memory\"")
	}
	if m.Memory.Pages > maxPages {
		wrong("its memory begins with %d pages; a Task has at most %d", m.Memory.Pages, maxPages)
	}
	return errors.Join(errs...)
}

// unknownImports returns the imports that the runner does not have, sorted.
func (m *Module) unknownImports() (list []string) {
	for _, i := range m.Imports {
		if imported[i.Module][i.Name] == "" {
			list = append(list, i.Module+"."+i.Name)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (m *Module) checkExport(name, want string, needed bool, wrong func(string, ...any)) {
	switch got := m.export(name); {
	case got == want:
	case got != "":
		wrong("its export %s is a %s, want %s", name, got, want)
	case needed:
		wrong("it does not export %s", name)
	}
}

// export returns the type of an export, or "" if there is none of this name.
func (m *Module) export(name string) string {
	i := slices.IndexFunc(m.Exports, func(e Export) bool { return e.Name == name })
	if i < 0 {
		return ""
	}
	return cmp.Or(m.Exports[i].Type, "function")
}

// imports reports whether the module imports from a module of the runner.
func (m *Module) imports(module string) bool {
	return slices.ContainsFunc(m.Imports, func(i Import) bool { return i.Module == module })
}

func sorted(types map[string]string) (names []string) {
	for name := range types {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
