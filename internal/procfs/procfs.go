// Package procfs finds processes, for tests and measurements of their own child processes.
package procfs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Process is a process, as described in /proc (proc_pid_stat(5)).
type Process struct {
	PID, Parent int
	Name        string // of its executable, 15 bytes at most
}

// All lists the processes of this machine that /proc shows.
func All() (all []Process) {
	for _, s := range stats() {
		all = append(all, s.Process)
	}
	return all
}

// Children lists the running processes whose parent is the given one.
func Children(parent int) []Process {
	return slices.DeleteFunc(All(), func(p Process) bool { return p.Parent != parent })
}

// stat is a process, and the fields of its line in /proc after the name. The first of them is
// the state.
type stat struct {
	Process
	fields []string
}

func stats() (all []stat) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is valid
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		line := string(text)
		name, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
		fields := strings.Fields(line[end+1:])
		pid, errPID := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, errParent := strconv.Atoi(fields[1])
		if errPID == nil && errParent == nil {
			all = append(all, stat{Process{pid, parent, line[name+1 : end]}, fields})
		}
	}
	return all
}
