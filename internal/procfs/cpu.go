package procfs

import (
	"fmt"
	"strconv"
	"time"
)

// tick is the unit of processor time in /proc. USER_HZ is 100 on every architecture that Go
// supports.
const tick = 10 * time.Millisecond

// The fields of a stat with processor time: of the process in user mode and in the kernel, and
// of its children that have ended and that it has waited for.
const (
	userTime           = 11
	kernelTime         = 12
	childrenUserTime   = 13
	childrenKernelTime = 14
)

// CPU returns the processor time that a process and all of its descendants have used. It
// includes descendants that have ended and that a parent has waited for. So the sum never
// decreases, unless a process ends during the calculation.
func CPU(root int) (time.Duration, error) {
	parents := make(map[int]int)
	all := stats()
	for _, s := range all {
		parents[s.PID] = s.Parent
	}
	if _, ok := parents[root]; !ok {
		return 0, fmt.Errorf("process %d has ended", root)
	}
	var sum time.Duration
	for _, s := range all {
		if !descends(parents, s.PID, root) {
			continue
		}
		t, err := s.cpu()
		if err != nil {
			return 0, err
		}
		sum += t
	}
	return sum, nil
}

// descends reports whether a process is root or a descendant of root.
func descends(parents map[int]int, pid, root int) bool {
	for pid != root {
		parent, ok := parents[pid]
		if !ok || parent == pid {
			return false
		}
		pid = parent
	}
	return true
}

func (s stat) cpu() (t time.Duration, err error) {
	if len(s.fields) <= childrenKernelTime {
		return 0, fmt.Errorf("the stat of process %[2]d has %[1]d fields, too few", len(s.fields), s.PID)
	}
	for _, field := range []int{userTime, kernelTime, childrenUserTime, childrenKernelTime} {
		ticks, err := strconv.ParseInt(s.fields[field], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("processor time of process %d: %w", s.PID, err)
		}
		t += time.Duration(ticks) * tick
	}
	return t, nil
}
