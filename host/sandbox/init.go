package sandbox

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The re-executed init is this program, started again inside the new namespaces. It applies the
// confinement step by step, and then becomes the Task.
const (
	initName  = "motte-sandbox-stage"
	modeTask  = "task"  // become the Task
	modeCheck = "check" // apply the confinement, and end
	modeProbe = "probe" // report for each step whether it holds
)

// confined is the last line of a successful report.
const confined = "the process is confined\n"

// executeFailed begins the report of an init that can't become the Task. The error number follows,
// in three digits.
const executeFailed = "execute: errno "

// Descriptors of the re-executed init.
const (
	channelFD = 3
	imageFD   = 4
	reportFD  = 5
	programFD = 6
)

// ReexecInit takes over, and does not return, if this process was started as a re-executed init. A
// program calls it first in main, a test in TestMain.
func ReexecInit() {
	if len(os.Args) != 5 || os.Args[0] != initName {
		return
	}
	// Capabilities, no_new_privs and the filter belong to a thread. This thread becomes the Task,
	// and the other threads end then.
	runtime.LockOSThread()
	// The signal at the host's end also belongs to a thread, and the host set it for the first
	// thread. If the host has ended already, the write of the report fails.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		os.Exit(1)
	}
	makeThreads()
	memory, err := strconv.ParseUint(os.Args[2], 10, 64)
	if err != nil {
		os.Exit(2)
	}
	report := os.NewFile(reportFD, "report")
	// The Task gets /dev/null three times and the channel, and no other descriptor of this process.
	if err := unix.CloseRange(channelFD+1, 1<<32-1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		fmt.Fprintf(report, "close inherited descriptors: %v\n", err)
		os.Exit(1)
	}
	switch os.Args[1] {
	case modeTask, modeCheck:
		last, failed, execute := []byte(confined), []byte(executeFailed+"000\n"), become(imageFD, os.Args[4])
		for _, w := range confinements(memory, os.Args[3]) {
			if err := w.apply(); err != nil && w.mandatory {
				fmt.Fprintf(report, "%s: %v\n", w.name, err)
				os.Exit(1)
			}
		}
		if _, err := unix.Write(reportFD, last); err != nil {
			os.Exit(1) // the host has ended
		}
		if os.Args[1] == modeCheck {
			os.Exit(0)
		}
		// From here on no call may allocate memory.
		for n, i := execute(), len(executeFailed)+2; n > 0; n, i = n/10, i-1 {
			failed[i] = byte('0' + n%10)
		}
		_, _, _ = unix.RawSyscall(unix.SYS_WRITE, reportFD, uintptr(unsafe.Pointer(&failed[0])), uintptr(len(failed)))
		os.Exit(1)
	case modeProbe:
		probe(report, memory)
	}
	os.Exit(0)
}

// makeThreads makes all threads that Go's runtime wants until this process has become the Task. After
// the memory limits it may get no memory for another one, and would end the process: under the race
// detector it gets none.
//
// The collector's threads are not started. With one processor (P) of the runtime, one thread runs Go
// code at a time. It is this thread, or another one that the runtime passes the processor to, when it
// interrupts this goroutine. Gosched makes the runtime do that now, and it keeps the thread.
func makeThreads() {
	debug.SetGCPercent(-1)
	runtime.GOMAXPROCS(1)
	runtime.Gosched()
}

// become prepares the execution of the image. The filter allows this single execution, of this
// descriptor alone, and the descriptor closes with it. The title is the only argument.
func become(fd int, title string) func() unix.Errno {
	empty, argv0 := []byte("\x00"), append([]byte(title), 0)
	argv, envv := []*byte{&argv0[0], nil}, []*byte{nil}
	return func() unix.Errno {
		_, _, e := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
			uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
		return e
	}
}
