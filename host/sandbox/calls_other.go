//go:build !amd64

package sandbox

// Other architectures have no such calls.
const (
	sysUretprobe = 0
	sysUprobe    = 0
)
