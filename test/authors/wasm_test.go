package authors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/internal/testutil"
	"motte/sdk/conformance"
	"motte/sdk/conformance/confined"
	"motte/sdk/sdktest"
	"motte/sdk/wasm/build"
)

// wasmPrograms are what a build of a module in C needs.
var wasmPrograms = []string{"clang", "wasm-ld", "wasm2c"}

// module compiles a module from C, below a directory of the repository.
func module(t testing.TB, dir, source string) (path string) {
	t.Helper()
	needs(t, wasmPrograms...)
	path = filepath.Join(t.TempDir(), strings.TrimSuffix(source, ".c")+".wasm")
	run(t, dir, nil, "clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-Wall", "-Wextra", "-Werror", "-O2", source, "-o", path)
	return path
}

// wasmInC builds the example of sdk/wasm in C.
func wasmInC(t testing.TB, dir string) {
	path := module(t, "sdk/wasm/exact-c", "exact.c")
	testutil.Must(t, build.Task(t.Context(), build.Options{Module: path, Out: filepath.Join(dir, "motte-task-exact"), Optimize: 2}))
}

// wasmInGo builds the example in Go. Go's runtime is large, so the C compiler does not optimise.
func wasmInGo(t testing.TB, dir string) {
	testutil.Must(t, build.Task(t.Context(), build.Options{Module: goModule(t), Out: filepath.Join(dir, "motte-task-exact"), Optimize: 0}))
}

// goModule compiles the module of the example in Go.
func goModule(t testing.TB) (path string) {
	needs(t, wasmPrograms...)
	path = filepath.Join(t.TempDir(), "exact.wasm")
	run(t, "sdk/wasm/exact-go", []string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", path, ".")
	return path
}

// TestTheSameModuleMakesTheSameTask: two builds are equal byte for byte.
func TestTheSameModuleMakesTheSameTask(t *testing.T) {
	path := module(t, "sdk/wasm/exact-c", "exact.c")
	var images [2][]byte
	for i := range images {
		out := filepath.Join(t.TempDir(), "motte-task-exact")
		testutil.Must(t, build.Task(t.Context(), build.Options{Module: path, Out: out, Optimize: 1}))
		var err error
		images[i], err = os.ReadFile(out)
		testutil.Must(t, err)
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two builds of a module differ")
	}
}

// attacks are what the module of testdata/attack.c does, by its predicate. Each must end the
// process before an answer.
var attacks = []string{
	"read-end", "read-border", "read-far", "read-negative", "write-end", "write-border", "write-negative", "copy-out", "copy-in", "fill",
	"search-object", "search-zero", "after-count", "no-candidate", "candidate-object", "starts-after", "write-outside", "write-pointer", "random-pointer", "vectors-pointer",
	"result", "call-type", "call-null", "call-far", "recursion", "unreachable", "divide", "exit",
}

// TestAModuleStaysInItsMemory: what reads or writes outside of the module's memory, calls what is no
// function, or breaks the ABI ends the process, in the confinement, and gets no answer.
func TestAModuleStaysInItsMemory(t *testing.T) {
	task := attackTask(t)
	for _, attack := range attacks {
		t.Run(attack, func(t *testing.T) {
			t.Parallel()
			p := startAttack(t, task, 256<<20)
			if found, err := p.ask("inside"); err != nil || found != 1 {
				t.Fatalf("before the attack the Task names %d objects, %v; want 1", found, err)
			}
			if found, err := p.ask(attack); !errors.Is(err, io.EOF) {
				t.Fatalf("the attack gets an answer of %d objects, %v; want that the process ends", found, err)
			}
			p.Wait()
		})
	}
}

// TestAModuleGrowsUpToTheLimit: memory.grow fails at the limit of the Task, and the Task goes on.
func TestAModuleGrowsUpToTheLimit(t *testing.T) {
	p := startAttack(t, attackTask(t), 256<<20)
	if found, err := p.ask("grow"); err != nil || found != 1 {
		t.Fatalf("the Task names %d objects, %v; want that it grew to more than 128 and less than 256 MiB, and could write there", found, err)
	}
	if found, err := p.ask("inside"); err != nil || found != 1 {
		t.Fatalf("afterwards the Task names %d objects, %v; want 1", found, err)
	}
}

// TestAModuleHasNoArgumentsAndFiles: what wasip1 offers is empty, and clocks and randomness work.
func TestAModuleHasNoArgumentsAndFiles(t *testing.T) {
	p := startAttack(t, attackTask(t), 256<<20)
	for _, predicate := range []string{"arguments", "files", "clock", "random", "sleep", "print"} {
		if found, err := p.ask(predicate); err != nil || found != 1 {
			t.Fatalf("%s: the Task names %d objects, %v; want 1", predicate, found, err)
		}
	}
}

func attackTask(t *testing.T) string {
	out := filepath.Join(built, "motte-task-attack")
	if _, err := os.Stat(out); err != nil {
		path := module(t, "test/authors/testdata", "attack.c")
		testutil.Must(t, build.Task(t.Context(), build.Options{Module: path, Out: out, Optimize: 2}))
	}
	return out
}

// attacked is a process of the attacking Task, with one object.
type attacked struct {
	conformance.Process
	seq uint64
}

func startAttack(t *testing.T, task string, memory uint64) *attacked {
	t.Helper()
	start, err := confined.Executable(task, memory)
	testutil.Must(t, err)
	process, err := start()
	testutil.Must(t, err)
	t.Cleanup(func() {
		process.Close()
		process.Kill()
		process.Wait()
	})
	p := &attacked{process, 2}
	frames := taskwire.AppendConfigure(nil, 1, &taskwire.Configuration{Type: model.TypeAny, MaxResults: 10})
	_, err = p.Write(sdktest.AppendInsert(frames, 2, 2, sdktest.ID(1), 1, []byte("an object")))
	testutil.Must(t, err)
	return p
}

// ask sends a Search, and returns the number of identities in its answer.
func (p *attacked) ask(predicate string) (found int, err error) {
	p.seq++
	if _, err := p.Write(taskwire.AppendSearch(nil, p.seq, &taskwire.Query{Limit: 10, Predicate: []byte(predicate)})); err != nil {
		return 0, err
	}
	for {
		head := make([]byte, taskwire.HeaderSize)
		if _, err := io.ReadFull(p, head); err != nil {
			return 0, ended(err)
		}
		payload := make([]byte, binary.BigEndian.Uint32(head[4:]))
		if _, err := io.ReadFull(p, payload); err != nil {
			return 0, ended(err)
		}
		switch taskwire.Type(head[3]) {
		case taskwire.Found:
			return len(payload) / len(identity.ID{}), nil
		case taskwire.Failed:
			return 0, errors.New("the query is refused")
		}
	}
}

// ended returns io.EOF for the errors of a channel whose other end is gone.
func ended(err error) error {
	if errors.Is(err, syscall.ECONNRESET) {
		return io.EOF
	}
	return err
}
