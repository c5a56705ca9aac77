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

// maxThreads bounds the threads that run Go code at once. Each index has a Task, and all
// Tasks share the machine with the Core.
const maxThreads = 4

// errNotStarted is printed if a person runs a Task by hand.
var errNotStarted = errors.New("this is a Task: a Motte server starts it and hands it a channel on descriptor 3")

// openChannel returns the channel to the Core. A read blocks a thread and does not use the
// network poller. That saves a wake-up, and there is only one channel.
func openChannel() (*os.File, error) {
	// A confined process may not ask for the state of a file, only for that of a socket.
	if kind, err := syscall.GetsockoptInt(channel, syscall.SOL_SOCKET, syscall.SO_TYPE); err != nil || kind != syscall.SOCK_STREAM {
		return nil, errNotStarted
	}
	if err := syscall.SetNonblock(channel, false); err != nil {
		return nil, fmt.Errorf("setting the channel to blocking: %w", err)
	}
	return os.NewFile(channel, "core"), nil
}

// prepareRuntime sets the limits of the Go runtime. It also starts the poller, which a
// confined process can't start later.
func prepareRuntime() {
	// After this call the runtime does not read the number from files in /sys.
	runtime.GOMAXPROCS(min(runtime.NumCPU(), maxThreads))

	// All memory that the runtime has mapped counts against the limit, also after use.
	// So the collector works harder from three quarters of the limit on. Otherwise an
	// allocation would fail and end the process.
	var data syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &data); err == nil && data.Cur < 1<<48 {
		debug.SetMemoryLimit(int64(data.Cur / 4 * 3))
	}

	// The first timer starts the runtime's poller, which makes descriptors. The system
	// call filter would forbid that later.
	time.Sleep(time.Microsecond)
}
