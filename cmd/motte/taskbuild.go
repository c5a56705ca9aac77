package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"motte/core/model"
	"motte/host"
	"motte/host/sandbox"
	"motte/sdk/wasm/build"
	"motte/taskpkg"
)

// builtView is a Task that was built, as JSON.
type builtView struct {
	File        string `json:"file"`
	Measurement string `json:"measurement"`
	Bytes       int64  `json:"bytes"`
}

func (a *app) taskBuild() *cobra.Command {
	o := build.Options{Optimize: 2}
	level := whole[int]{&o.Optimize, 0, 3}
	cmd := a.leaf(&cobra.Command{
		Use:   "build FILE",
		Short: "Build a Task from a WebAssembly module",
		Long: `Build the executable of a Task from a WebAssembly module: wasm2c turns the module into C, and a
C compiler links it statically with the protocol of Tasks. The module must keep
docs/reference/wasm-abi.md. What it imports beyond that is refused, by name.

The build needs wasm2c of wabt, and clang or gcc. No server is needed.`,
		Example: `  motte task build near.wasm
  motte task build near.wasm --output /tmp/tasks/motte-task-near --compiler gcc`,
	}, func(ctx context.Context, args []string) error {
		o.Module = args[0]
		if o.Out == "" {
			name := strings.TrimSuffix(filepath.Base(o.Module), ".wasm")
			if !model.ValidIdentifier(name) {
				return usage("--output is missing: %q can't be the name of a Task", name)
			}
			o.Out = taskpkg.Prefix + name
		}
		return a.buildTask(ctx, o)
	})
	f := cmd.Flags()
	f.StringVarP(&o.Out, "output", "o", "", "write the executable to `FILE`; without it to motte-task-NAME, for NAME.wasm")
	f.StringVar(&o.Compiler, "compiler", "", "C compiler `PROGRAM`; without it clang, or else gcc")
	f.Var(level, "optimize", "`LEVEL` of the C compiler, 0 to 3: a large module takes it minutes at 2")
	return cmd
}

func (a *app) buildTask(ctx context.Context, o build.Options) error {
	if err := build.Task(ctx, o); err != nil {
		return err
	}
	if err := sandbox.CheckExecutable(o.Out); err != nil {
		return err
	}
	measurement, err := host.Measure(o.Out)
	if err != nil {
		return err
	}
	info, err := os.Stat(o.Out)
	if err != nil {
		return err
	}
	return a.done(builtView{o.Out, fmt.Sprintf("%x", measurement), info.Size()},
		"%s is built: %d bytes, SHA-256 %x.", o.Out, info.Size(), measurement)
}
