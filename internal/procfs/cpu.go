package procfs

import (
	"fmt"
	"strconv"
	"time"
)

// tick is the unit in which /proc tells processor time: USER_HZ is 100 on every architecture that Go
// supports.
const tick = 10 * time.Millisecond

// The fields of a stat that hold processor time: the process's own in user mode and in the kernel,
// and that of its children that have ended and that it has waited for.
const (
	userTime           = 11
	kernelTime         = 12
	childrenUserTime   = 13
	childrenKernelTime = 14
)

// CPU returns the processor time that a process and all of its descendants have used so far. Those that
// have ended count if they have been waited for. So the sum never falls, but for a process that
// ends while the sum is taken.
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

// descends reports whether a process is root, or one of its descendants.
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
		return 0, fmt.Errorf("the kernel tells %d fields of process %d, too few", len(s.fields), s.PID)
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
