// Package confined starts the executable of a Task in its confinement, for the conformance
// suite. A program that uses it calls sandbox.ReexecInit first in main, and a test does so in
// TestMain.
package confined

import (
	"fmt"
	"os"

	"motte/host"
	"motte/host/sandbox"
	"motte/sdk/conformance"
)

// process is a process in the confinement. The file is this end of its channel.
type process struct {
	*os.File
	task *sandbox.Process
}

// Kill implements conformance.Process.
func (p process) Kill() { p.task.Kill() }

// Wait implements conformance.Process.
func (p process) Wait() { p.task.Wait() }

// Executable returns a function that starts processes of an executable, which may have so many
// bytes of memory. The error says why the file can't be a Task's executable.
func Executable(path string, memory uint64) (func() (conformance.Process, error), error) {
	if err := sandbox.CheckExecutable(path); err != nil {
		return nil, err
	}
	measurement, err := host.Measure(path)
	if err != nil {
		return nil, fmt.Errorf("measure the executable: %w", err)
	}
	return func() (conformance.Process, error) {
		p, err := sandbox.Start(sandbox.Config{Executable: path, Measurement: measurement, Memory: memory})
		if err != nil {
			return nil, err
		}
		return process{p.Channel(), p}, nil
	}, nil
}
