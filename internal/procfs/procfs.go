// Package procfs finds processes, for tests and measurements that have to do
// with what the processes that they started have started.
package procfs

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Process is a process, as /proc tells of it (proc_pid_stat(5)).
type Process struct {
	PID, Parent int
	Name        string // of its executable, 15 bytes at most
}

// All lists the processes of this machine that can be seen.
func All() (all []Process) {
	paths, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is a good one
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		stat := string(text)
		name, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
		fields := strings.Fields(stat[end+1:]) // state, parent …
		pid, errPID := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, errParent := strconv.Atoi(fields[1])
		if errPID == nil && errParent == nil {
			all = append(all, Process{pid, parent, stat[name+1 : end]})
		}
	}
	return all
}

// Children lists the processes that one has started, and that have not ended.
func Children(parent int) []Process {
	return slices.DeleteFunc(All(), func(p Process) bool { return p.Parent != parent })
}
