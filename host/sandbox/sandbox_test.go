package sandbox

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"motte/internal/testutil"
)

// TestMain runs the re-executed init on a thread that is not the first, which is the harder
// case. The host's settings for the first thread would not reach the Task.
func TestMain(m *testing.M) {
	runtime.LockOSThread()
	var stage sync.WaitGroup
	stage.Go(ReexecInit)
	stage.Wait()
	runtime.UnlockOSThread()
	code := m.Run()
	removeBuilt()
	os.Exit(code)
}

// attempt starts the Task, and lets it make one attempt. It returns the answer, or how the Task
// ended.
func attempt(t *testing.T, c Config, what string) string {
	t.Helper()
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Wait()
	defer func() {
		p.Kill()
		p.Channel().Close()
	}()
	if err := p.Channel().SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(p.Channel(), what)
	answer, err := bufio.NewReader(p.Channel()).ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.Kill()
	}
	if err != nil {
		p.Wait()
		return fmt.Sprint("ended: ", p.cmd.ProcessState)
	}
	return strings.TrimSpace(answer)
}

// attempts reads the names of the attempts from the Task's source, so that the test covers all
// of them.
func attempts(t *testing.T) []string {
	t.Helper()
	source, err := os.ReadFile("testdata/hostile/main.go")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^\t"([^"]+)":\s+func\(\) error`).FindAllStringSubmatch(string(source), -1) {
		if m[1] != "nothing" {
			names = append(names, m[1])
		}
	}
	if len(names) < 40 {
		t.Fatalf("found only %d attempts in the Task's source", len(names))
	}
	return names
}

// TestEveryAttemptFails lets a Task try each known way out. The kernel must refuse each, and the
// Task must live: if the filter ended it, the kernel's log would get a line.
func TestEveryAttemptFails(t *testing.T) {
	c := hostile(t)
	if got := attempt(t, c, "nothing"); got != "done" {
		t.Fatalf("a Task without an attempt answers %q", got)
	}
	for _, name := range attempts(t) {
		t.Run(name, func(t *testing.T) {
			got := attempt(t, c, name)
			if !strings.HasPrefix(got, "failed: ") {
				t.Errorf("%q", got)
			}
		})
	}
}

// nobody is a user without special rights on any machine.
const nobody = 65534

// asAnother matches the tests to run again as another user: those that need no compilers.
const asAnother = "TestEveryAttemptFails|TestProbe|TestTheProcess|TestTheTask|TestAGoTask|TestNoTask|TestTasksOf|TestATaskIs|TestCallsThat"

// again runs tests in another process, with the prebuilt Tasks. It returns the output.
func again(t *testing.T, tests string, attributes *syscall.SysProcAttr) string {
	t.Helper()
	dir := t.TempDir()
	hostile(t) // skips the test if it may not start real processes
	tasksIn(t, dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "test")
	if out, err := exec.Command("cp", self, binary).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	source, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-r", filepath.Join(source, "testdata"), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// The other user must be able to read and execute all files, whatever the umask is.
	if out, err := exec.Command("chmod", "-R", "a+rX", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for d := filepath.Dir(dir); d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, "-test.run", tests, "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{prebuilt + "=" + dir}
	cmd.SysProcAttr = attributes
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return string(out)
}

// TestAsAnOrdinaryUser repeats the attempts as a user without root's rights.
func TestAsAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the tests already run as an ordinary user")
	}
	out := again(t, asAnother, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}})
	if !strings.Contains(out, "--- PASS: TestEveryAttemptFails/") {
		t.Error(out)
	}
}

// TestInAUserNamespace: the host is root only in a user namespace, as in a container. With
// enough user numbers, each Task has its own user. With a single number, all Tasks have the
// host's user, and are still confined.
func TestInAUserNamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can map other users")
	}
	for numbers, tests := range map[int]string{65536: "TestProbe|TestEachTask|TestNoTaskSees", 1: "TestProbe|TestNoTaskSees"} {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 1 << 20, Size: numbers}}
		out := again(t, tests, &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids,
			GidMappingsEnableSetgroups: true, Credential: &syscall.Credential{Uid: 0, Gid: 0}})
		if !strings.Contains(out, "--- PASS: TestProbe") || numbers > 1 && !strings.Contains(out, "--- PASS: TestEachTask") {
			t.Errorf("%d numbers:\n%s", numbers, out)
		}
	}
}

// TestTheProcessFromOutside checks a Task's process from the host.
func TestTheProcessFromOutside(t *testing.T) {
	p, err := Start(hostile(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Wait()
	defer p.Kill()
	fmt.Fprintln(p.Channel(), "nothing")
	if _, err := bufio.NewReader(p.Channel()).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	proc := fmt.Sprintf("/proc/%d/", p.PID())
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000", "CapPrm:\t0000000000000000",
		"CapBnd:\t0000000000000000", "CapInh:\t0000000000000000", "CapAmb:\t0000000000000000"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	outsideLimits(t, p.PID())
	if os.Geteuid() != 0 {
		return // the creator of a user namespace may inspect its processes
	}
	if !regexp.MustCompile(`(?m)^Groups:\s*$`).Match(status) {
		t.Errorf("the Task has supplementary groups:\n%s", status)
	}
	// The /proc files of a process that is not dumpable belong to root.
	info, err := os.Stat(proc + "status")
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the process is dumpable: %v", err)
	}
	fds, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fds {
		link, _ := os.Readlink(proc + "fd/" + f.Name())
		fd, _ := strconv.Atoi(f.Name())
		good := strings.HasPrefix(link, "anon_inode:[event")
		if fd <= channelFD {
			good = fd < channelFD && link == os.DevNull || fd == channelFD && strings.HasPrefix(link, "socket:")
		}
		if !good {
			t.Errorf("the Task's descriptor %s is %s; want only the channel and /dev/null", f.Name(), link)
		}
	}
	if list, err := os.ReadDir(proc + "root"); err != nil || len(list) != 0 {
		t.Errorf("the Task's root directory has %d entries, %v; want 0", len(list), err)
	}
	for _, n := range namespaceNames {
		inner, err := os.Readlink(proc + "ns/" + n)
		outer, _ := os.Readlink("/proc/self/ns/" + n)
		if err != nil || inner == outer {
			t.Errorf("the Task has the host's %s namespace, or it is unknown: %v", n, err)
		}
	}
}

// outsideLimits checks the limits, the priority and the process group of a Task.
func outsideLimits(t *testing.T, pid int) {
	t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	var core syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_CORE, &core); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint64{"Max data size": 512 << 20, "Max address space": 512<<20 + maxReserved,
		"Max processes": maxThreads, "Max pending signals": 0, "Max core file size": min(core.Max, maxCore)} {
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^%s +%d +%d `, name, want, want)).Match(limits) {
			t.Errorf("%s is not %d in\n%s", name, want, limits)
		}
	}
	if n, err := unix.Getpriority(unix.PRIO_PROCESS, pid); err != nil || 20-n < niceness {
		t.Errorf("the Task's niceness is %d, %v; want a lower priority than the host's", 20-n, err)
	}
	if group, err := unix.Getpgid(pid); err != nil || group != pid {
		t.Errorf("the Task is in process group %d, %v; want its own, so that Ctrl-C in the terminal does not reach it", group, err)
	}
}

// TestRootsGroupsAreTakenAway: a host of root with supplementary groups must not pass them to
// Tasks.
func TestRootsGroupsAreTakenAway(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("an ordinary user can't give up its groups")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run", "TestTheProcessFromOutside", "-test.v")
	cmd.Env = append(os.Environ(), prebuilt+"="+filepath.Dir(hostile(t).Executable))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Groups: []uint32{12345}}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestTheProcessFromOutside") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTheTaskDiesWithItsHost, even if it never reads its channel.
func TestTheTaskDiesWithItsHost(t *testing.T) {
	const orphan = "MOTTE_TEST_ORPHAN"
	if os.Getenv(orphan) != "" {
		p, err := Start(hostile(t))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(p.Channel(), "nothing")
		if _, err := bufio.NewReader(p.Channel()).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(p.Channel(), "hear nothing any more")
		fmt.Println("PID", p.PID())
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
	c := hostile(t)
	for range 20 {
		cmd := exec.Command("/proc/self/exe", "-test.run", "TestTheTaskDiesWithItsHost")
		cmd.Env = append(os.Environ(), orphan+"=1", prebuilt+"="+filepath.Dir(c.Executable))
		out, _ := cmd.Output() // an error is expected: the host was killed
		var pid int
		if _, err := fmt.Sscanf(string(out), "PID %d", &pid); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if !ends(pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
			t.Fatal("the Task still runs after the end of its host")
		}
	}
}

// ends waits for the end of a process that is not a child of this one.
func ends(pid int) bool {
	for end := time.Now().Add(testutil.Patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return true
		}
	}
	return false
}

// TestAGoTaskGetsItsMemory: the address space that Go's runtime reserves must not keep a Task
// from using all the memory of its row.
func TestAGoTaskGetsItsMemory(t *testing.T) {
	c := hostile(t)
	for memory, size := range map[uint64]int{0: 192, 2 << 30: 1920, 4 << 30: 3968} {
		c.Memory = memory
		if got, want := attempt(t, c, fmt.Sprint("heap ", size)), fmt.Sprintf("has %d pieces", size/4); got != want {
			t.Errorf("with a limit of %d bytes the Task answers %q; want %q", memory, got, want)
		}
	}
}

func TestAnotherExecutableIsNotStarted(t *testing.T) {
	c := hostile(t)
	c.Measurement[0] ^= 1
	if _, err := Start(c); !errors.Is(err, ErrMeasurement) {
		t.Errorf("%v", err)
	}
	c.Executable = "/nonexistent"
	if _, err := Start(c); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte("this is no executable"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Executable: path, Measurement: sha256.Sum256([]byte("this is no executable"))}); !errors.Is(err, ErrExecutable) {
		t.Errorf("%v", err)
	}
}

func TestKillEndsTheTask(t *testing.T) {
	p, err := Start(hostile(t))
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	p.Wait()
	if how := p.cmd.ProcessState.String(); !strings.Contains(how, "killed") {
		t.Error(how)
	}
}

// TestProbeWithoutNamespaces: where the kernel gives no namespaces, the probe reports that. It does
// not report untried steps as broken.
func TestProbeWithoutNamespaces(t *testing.T) {
	const denied = "MOTTE_TEST_NO_NAMESPACES"
	if os.Getenv(denied) == "" {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd := exec.Command("/proc/self/exe", "-test.run", "TestProbeWithoutNamespaces", "-test.v")
		cmd.Env = append(os.Environ(), denied+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: ids,
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestProbeWithoutNamespaces") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	if err := Check(); !errors.Is(err, ErrConfinement) {
		t.Errorf("without namespaces the check returns %v; want ErrConfinement", err)
	}
	for _, w := range Probe() {
		switch {
		case w.Holds:
			t.Errorf("%s is reported to hold, though no process was confined", w.Name)
		case w.Name == nameNamespaces && (w.Broken == "" || w.Detail == ""):
			t.Errorf("the failed step has no reason: %+v", w)
		case w.Name != nameNamespaces && w.Broken != notTried+": "+w.Name:
			t.Errorf("an untried step is reported as %q; want that it was not tried", w.Broken)
		}
	}
}

// TestProbe: on a machine where every attempt fails, the probe reports that each step holds.
func TestProbe(t *testing.T) {
	steps := Probe()
	if len(steps) < 8 {
		t.Fatalf("the probe reports %d steps of the confinement; want at least 8", len(steps))
	}
	for _, w := range steps {
		if w.Mandatory && !w.Holds {
			t.Errorf("%s: %s", w.Name, w.Detail)
		}
	}
	if !slices.ContainsFunc(steps, func(w Confinement) bool { return w.Name == "Landlock" && !w.Mandatory }) {
		t.Error("the probe does not report Landlock as an optional step")
	}
}

// TestCheckTellsConfinementFromTheExecutable: an error of a single executable differs from an error
// that stops every Task.
func TestCheckTellsConfinementFromTheExecutable(t *testing.T) {
	if err := Check(); err != nil {
		t.Errorf("on a machine where Tasks start, Check returns %v", err)
	}
	image, err := os.ReadFile(hostile(t).Executable)
	if err != nil {
		t.Fatal(err)
	}
	// A single program header, for a plain stack, with a size that the kernel refuses.
	const headerSize, headers, first = 54, 56, 64 // offsets in an ELF file
	image[headerSize], image[headers] = 64, 1
	copy(image[first:], []byte{0x51, 0xe5, 0x74, 0x64, 6, 0, 0, 0})
	path := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(path, image, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Executable: path, Measurement: sha256.Sum256(image), Memory: 1 << 30}); err == nil || errors.Is(err, ErrConfinement) {
		t.Errorf("the start of a broken executable returns %v; want an error other than ErrConfinement", err)
	}
	defer func(list []sharedResource) { sharedResources = list }(sharedResources)
	sharedResources = []sharedResource{{"acorns", 5, func(bool) []sharedLimit { return []sharedLimit{{"the winter's store", 9}} }}}
	if err := Check(); !errors.Is(err, ErrConfinement) || !strings.Contains(err.Error(), "0 Tasks fit on this machine (acorns: the winter's store is 9") {
		t.Errorf("without resources for a Task, Check returns %v; want ErrConfinement and the limit", err)
	}
	if _, err := Start(hostile(t)); !errors.Is(err, ErrConfinement) {
		t.Errorf("without resources for a Task, Start returns %v; want ErrConfinement", err)
	}
}

// TestAListOfProcessesShowsTheIndex by its number. The name that the Task can't change shows it
// only if it fits.
func TestAListOfProcessesShowsTheIndex(t *testing.T) {
	for _, c := range []struct {
		index       uint64
		title, name string
	}{
		{12, "motte-task: index 12", "memfd:index12"},
		{9999, "motte-task: index 9999", "memfd:index9999"},
		{10000, "motte-task: index 10000", "memfd:task"},
	} {
		config := hostile(t)
		config.Index = c.index
		p, err := Start(config)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Wait()
		defer p.Kill()
		fmt.Fprintln(p.Channel(), "nothing")
		if _, err := bufio.NewReader(p.Channel()).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID()))
		if want := c.title + "\x00"; err != nil || string(title) != want {
			t.Errorf("the command line is %q, %v, want %q", title, err, want)
		}
		name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID()))
		if got := strings.TrimSpace(string(name)); err != nil || strings.HasPrefix(got, "memfd:") && got != c.name {
			t.Errorf("the process is called %q, %v, want %q", got, err, c.name)
		}
	}
}
