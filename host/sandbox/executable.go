package sandbox

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// ErrExecutable says why a file can't be a Task's executable.
var ErrExecutable = errors.New("not a Task's executable")

// machines are the processors that the confinement supports, by GOARCH.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// CheckExecutable returns an error that wraps ErrExecutable if the file at path can't run in
// confinement. A Task has no loader, no library and no interpreter there, and no memory that is
// both writable and executable.
func CheckExecutable(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = checkSize(f)
	if err == nil {
		err = checkExecutable(f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// checkSize refuses a file that is too large for an instance's memory, before it is read.
func checkSize(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a file", ErrExecutable)
	}
	if info.Size() > maxImage {
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrExecutable, info.Size(), maxImage)
	}
	return nil
}

func checkExecutable(file io.ReaderAt) error {
	refuse := func(format string, a ...any) error {
		return fmt.Errorf("%w: %s", ErrExecutable, fmt.Sprintf(format, a...))
	}
	f, err := elf.NewFile(file)
	if err != nil {
		return refuse("it is not an ELF file (%v)", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != machines[runtime.GOARCH] {
		return refuse("it is for another machine (%v, %v), not for %s", f.Machine, f.Class, runtime.GOARCH)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return refuse("it can't be executed (%v): link it", f.Type)
	}
	const remedy = "link it statically; see docs/how-to/write-a-task.md"
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return refuse("it is dynamically linked and needs the loader %s: %s", loader(p), remedy)
		}
	}
	if libraries, err := f.ImportedLibraries(); err != nil || len(libraries) > 0 {
		return refuse("it needs the libraries %s: %s", strings.Join(libraries, ", "), remedy)
	}
	// Without this header, kernels before 5.8 make the stack executable.
	plainStack := false
	for _, p := range f.Progs {
		both := elf.PF_W | elf.PF_X
		if p.Type == elf.PT_GNU_STACK {
			plainStack = p.Flags&elf.PF_X == 0
		}
		if p.Type == elf.PT_LOAD && p.Flags&both == both {
			return refuse("it has memory that can be written and executed: link it with -z separate-code")
		}
	}
	if !plainStack {
		return refuse("it asks for an executable stack: link it with -z noexecstack")
	}
	return nil
}

// loader is the path of the loader that an executable names.
func loader(p *elf.Prog) string {
	const longest = 4096 // bytes: PATH_MAX
	text, _ := io.ReadAll(io.LimitReader(p.Open(), longest))
	return strings.TrimRight(string(text), "\x00")
}
