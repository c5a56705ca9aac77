package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// describe describes the conditions of the measurement.
func (a *arena) describe(ctx context.Context, each time.Duration, turns int) (string, error) {
	kernel, _, _ := strings.Cut(output("uname", "-r"), "-") // the rest names the distribution's build
	text := fmt.Sprintf("%d turns of %.1f s for each system, %d objects of 1 KiB, %d processors (%s), Linux %s, %s, %s\n",
		turns, each.Seconds(), a.objects, runtime.NumCPU(), processor(), kernel, runtime.Version(), disk(a.base))
	var names []string
	for name := range a.running {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		v, err := a.running[name].version(ctx)
		if err != nil {
			return "", fmt.Errorf("version of %s: %w", name, err)
		}
		text += "\n* " + v
	}
	return text, nil
}

// output returns the output of a program, or a note that there is none.
func output(name string, arguments ...string) string {
	out, err := exec.Command(name, arguments...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// processor returns the model of the first processor.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	return modelName(string(text))
}

func modelName(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// disk names the file system of the data. It warns of a file system in memory, on which no write
// is durable.
func disk(dir string) string {
	_, kind, _ := strings.Cut(output("df", "--output=fstype", dir), "\n")
	if kind == "tmpfs" {
		return "data in memory, **so no write is durable**: choose a disk with -dir"
	}
	return "data on " + kind
}
