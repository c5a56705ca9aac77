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

// The stage is this program, started again inside the new namespaces. It puts
// up the walls one by one and then becomes the Task.
const (
	initName  = "motte-sandbox-stage"
	modeTask  = "task"  // become the Task
	modeCheck = "check" // put up the walls, and end
	modeProbe = "probe" // say of each wall whether it holds
)

// raised is the last that the stage reports, if all went well.
const confined = "all walls are up\n"

// executeFailed is what it reports if it can't become the Task, before the number
// of the error, in three digits.
const executeFailed = "execute: errno "

// Descriptors of the stage.
const (
	channelFD = 3
	imageFD   = 4
	reportFD  = 5
	programFD = 6
)

// ReexecInit takes over, and does not return, if this process was started as a
// stage. A program calls it first in main; a test in TestMain.
func ReexecInit() {
	if len(os.Args) != 5 || os.Args[0] != initName {
		return
	}
	// Capabilities, no_new_privs and the filter belong to a thread: it is this
	// one that becomes the Task; the others end then.
	runtime.LockOSThread()
	// So does the signal at the host's end, which the host set for the first
	// thread. A host that has ended already is noticed by the report.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		os.Exit(1)
	}
	// The collector's threads would take memory when there is none any more.
	debug.SetGCPercent(-1)
	memory, err := strconv.ParseUint(os.Args[2], 10, 64)
	if err != nil {
		os.Exit(2)
	}
	report := os.NewFile(reportFD, "report")
	// The Task gets /dev/null three times, the channel, and nothing else that is
	// open here.
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
			os.Exit(1) // there is no host
		}
		if os.Args[1] == modeCheck {
			os.Exit(0)
		}
		// Nothing that takes memory can be done here any more.
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

// become prepares the execution of the image. Its name is its descriptor; the
// filter allows this one execution, of this one descriptor, and the descriptor
// ends with it. The title is its only argument.
func become(fd int, title string) func() unix.Errno {
	empty, argv0 := []byte("\x00"), append([]byte(title), 0)
	argv, envv := []*byte{&argv0[0], nil}, []*byte{nil}
	return func() unix.Errno {
		_, _, e := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
			uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
		return e
	}
}
