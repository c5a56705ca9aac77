// Package build compiles a WebAssembly module into the executable of a Task. It checks what the
// module imports and exports, lets wasm2c turn it into C, and links that statically with a
// runner, which speaks the protocol of Tasks by sdk/c/motte.h.
//
// Guarantees:
//
//  1. The executable needs no exception from the confinement of Tasks: it makes no code at run time.
//  2. An access outside the memory of the module ends the process. The module reads and writes no
//     other memory, and calls only the functions of docs/reference/wasm-abi.md.
//  3. The same module, compilers and options give the same bytes.
//
// The second one depends on wasm2c and the C compiler. The Core's safety does not: a Task is
// confined whatever it does.
package build

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"motte/sdk/c"
)

//go:embed runner/*.c runner/*.h
var runner embed.FS

// runnerFiles are the C files of the runner.
var runnerFiles = []string{"runner.c", "wasi.c", "runtime.c"}

// Options say how to compile.
type Options struct {
	Module   string // the file with the module
	Out      string // the executable to write
	Compiler string // of C; "": clang, or else gcc
	Optimize int    // level of optimisation of the C compiler, 0 to 3
}

// ErrTool says that a program which the build needs is missing or does not work.
var ErrTool = errors.New("a program that the build needs is missing")

// install says how to get the programs.
const install = "install wabt, and clang or gcc, with the static libraries of C: on Debian, apt-get install wabt clang libc6-dev"

// maxModule is the largest module in bytes: a C compiler takes minutes for one of this size.
const maxModule = 64 << 20

// Task compiles a module into a Task. It replaces the file Out only if all went well.
func Task(ctx context.Context, o Options) error {
	module, err := readModule(o.Module)
	if err != nil {
		return err
	}
	tools, err := findTools(o.Compiler)
	if err != nil {
		return err
	}
	// A compilation takes long, so a directory that is missing is reported before it.
	if _, err := os.Stat(filepath.Dir(o.Out)); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "motte-wasm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeSources(dir, module); err != nil {
		return err
	}
	path, err := filepath.Abs(o.Module)
	if err != nil {
		return err
	}
	if err := tools.translate(ctx, dir, path); err != nil {
		return err
	}
	if err := tools.compile(ctx, dir, o.Optimize); err != nil {
		return err
	}
	return move(filepath.Join(dir, "task"), o.Out)
}

// readModule reads and checks a module.
func readModule(path string) (*Module, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxModule {
		return nil, fmt.Errorf("%s: %w: it has %d bytes, at most %d can be compiled", path, ErrModule, info.Size(), maxModule)
	}
	p, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := ReadModule(p)
	if err == nil {
		err = m.Check()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// writeSources writes the runner, and the header that says which functions the module has.
func writeSources(dir string, m *Module) error {
	list, err := runner.ReadDir("runner")
	if err != nil {
		return err
	}
	files := map[string][]byte{"motte.h": []byte(c.Kit), "module.h": []byte(moduleHeader(m))}
	for _, e := range list {
		if files[e.Name()], err = runner.ReadFile("runner/" + e.Name()); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// moduleHeader returns the header for a module. wasm2c hands over an instance for each imported
// module, in the order of their names.
func moduleHeader(m *Module) string {
	var b strings.Builder
	b.WriteString("#include \"task.h\"\n")
	arguments := ""
	for _, name := range []string{"motte", "wasi_snapshot_preview1"} {
		if m.imports(name) {
			arguments += ", NULL"
		}
	}
	fmt.Fprintf(&b, "#define MODULE_INSTANTIATE(module) Z_task_instantiate(module%s)\n", arguments)
	for _, f := range []struct{ macro, export string }{{"MODULE_INITIALIZE", "_initialize"}, {"MODULE_SAVES", "motte_save"}} {
		has := 0
		if m.export(f.export) != "" {
			has = 1
		}
		fmt.Fprintf(&b, "#define %s %d\n", f.macro, has)
	}
	return b.String()
}

// move puts an executable in its place, also on another file system.
func move(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	unfinished := to + ".unfinished"
	if err := os.WriteFile(unfinished, content, 0o755); err != nil {
		return err
	}
	if err := os.Rename(unfinished, to); err != nil {
		return errors.Join(err, os.Remove(unfinished))
	}
	return nil
}

// tools are the programs of a build.
type tools struct{ wasm2c, compiler string }

func findTools(compiler string) (tools, error) {
	var t tools
	var err error
	if t.wasm2c, err = exec.LookPath("wasm2c"); err != nil {
		return t, fmt.Errorf("%w: wasm2c. %s", ErrTool, install)
	}
	candidates := []string{"clang", "gcc"}
	if compiler != "" {
		candidates = []string{compiler}
	}
	for _, name := range candidates {
		if t.compiler, err = exec.LookPath(name); err == nil {
			return t, nil
		}
	}
	return t, fmt.Errorf("%w: %s. %s", ErrTool, strings.Join(candidates, " or "), install)
}

// translate turns the module into task.c and task.h.
func (t tools) translate(ctx context.Context, dir, module string) error {
	if err := run(ctx, dir, t.wasm2c, "--module-name", "task", "--no-debug-names", "-o", "task.c", module); err != nil {
		return err
	}
	made, err := os.ReadFile(filepath.Join(dir, "task.h"))
	if err != nil {
		return err
	}
	if !strings.Contains(string(made), "Z_task_instantiate(") {
		version, _ := exec.CommandContext(ctx, t.wasm2c, "--version").Output()
		return fmt.Errorf("%w: wasm2c %s names functions in another way than Motte expects; use 1.0.32, that of Debian 12",
			ErrTool, strings.TrimSpace(string(version)))
	}
	return nil
}

// compile compiles and links the executable. Memory is checked by comparison and not by signals, so
// that a Task needs little address space. The checks of the stack keep a deep recursion from
// reaching other memory: it ends at the guard page.
func (t tools) compile(ctx context.Context, dir string, optimize int) error {
	common := []string{"-std=c11", "-c", fmt.Sprintf("-O%d", optimize), "-fstack-clash-protection", "-fno-optimize-sibling-calls", "-frounding-math",
		"-ffunction-sections", "-DNDEBUG", "-DWASM_RT_MEMCHECK_SIGNAL_HANDLER=0", "-DWASM_RT_USE_STACK_DEPTH_COUNT=0"}
	var objects []string
	for _, name := range append([]string{"task.c"}, runnerFiles...) {
		args := append(common[:len(common):len(common)], "-Wall", "-Wextra", name)
		if name == "task.c" {
			args = append(common[:len(common):len(common)], "-w", name)
		}
		if err := run(ctx, dir, t.compiler, args...); err != nil {
			return err
		}
		objects = append(objects, strings.TrimSuffix(name, ".c")+".o")
	}
	link := append([]string{"-static", "-s", "-Wl,--gc-sections,--build-id=none", "-o", "task"}, objects...)
	return run(ctx, dir, t.compiler, append(link, "-lm")...)
}

// maxOutput is how many bytes of a program's messages an error repeats.
const maxOutput = 4 << 10

// run runs a program in a directory. Its error has the beginning of what the program said.
func run(ctx context.Context, dir, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, out[:min(len(out), maxOutput)])
	}
	return nil
}
