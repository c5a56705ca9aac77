package sandbox

// System calls of x86-64 for probed processes. The kernel runs them whatever a filter says
// (kernel/seccomp.c, seccomp_uprobe_exception).
const (
	sysUretprobe = 335 // since Linux 6.11, past the filter since 6.14
	sysUprobe    = 336 // since Linux 6.18
)
