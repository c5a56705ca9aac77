package testutil

import (
	"net"
	"os"
	"syscall"
	"testing"
)

// Control returns the two ends of a channel between a host and a Core: a socket that preserves
// message boundaries. The caller closes them.
func Control(t testing.TB) (ends [2]*net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	Must(t, err)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "control")
		c, err := net.FileConn(f)
		f.Close()
		Must(t, err)
		ends[i] = c.(*net.UnixConn)
	}
	return ends
}
