package tcb

import (
	"debug/elf"
	"debug/gosym"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Linked lists the packages of which code is in an executable, by import path,
// as its table of functions tells: what runs, not what a source file says. A
// package that was inlined whole, or holds only types and constants, is not in
// it. The names of assembly functions without a package are left out.
func Linked(executable io.ReaderAt) ([]string, error) {
	f, err := elf.NewFile(executable)
	if err != nil {
		return nil, fmt.Errorf("read the executable: %w", err)
	}
	lines, text := f.Section(".gopclntab"), f.Section(".text")
	if lines == nil || text == nil {
		return nil, fmt.Errorf("read the executable: it was not made by Go's linker")
	}
	data, err := lines.Data()
	if err != nil {
		return nil, fmt.Errorf("read the table of functions: %w", err)
	}
	table, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
	if err != nil {
		return nil, fmt.Errorf("read the table of functions: %w", err)
	}
	found := make(map[string]bool)
	for i := range table.Funcs {
		name := table.Funcs[i].PackageName()
		if strings.ContainsAny(name, ": ") {
			continue // made by the compiler
		}
		// The linker writes a dot in the last part of a path as %2e.
		if path, err := url.PathUnescape(name); err == nil && path != "" {
			found[path] = true
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}
