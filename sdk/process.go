package sdk

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// maxThreads bounds how many threads run Go code at once: there is one Task
// for each index, and all share the machine with the Core.
const maxThreads = 4

// errNotStarted is what somebody sees who runs a Task by hand.
var errNotStarted = errors.New("this is a Task: a Motte server starts it and hands it a channel on descriptor 3")

// openChannel returns the channel to the Core. Reads block a thread and not the
// network poller: there is one channel, and a wake-up less on its way.
func openChannel() (*os.File, error) {
	// A confined process may not ask for the state of a file, but for that of a
	// socket.
	if kind, err := syscall.GetsockoptInt(channel, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil || kind != syscall.SOCK_STREAM {
		return nil, errNotStarted
	}
	if err := syscall.SetNonblock(channel, false); err != nil {
		return nil, fmt.Errorf("setting the channel to blocking: %w", err)
	}
	return os.NewFile(channel, "core"), nil
}

// prepareRuntime makes the Go runtime do early what it may not do later, when
// the process is confined, and fit itself into what it was given.
func prepareRuntime() {
	// Set by hand, the number is not adjusted later from files in /sys.
	runtime.GOMAXPROCS(min(runtime.NumCPU(), maxThreads))

	// The runtime keeps mapped what it has once used, and all of that counts.
	// So the collector works harder from three quarters of the limit on, long
	// before an allocation fails and ends the process.
	var data syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &data); err == nil && data.Cur < 1<<48 {
		debug.SetMemoryLimit(int64(data.Cur / 4 * 3))
	}

	// The first timer initialises the runtime's poller, which makes
	// descriptors. After a system call filter is in place it can't.
	time.Sleep(time.Microsecond)
}
