package crashfs

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

var (
	cuts = flag.Int("lossy.cuts", 6, "how often the power is cut in a test")
	seed = flag.Uint64("lossy.seed", 0, "seed of the choice of lost writes; 0: a new seed each time")
)

// within, in the environment, says that this process has its own mounts.
const within = "MOTTE_LOSSY_WITHIN"

// TestMain runs the tests in a process with its own mounts, so that the mounts end with it. A
// user who is not root becomes root of a user namespace for that.
func TestMain(m *testing.M) {
	flag.Parse()
	if os.Getenv(within) == "" {
		if code, err := again(); err == nil {
			os.Exit(code)
		}
		// There are no namespaces here. The tests that need them skip themselves.
	} else {
		isolate()
	}
	os.Exit(m.Run())
}

// again runs this executable in its own namespaces, and returns its exit code.
func again() (int, error) {
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Env = append(os.Environ(), within+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	runtime.LockOSThread() // the end of this thread ends the process
	if err := c.Start(); err != nil {
		return 0, err
	}
	_ = c.Wait() // the exit code has the result
	return c.ProcessState.ExitCode(), nil
}

// isolate hides the mounts of this process from others. It makes this process the parent of
// orphans of the processes that it starts.
func isolate() {
	// If this is refused, every mount is refused too, and the tests report that.
	_ = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		panic(fmt.Errorf("become the parent of orphans: %w", err))
	}
}

// random returns the source of the choice of lost writes. It logs the seed, for a repetition.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("-lossy.seed=%d", s)
	return rand.New(rand.NewPCG(s, 0))
}
