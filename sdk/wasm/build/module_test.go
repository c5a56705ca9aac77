package build

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// leb128 encodes a number.
func leb128(n uint32) (p []byte) {
	for ; n >= 0x80; n >>= 7 {
		p = append(p, byte(n)|0x80)
	}
	return append(p, byte(n))
}

func text(s string) []byte { return append(leb128(uint32(len(s))), s...) }

// section encodes a section with a list of elements.
func section(id byte, elements ...[]byte) []byte {
	content := leb128(uint32(len(elements)))
	for _, e := range elements {
		content = append(content, e...)
	}
	return append(append([]byte{id}, leb128(uint32(len(content)))...), content...)
}

// function encodes the type of a function, such as "(i32, i64) -> i32".
func function(signature string) []byte {
	params, results, _ := strings.Cut(signature, ")")
	list := func(s string) (p []byte) {
		types := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune("(), ->", r) })
		p = leb128(uint32(len(types)))
		for _, t := range types {
			p = append(p, map[string]byte{"i32": 0x7f, "i64": 0x7e, "f32": 0x7d, "f64": 0x7c}[t])
		}
		return p
	}
	return slices.Concat([]byte{0x60}, list(params), list(results))
}

// sketch is a module to be encoded: functions by name, and a memory.
type sketch struct {
	imports map[string]string // "module.name": type
	exports map[string]string
	memory  []byte // limits
	more    []byte // sections at the end
}

// good returns the sketch of a module that is a Task.
func good() *sketch {
	return &sketch{imports: map[string]string{"motte.found": "(i32) -> i32", "wasi_snapshot_preview1.proc_exit": "(i32)"},
		exports: maps.Clone(exported), memory: []byte{0, 2}}
}

func (s *sketch) encode() []byte {
	var types, imports, functions, exports [][]byte
	for _, name := range sorted(s.imports) {
		module, field, _ := strings.Cut(name, ".")
		imports = append(imports, slices.Concat(text(module), text(field), []byte{kindFunction}, leb128(uint32(len(types)))))
		types = append(types, function(s.imports[name]))
	}
	for _, name := range sorted(s.exports) {
		exports = append(exports, slices.Concat(text(name), []byte{kindFunction}, leb128(uint32(len(types)))))
		functions = append(functions, leb128(uint32(len(types))))
		types = append(types, function(s.exports[name]))
	}
	exports = append(exports, append(text("memory"), kindMemory, 0))
	var memories [][]byte
	if s.memory != nil {
		memories = append(memories, s.memory)
	}
	return slices.Concat([]byte(header), section(sectionType, types...), section(sectionImport, imports...),
		section(sectionFunction, functions...), section(sectionMemory, memories...), section(sectionExport, exports...), s.more)
}

// TestAModuleIsCheckedBeforeItIsBuilt: what is missing, of another type, or not offered is named.
func TestAModuleIsCheckedBeforeItIsBuilt(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*sketch)
		want   string // in the error; "": accepted
	}{
		"good":          {func(*sketch) {}, ""},
		"saves":         {func(s *sketch) { maps.Copy(s.exports, optional) }, ""},
		"other exports": {func(s *sketch) { s.exports["malloc"] = "(i32) -> i32" }, ""},
		"largest":       {func(s *sketch) { s.memory = append([]byte{0}, leb128(maxPages)...) }, ""},
		"file": {func(s *sketch) {
			s.imports["wasi_snapshot_preview1.path_open"] = "(i32, i32) -> i32"
			s.imports["env.emscripten"] = "()"
		}, "imports what a Task does not have: env.emscripten, wasi_snapshot_preview1.path_open."},
		"import type":  {func(s *sketch) { s.imports["motte.found"] = "(i64)" }, "its import motte.found is a (i64), want (i32) -> i32"},
		"missing":      {func(s *sketch) { delete(s.exports, "motte_search") }, "does not export motte_search"},
		"export type":  {func(s *sketch) { s.exports["motte_remove"] = "() -> f64" }, "its export motte_remove is a () -> f64, want (i32)"},
		"optional":     {func(s *sketch) { s.exports["_initialize"] = "(i32)" }, "its export _initialize is a (i32), want ()"},
		"program":      {func(s *sketch) { s.exports["_start"] = "()" }, "build a reactor"},
		"save alone":   {func(s *sketch) { s.exports["motte_save"] = optional["motte_save"] }, "and not motte_load"},
		"load alone":   {func(s *sketch) { s.exports["motte_load"] = optional["motte_load"] }, "and not motte_save"},
		"no memory":    {func(s *sketch) { s.memory = nil }, "must have one memory"},
		"large memory": {func(s *sketch) { s.memory = append([]byte{0}, leb128(maxPages+1)...) }, "begins with 65536 pages"},
	} {
		s := good()
		tc.change(s)
		m, err := ReadModule(s.encode())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		err = m.Check()
		if tc.want == "" && err != nil || tc.want != "" && (!errors.Is(err, ErrModule) || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: %v; want %q", name, err, tc.want)
		}
	}
}

// TestWhatIsNoModuleIsRefusedWithTheReason also cuts a module at each length.
func TestWhatIsNoModuleIsRefusedWithTheReason(t *testing.T) {
	s := good()
	s.more = section(sectionTag)
	shared := good()
	shared.memory = []byte{3, 1, 2}
	imported := slices.Concat([]byte(header), section(sectionImport, slices.Concat(text("env"), text("memory"), []byte{kindMemory, 0, 1})))
	for want, p := range map[string][]byte{
		"does not begin": []byte("#!/bin/sh"),
		"a component":    []byte(layer),
		"exceptions":     s.encode(),
		"shared":         shared.encode(),
		"too early":      good().encode()[:100],
		"too large":      append([]byte(header), 1, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"longer":         append([]byte(header), 1, 2, 0, 0),
		"missing":        append([]byte(header), section(sectionFunction, leb128(7))...),
	} {
		if _, err := ReadModule(p); !errors.Is(err, errModule) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
	m, err := ReadModule(imported)
	if err != nil || len(m.Imports) != 1 || m.Imports[0].Type != "memory" || !strings.Contains(m.Check().Error(), "env.memory") {
		t.Errorf("an imported memory: %+v, %v", m, err)
	}
	whole := good().encode()
	for n := range whole {
		if m, err := ReadModule(whole[:n]); err == nil && m.Check() == nil {
			t.Errorf("the first %d of %d bytes are accepted", n, len(whole))
		}
	}
}

// TestMissingProgramsAreNamed: the error says which program is missing, and how to get it.
func TestMissingProgramsAreNamed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "good.wasm")
	if err := os.WriteFile(path, good().encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	tool := func(name, script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	out := filepath.Join(dir, "task")
	fails := func(o Options, want error, text string) {
		t.Helper()
		if err := Task(t.Context(), o); err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v; want %q", err, text)
		}
		if _, err := os.Stat(out); err == nil {
			t.Error("an executable was written")
		}
	}
	fails(Options{Module: path, Out: out}, ErrTool, "wasm2c. install wabt")
	tool("wasm2c", "[ $1 = --version ] && echo 9.9 || : >task.h")
	fails(Options{Module: path, Out: out}, ErrTool, "clang or gcc. install")
	fails(Options{Module: path, Out: out, Compiler: "tcc"}, ErrTool, ": tcc.")
	tool("gcc", "echo it does not work; exit 3")
	fails(Options{Module: path, Out: out}, ErrTool, "wasm2c 9.9 names functions in another way")
	tool("wasm2c", "echo 'Z_task_instantiate(' >task.h")
	fails(Options{Module: path, Out: out}, nil, "gcc: exit status 3\nit does not work")
	fails(Options{Module: path, Out: filepath.Join(dir, "missing", "task")}, os.ErrNotExist, "missing")
	fails(Options{Module: filepath.Join(dir, "wasm2c"), Out: out}, errModule, "wasm2c: not a WebAssembly module")
}

// TestTheHeaderFollowsTheModule: the runner calls only what the module has.
func TestTheHeaderFollowsTheModule(t *testing.T) {
	s := good()
	delete(s.imports, "wasi_snapshot_preview1.proc_exit")
	s.exports["_initialize"] = "()"
	m, err := ReadModule(s.encode())
	if err != nil {
		t.Fatal(err)
	}
	want := "#include \"task.h\"\n#define MODULE_INSTANTIATE(module) Z_task_instantiate(module, NULL)\n" +
		"#define MODULE_INITIALIZE 1\n#define MODULE_SAVES 0\n"
	if got := moduleHeader(m); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func FuzzReadModule(f *testing.F) {
	f.Add(good().encode())
	f.Add([]byte(header))
	f.Fuzz(func(t *testing.T, p []byte) {
		m, err := ReadModule(p)
		if err != nil {
			if !errors.Is(err, errModule) {
				t.Errorf("the error %v does not say that it is no module", err)
			}
			return
		}
		if err := m.Check(); err == nil && m.Memory.Defined != 1 {
			t.Errorf("%+v is accepted", m.Memory)
		}
	})
}
