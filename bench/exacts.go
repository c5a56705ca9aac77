package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"

	"motte/bench/exact"
	"motte/bench/timing"
	"motte/sdk"
	wasmbuild "motte/sdk/wasm/build"
)

// errMissing says that a program or a file is missing which a line needs. The line is left out.
var errMissing = errors.New("this line is left out")

// language is a language of the example, and how an executable is built.
type language struct {
	name  string
	build func(ctx context.Context, source, out string) error
}

// languages are those that are compared with Go.
var languages = []language{
	{"C", func(ctx context.Context, source, out string) error {
		return command(ctx, source, nil, "gcc", "-std=c11", "-O2", "-static", "sdk/c/exact/exact.c", "-o", out)
	}},
	{"Rust", buildRust},
	{"C as wasm", func(ctx context.Context, source, out string) error {
		return errors.Join(command(ctx, source, nil, "clang", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2",
			"sdk/wasm/exact-c/exact.c", "-o", out+".wasm"), fromModule(ctx, out, 2))
	}},
	{"Go as wasm", func(ctx context.Context, source, out string) error {
		return errors.Join(command(ctx, source, []string{"GOOS=wasip1", "GOARCH=wasm"}, "go", "build", "-buildmode=c-shared",
			"-ldflags=-s -w", "-o", out+".wasm", "./sdk/wasm/exact-go"), fromModule(ctx, out, 1)) // level 2 takes minutes, since Go's runtime is large
	}},
}

func buildRust(ctx context.Context, source, out string) error {
	target := out + ".target"
	err := command(ctx, filepath.Join(source, "sdk/rust"), []string{"CARGO_TARGET_DIR=" + target},
		"cargo", "build", "--offline", "--locked", "--release", "--workspace")
	if err != nil {
		return err
	}
	return os.Rename(filepath.Join(target, "release/motte-task-exact"), out)
}

func buildGo(ctx context.Context, source, out string) error {
	return command(ctx, source, []string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-o", out, "./bench/exact/task")
}

// fromModule builds a Task from a module of WebAssembly beside it, as "motte task build --optimize
// LEVEL" does.
func fromModule(ctx context.Context, out string, level int) error {
	err := wasmbuild.Task(ctx, wasmbuild.Options{Module: out + ".wasm", Out: out, Optimize: level})
	if errors.Is(err, wasmbuild.ErrTool) {
		err = fmt.Errorf("%w: %w", errMissing, err)
	}
	return err
}

// command runs a program in a directory.
func command(ctx context.Context, dir string, environment []string, name string, arguments ...string) error {
	c := exec.CommandContext(ctx, name, arguments...)
	c.Dir, c.Env = dir, append(os.Environ(), environment...)
	out, err := c.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: %w", errMissing, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// exactTask returns the executable of the example in a language. It is built only once.
func (f *fixture) exactTask(ctx context.Context, l language) (path string, err error) {
	source, err := os.Getwd()
	if err == nil {
		_, err = os.Stat(filepath.Join(source, "sdk/rust/Cargo.toml"))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%w: its source is not below the current directory", errMissing)
	}
	if f.built == "" {
		if f.built, err = os.MkdirTemp(f.dir, "motte-bench-"); err != nil {
			return "", err
		}
		f.cleanup(func() error { return os.RemoveAll(f.built) })
	}
	path = filepath.Join(f.built, "motte-task-"+l.name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, l.build(ctx, source, path)
}

// inGo is the example that the others are compared with.
var inGo = language{"Go", buildGo}

// languageLines are the lines that compare languages.
func languageLines() (list []line) {
	for _, l := range languages {
		list = append(list, line{name: "EXACT insert, " + l.name, unit: "µs", peer: peerGo, prepare: compareLanguages(l, insertTime)},
			line{name: "EXACT query, " + l.name, unit: "µs", peer: peerGo, prepare: compareLanguages(l, queryTime)})
	}
	return list
}

// compareLanguages measures the processor time of a Task in a language, and in Go.
func compareLanguages(l language, of func(*fixture, string) measure) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		path, err := f.exactTask(ctx, l)
		if err != nil {
			return nil, nil, err
		}
		path2, err := f.exactTask(ctx, inGo)
		return of(f, path), of(f, path2), err
	}
}

// insertTime measures the processor time of a Task for an insertion.
func insertTime(_ *fixture, path string) measure {
	return func(context.Context) (float64, error) {
		c, took, err := startConfined(path)
		if err != nil {
			return 0, err
		}
		c.stop()
		return micros(took, exactEntries), nil
	}
}

// queryTime measures the processor time of a Task for a query that finds ten objects.
func queryTime(f *fixture, path string) measure {
	return func(ctx context.Context) (float64, error) { return f.askConfined(ctx, path, false) }
}

// askConfined measures the processor time of a query: that of the Task, and of this process, too, if
// both is set.
func (f *fixture) askConfined(ctx context.Context, path string, both bool) (float64, error) {
	c, _, err := startConfined(path)
	if err != nil {
		return 0, err
	}
	defer c.stop()
	own := ownTime()
	before, err := c.task.ProcessorTime()
	if err != nil {
		return 0, err
	}
	n, err := c.ask(ctx, f.duration())
	if err != nil {
		return 0, err
	}
	after, err := c.task.ProcessorTime()
	took := after - before
	if both {
		took += ownTime() - own
	}
	return micros(took, n), err
}

// throughTask measures the processor time of a query that finds ten identities, of both ends of the
// channel. The peer calls the same index in this process.
func throughTask(ctx context.Context, f *fixture) (motte, beside measure, err error) {
	path, err := f.exactTask(ctx, inGo)
	if err != nil {
		return nil, nil, err
	}
	motte = func(ctx context.Context) (float64, error) { return f.askConfined(ctx, path, true) }
	x := filledExact(randomIdentities(exactEntries))
	beside = func(ctx context.Context) (float64, error) {
		var calls atomic.Int64
		own := ownTime()
		_, err := timing.Run(ctx, f.duration(), exactFlight, func(_ context.Context, _, _ int) error {
			// In batches, since timing.Run reads the clock after each call.
			for range callsEach {
				found, err := x.Search(sdk.Query{Limit: wanted, Predicate: exactKey(int(calls.Load()) * 7 * wanted % exactEntries)})
				if err != nil || len(take(found)) != wanted {
					return fmt.Errorf("the index finds something else: %w", err)
				}
			}
			calls.Add(callsEach)
			return nil
		})
		return micros(ownTime()-own, int(calls.Load())), err
	}
	return motte, beside, nil
}

// callsEach is the number of calls of a batch.
const callsEach = 100

// filledExact returns an index of these identities.
func filledExact(ids []sdk.Identity) *exact.Index {
	x := exact.New()
	for i, id := range ids {
		x.Apply([]sdk.Change{{Identity: id, Owner: 1, LSN: uint64(i + 1), Input: exactKey(i)}})
	}
	return x
}

// take returns the first identities of an answer.
func take(found iter.Seq[sdk.Identity]) (list []sdk.Identity) {
	for id := range found {
		if list = append(list, id); len(list) == wanted {
			break
		}
	}
	return list
}
