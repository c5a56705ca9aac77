package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The stage is this program, started again inside the new namespaces. It puts
// up the walls one by one and then becomes the Task.
const (
	stageName = "motte-sandbox-stage"
	modeTask  = "task"  // become the Task
	modeProbe = "probe" // say of each wall whether it holds
)

// raised is the last that the stage reports, if all went well.
const raised = "all walls are up\n"

// executeFailed is what it reports if it can't become the Task, before the number
// of the error, in three digits.
const executeFailed = "execute: errno "

// Descriptors of the stage.
const (
	channelFD = 3
	imageFD   = 4
	reportFD  = 5
)

// MaybeStage takes over, and does not return, if this process was started as a
// stage. A program calls it first in main; a test in TestMain.
func MaybeStage() {
	if len(os.Args) != 4 || os.Args[0] != stageName {
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
	// The Task gets the channel, and nothing else that is open here.
	for _, r := range [][2]uint{{0, channelFD - 1}, {channelFD + 1, 1<<32 - 1}} {
		if err := unix.CloseRange(r[0], r[1], unix.CLOSE_RANGE_CLOEXEC); err != nil {
			fmt.Fprintf(report, "close inherited descriptors: %v\n", err)
			os.Exit(1)
		}
	}
	switch os.Args[1] {
	case modeTask:
		last, failed, execute := []byte(raised), []byte(executeFailed+"000\n"), become(imageFD)
		for _, w := range walls(memory, os.Args[3]) {
			if err := w.raise(); err != nil && w.mandatory {
				fmt.Fprintf(report, "%s: %v\n", w.name, err)
				os.Exit(1)
			}
		}
		if _, err := unix.Write(reportFD, last); err != nil {
			os.Exit(1) // there is no host
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
// ends with it.
func become(fd int) func() unix.Errno {
	empty, argv0 := []byte("\x00"), []byte("task\x00")
	argv, envv := []*byte{&argv0[0], nil}, []*byte{nil}
	return func() unix.Errno {
		_, _, e := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(fd), uintptr(unsafe.Pointer(&empty[0])),
			uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
		return e
	}
}

// probe raises every wall and reports on each: a line "ok NAME" or "no NAME:
// why". Then, behind all of them, it tries what must fail.
func probe(report *os.File, memory uint64) {
	for _, w := range walls(memory, os.Args[3]) {
		if err := w.raise(); err != nil {
			fmt.Fprintf(report, "no %s: %v\n", w.name, err)
		} else {
			fmt.Fprintf(report, "ok %s\n", w.name)
		}
	}
	_, opened := unix.Open("/", unix.O_RDONLY, 0)
	_, named := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if errors.Is(opened, unix.EPERM) && errors.Is(named, unix.EPERM) {
		fmt.Fprintln(report, "ok "+wallTried)
	} else {
		fmt.Fprintf(report, "no %s: open: %v, socket: %v\n", wallTried, opened, named)
	}
}

// probeMemory is what a probe may have, which lives on behind the walls: under
// the race detector it needs terabytes of address space.
const probeMemory = 1 << 47

const wallTried = "open and socket fail behind the walls"

// Wall is one of the walls around a Task, and whether it holds on this machine.
type Wall struct {
	Name      string
	Mandatory bool
	Holds     bool
	Detail    string // why it does not hold
}

// Probe puts up every wall once, around nothing, and says which ones hold.
func Probe() []Wall {
	list := []Wall{{Name: wallNamespaces, Mandatory: true}}
	for _, w := range walls(0, "") {
		list = append(list, Wall{Name: w.name, Mandatory: w.mandatory, Detail: "not tried"})
	}
	list = append(list, Wall{Name: wallTried, Mandatory: true, Detail: "not tried"})
	nothing, err := os.Open(os.DevNull)
	if err != nil {
		list[0].Detail = err.Error()
		return list
	}
	defer nothing.Close()
	cmd, report, err := launch(modeProbe, probeMemory, nothing, nothing)
	if err != nil {
		list[0].Detail = errors.Unwrap(err).Error()
		return list
	}
	list[0].Holds = true
	text, err := readReport(report)
	if err != nil {
		text = err.Error()
	}
	ended := cmd.Wait()
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		for i := range list {
			if why, ok := strings.CutPrefix(rest, list[i].Name); ok {
				list[i].Holds, list[i].Detail = word == "ok", strings.TrimPrefix(why, ": ")
			}
		}
	}
	if last := &list[len(list)-1]; ended != nil && !last.Holds {
		last.Detail = ended.Error()
	}
	return list
}

const wallNamespaces = "user, PID, mount, network, IPC, UTS and cgroup namespaces"
