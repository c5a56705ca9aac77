package sandbox

import (
	"debug/elf"
	"encoding/binary"
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
	if err := CheckFile(f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// CheckFile is [CheckExecutable] for an open file.
func CheckFile(f *os.File) error {
	if err := checkSize(f); err != nil {
		return err
	}
	return checkExecutable(f)
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
	if info.Size() > MaxExecutable {
		return fmt.Errorf("%w: it has %d bytes, more than %d", ErrExecutable, info.Size(), MaxExecutable)
	}
	return nil
}

// refuse returns an error that wraps ErrExecutable.
func refuse(format string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrExecutable, fmt.Sprintf(format, a...))
}

const remedy = "link it statically; see docs/how-to/write-a-task.md"

func checkExecutable(file io.ReaderAt) error {
	if err := checkHeader(file); err != nil {
		return err
	}
	f, err := elf.NewFile(programsOf{file})
	if err != nil {
		return refuse("it is not an ELF file (%v)", err)
	}
	if f.Class != elf.ELFCLASS64 || f.Machine != machines[runtime.GOARCH] {
		return refuse("it is for another machine (%v, %v), not for %s", f.Machine, f.Class, runtime.GOARCH)
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return refuse("it can't be executed (%v): link it", f.Type)
	}
	// Without this header, kernels before 5.8 make the stack executable.
	plainStack := false
	for _, p := range f.Progs {
		switch both := elf.PF_W | elf.PF_X; {
		case p.Type == elf.PT_INTERP:
			return refuse("it is dynamically linked and needs the loader %s: %s", loader(p), remedy)
		case p.Type == elf.PT_DYNAMIC && needsLibraries(p):
			return refuse("it needs shared libraries: %s", remedy)
		case p.Type == elf.PT_LOAD && p.Flags&both == both:
			return refuse("it has memory that can be written and executed: link it with -z separate-code")
		case p.Type == elf.PT_GNU_STACK:
			plainStack = p.Flags&elf.PF_X == 0
		}
	}
	if !plainStack {
		return refuse("it asks for an executable stack: link it with -z noexecstack")
	}
	return nil
}

// checkHeader refuses a header that would let debug/elf read a large table of programs. The kernel
// refuses such a header, too. [elf.NewFile] refuses what is no ELF file at all.
func checkHeader(file io.ReaderAt) error {
	var h [64]byte // elf.Header64
	n, err := file.ReadAt(h[:], 0)
	if n < len(h) || string(h[:len(elf.ELFMAG)]) != elf.ELFMAG {
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		return nil
	}
	class, order := elf.Class(h[elf.EI_CLASS]), elf.Data(h[elf.EI_DATA])
	if class == elf.ELFCLASS32 || order == elf.ELFDATA2MSB {
		return refuse("it is for another machine (%v, %v), not for %s", class, order, runtime.GOARCH)
	}
	const entry, table = 56, 64 << 10 // bytes: elf.Prog64, and as many of them as the kernel reads
	size, count := binary.LittleEndian.Uint16(h[54:]), int(binary.LittleEndian.Uint16(h[56:]))
	if count > 0 && size != entry || count > table/entry {
		return refuse("its program headers are not those of an executable")
	}
	return nil
}

// programsOf is an ELF file without its section headers. The kernel does not read them. debug/elf
// would: a small file could have it decompress or copy any amount of bytes.
type programsOf struct{ io.ReaderAt }

// ReadAt implements io.ReaderAt.
func (f programsOf) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.ReaderAt.ReadAt(p, off)
	for _, field := range [][2]int64{{40, 48}, {60, 64}} { // Shoff; Shnum and Shstrndx
		from, to := max(field[0]-off, 0), min(field[1]-off, int64(n))
		if from < to {
			clear(p[from:to])
		}
	}
	return n, err
}

// needsLibraries reports whether a dynamic segment names a shared library.
func needsLibraries(p *elf.Prog) bool {
	const most = 64 << 10 // bytes: more than any linker writes
	r := io.NewSectionReader(p, 0, min(int64(p.Filesz), most))
	for {
		var d elf.Dyn64
		if binary.Read(r, binary.LittleEndian, &d) != nil || elf.DynTag(d.Tag) == elf.DT_NULL {
			return false
		}
		if elf.DynTag(d.Tag) == elf.DT_NEEDED {
			return true
		}
	}
}

// loader is the path of the loader that an executable names.
func loader(p *elf.Prog) string {
	const longest = 4096 // bytes: PATH_MAX
	text, _ := io.ReadAll(io.LimitReader(p.Open(), longest))
	return strings.TrimRight(string(text), "\x00")
}
