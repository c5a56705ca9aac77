package conformance

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// isReset reports whether the other end was closed with bytes that it had not read.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// readWait bounds the time in which a part of a write is to be read alone. A Task that is slower
// reads the part together with the next one, which is no mistake.
const readWait = 50 * time.Millisecond

// awaitRead waits until the Task has read all bytes of the channel.
func awaitRead(p Process) {
	channel, ok := p.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := channel.SyscallConn()
	if err != nil {
		return
	}
	for end := time.Now().Add(readWait); time.Now().Before(end); time.Sleep(20 * time.Microsecond) {
		unread := 0
		_ = raw.Control(func(fd uintptr) { unread, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
		if err != nil || unread == 0 {
			return
		}
	}
}
