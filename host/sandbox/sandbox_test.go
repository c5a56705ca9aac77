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
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	MaybeStage()
	os.Exit(m.Run())
}

// hostile builds the Task that tries to get out, once.
func hostile(t *testing.T) Config {
	t.Helper()
	path := os.Getenv("MOTTE_TEST_HOSTILE")
	if path == "" {
		path = filepath.Join(t.TempDir(), "hostile")
		build := exec.Command("go", "build", "-o", path, "./testdata/hostile")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	image, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Executable: path, Measurement: sha256.Sum256(image), Memory: 512 << 20}
}

// attempt starts the Task, lets it try one thing, and returns its answer, or
// how it ended.
func attempt(t *testing.T, c Config, what string) string {
	t.Helper()
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		p.Kill()
		p.Channel().Close()
	}()
	if err := p.Channel().SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(p.Channel(), what)
	answer, err := bufio.NewReader(p.Channel()).ReadString('\n')
	if err != nil {
		p.Wait()
		return fmt.Sprint("ended: ", p.cmd.ProcessState)
	}
	return strings.TrimSpace(answer)
}

// attempts reads the names of the attempts from the Task's source, so that none
// is forgotten here.
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
		t.Fatalf("only %d attempts found", len(names))
	}
	return names
}

// TestEveryAttemptFails lets a Task try each way out that we know. The kernel
// refuses each, and the Task goes on: an end by the filter would be a line in
// the kernel's log.
func TestEveryAttemptFails(t *testing.T) {
	c := hostile(t)
	if got := attempt(t, c, "nothing"); got != "done" {
		t.Fatalf("a Task that tries nothing: %q", got)
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

// TestAsAnOrdinaryUser repeats the attempts without root's rights.
func TestAsAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this is an ordinary user already")
	}
	c := hostile(t)
	dir := filepath.Dir(c.Executable)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "test")
	if out, err := exec.Command("cp", self, binary).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for d := dir; d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil && d != "/tmp" {
			t.Fatal(err)
		}
		if d == os.TempDir() {
			break
		}
	}
	source, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-r", filepath.Join(source, "testdata"), dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	cmd := exec.Command(binary, "-test.run", "TestEveryAttemptFails|TestProbe|TestTheProcess", "-test.v")
	cmd.Dir = dir
	cmd.Env = []string{"MOTTE_TEST_HOSTILE=" + c.Executable}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestEveryAttemptFails/") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestTheProcessFromOutside looks at a Task's process as its host can.
func TestTheProcessFromOutside(t *testing.T) {
	p, err := Start(hostile(t))
	if err != nil {
		t.Fatal(err)
	}
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
	if os.Geteuid() != 0 {
		return // the user that made a user namespace may look into it
	}
	// The files of a process that is not dumpable belong to root.
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
		if !(f.Name() == "3" && strings.HasPrefix(link, "socket:")) && !strings.HasPrefix(link, "anon_inode:[event") {
			t.Errorf("descriptor %s is %s", f.Name(), link)
		}
	}
	if list, err := os.ReadDir(proc + "root"); err != nil || len(list) != 0 {
		t.Errorf("its root has %d entries, %v", len(list), err)
	}
	for _, n := range namespaceNames {
		inner, err := os.Readlink(proc + "ns/" + n)
		outer, _ := os.Readlink("/proc/self/ns/" + n)
		if err != nil || inner == outer {
			t.Errorf("its %s namespace is ours, or unknown: %v", n, err)
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
	// The race detector's memory counts: the least that a Task can have is too little.
	if _, err := Start(Config{Executable: path, Measurement: sha256.Sum256([]byte("this is no executable")), Memory: 1 << 30}); err == nil ||
		!strings.Contains(err.Error(), "execute") {
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

// TestProbe: on a machine where the attempts fail, the walls are said to hold.
func TestProbe(t *testing.T) {
	walls := Probe()
	if len(walls) < 8 {
		t.Fatalf("%d walls", len(walls))
	}
	for _, w := range walls {
		if w.Mandatory && !w.Holds {
			t.Errorf("%s: %s", w.Name, w.Detail)
		}
	}
	if !slices.ContainsFunc(walls, func(w Wall) bool { return w.Name == "Landlock" && !w.Mandatory }) {
		t.Error("Landlock is not named")
	}
}
