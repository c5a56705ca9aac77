package pages

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// patience bounds the time of a command. It only ends a test that hangs.
	patience = 2 * time.Minute
	// asInit, in the environment, marks the process that sets up the isolated environment of a
	// page.
	asInit = "MOTTE_PAGES_INIT"
)

// A reader types the commands of a page. The shell has its own network, process numbers and
// process list. So each page can use the default port, and can kill processes that it finds. The
// absolute paths of a page are below a directory of the test.
type reader struct {
	t      *testing.T
	dir    string // directory for the page's absolute paths
	input  *os.File
	report *bufio.Reader // gets a line for each command
	answer *os.File      // terminal that answers questions
	values *values
	status int // exit code of the last command
	server int // process number of the server, in the page's namespace; 0: no server
	output string
	starts int // number of servers started
}

var (
	// places matches the absolute paths that pages name.
	places = regexp.MustCompile(`(^|[\s='":(>])(/tmp/|/var/lib/motte|/mnt/|/media/|/run/keys|/safe)`)
	serves = regexp.MustCompile(`^(bin/)?motte (--?[a-z-]+ )*serve\b`)
	// says matches the beginning of a line in which a command reports an error.
	says = regexp.MustCompile(`(?m)^motte( [a-z-]+)*: `)
	asks = "Type yes to go on: yes\n"
)

// newReader starts the shell for a page. If installed is set, the executables in bin are there
// from the beginning; otherwise once the page has built them.
func newReader(t *testing.T, bin string, installed bool) *reader {
	t.Helper()
	r := &reader{t: t, dir: t.TempDir(), values: newValues()}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"tmp", "var/lib", "mnt", "media", "run", "safe", "home", "checkout", "stand-ins"} {
		must(os.MkdirAll(filepath.Join(r.dir, name), 0o700))
	}
	must(r.furnish())
	script, input, err := os.Pipe()
	must(err)
	reports, report, err := os.Pipe()
	must(err)
	answer, question, err := openTerminal()
	must(err)
	r.input, r.report, r.answer = input, bufio.NewReader(reports), answer
	said, err := os.Create(filepath.Join(r.dir, "shell"))
	must(err)
	self, err := os.Executable()
	must(err)
	path := filepath.Join(r.dir, "stand-ins") + ":" + os.Getenv("PATH")
	if installed {
		path = bin + ":" + path
	}
	cmd := exec.Command(self)
	cmd.Dir = filepath.Join(r.dir, "checkout")
	cmd.Env = append(toolchains(), asInit+"=1", "PATH="+path, "HOME="+filepath.Join(r.dir, "home"), "BIN="+bin, "LC_ALL=C.UTF-8")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = script, said, said
	cmd.ExtraFiles = []*os.File{report, question} // 3 and 4
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); errors.Is(err, syscall.EPERM) {
		t.Skipf("a test can't have its own network and process namespaces on this machine: %v", err)
	} else {
		must(err)
	}
	for _, f := range []*os.File{script, report, question} {
		f.Close()
	}
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(said.Name())
			log, _ := os.ReadFile(r.output)
			t.Logf("output of the shell:\n%s\noutput of the last server:\n%s", text, log)
		}
		_ = cmd.Process.Kill() // its end also ends all processes that it started
		_ = cmd.Wait()
		for _, f := range []*os.File{input, reports, answer, said} {
			f.Close()
		}
	})
	return r
}

// toolchains returns the settings of Go's caches, and the place of Rust's toolchains where rustup
// manages them: both are found below HOME otherwise, and a page has a home of its own.
func toolchains() (list []string) {
	if home, err := os.UserHomeDir(); err == nil {
		list = append(list, "RUSTUP_HOME="+cmp.Or(os.Getenv("RUSTUP_HOME"), filepath.Join(home, ".rustup")))
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOFLAGS", "GOPROXY", "GOTOOLCHAIN"} {
		out, err := exec.Command("go", "env", name).Output()
		if err == nil {
			list = append(list, name+"="+strings.TrimSpace(string(out)))
		}
	}
	return list
}

// furnish makes the directory in which a page begins: a checkout without executables. Two
// programs are replaced. "make build" copies the executables that the test has built, and
// age-keygen is this executable.
func (r *reader) furnish() error {
	top, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	list, err := os.ReadDir(top)
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.Name() == "bin" || e.Name() == ".git" {
			continue
		}
		if err := os.Symlink(filepath.Join(top, e.Name()), filepath.Join(r.dir, "checkout", e.Name())); err != nil {
			return err
		}
	}
	script := "#!/bin/sh\n[ \"$*\" = build ] && mkdir -p bin && cp \"$BIN\"/* bin/\n"
	if err := os.WriteFile(filepath.Join(r.dir, "stand-ins/make"), []byte(script), 0o700); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return os.Symlink(self, filepath.Join(r.dir, "stand-ins", keygen))
}

// becomeShell sets up the isolated environment from inside, and becomes its shell.
func becomeShell() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("switch the loopback interface on: %w", err)
	}
	shell, err := exec.LookPath("bash")
	if err != nil {
		return err
	}
	if err := os.Unsetenv(asInit); err != nil {
		return err
	}
	return unix.Exec(shell, []string{"bash", "--norc"}, os.Environ())
}

// openTerminal opens a terminal. It returns the side that answers and the side that asks.
func openTerminal() (answer, question *os.File, err error) {
	answer, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(answer.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	n, err := unix.IoctlGetInt(int(answer.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	question, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	return answer, question, err
}

// do performs a step of a page.
func (r *reader) do(s *step) error {
	switch s.kind {
	case notRun, needs:
		return nil
	case terminal:
		r.send("cd %s\nexec env -i PATH=\"$PATH0\" HOME=\"$HOME\" BIN=\"$BIN\" LC_ALL=C.UTF-8 $(env | grep -e ^GO -e ^RUSTUP_HOME) bash --norc\nPATH0=$PATH\n", filepath.Join(r.dir, "checkout"))
		return nil
	case interrupt:
		return r.stop()
	}
	for _, c := range s.typed() {
		if err := r.execute(s, c); err != nil {
			return fmt.Errorf("$ %s\n%w", c.command, err)
		}
	}
	return nil
}

// execute types a command, and compares its output with the page.
func (r *reader) execute(s *step, c typed) error {
	command := places.ReplaceAllString(r.values.replace(c.command), "${1}"+r.dir+"${2}")
	if serves.MatchString(c.command) {
		return r.serve(command, c.shown, s.vary)
	}
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		printed, err := r.run(command, strings.Contains(c.shown, asks))
		if err != nil {
			return err
		}
		err = r.holds(s, c, printed)
		if err == nil || !s.retry || time.Now().After(end) {
			return err
		}
	}
}

// holds returns an error if the page differs from the actual result.
func (r *reader) holds(s *step, c typed, printed string) error {
	if fails := says.MatchString(c.shown); fails != (r.status != 0) {
		return fmt.Errorf("the exit code is %d, and the output is\n%s", r.status, printed)
	}
	if c.shown == "" {
		return nil
	}
	return r.values.match(strings.Replace(c.shown, asks, strings.TrimSuffix(asks, "yes\n"), 1), printed, s.vary)
}

// send writes a line to the shell.
func (r *reader) send(format string, args ...any) {
	if _, err := fmt.Fprintf(r.input, format, args...); err != nil {
		r.t.Fatal(err)
	}
}

// told reads a number that the shell reports.
func (r *reader) told() (int, error) {
	timer := time.AfterFunc(patience, func() { r.input.Close() })
	defer timer.Stop()
	line, err := r.report.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the shell ended: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(line))
}

// run runs a command, and returns its output.
func (r *reader) run(command string, answered bool) (printed string, err error) {
	out := filepath.Join(r.dir, "printed")
	stdin := "/dev/null"
	if answered {
		stdin = "&4"
		if _, err := r.answer.WriteString("yes\n"); err != nil {
			return "", err
		}
	}
	r.send("(exit %d)\n{\n%s\n} >%s 2>&1 <%s 3>&-\necho $? >&3\n", r.status, command, out, stdin)
	if r.status, err = r.told(); err != nil {
		return "", err
	}
	text, err := os.ReadFile(out)
	return strings.ReplaceAll(string(text), r.dir, ""), err
}

// serve starts a server, and waits until it serves or has ended.
func (r *reader) serve(command, shown string, vary bool) error {
	r.starts++
	r.output = filepath.Join(r.dir, fmt.Sprintf("served-%d", r.starts))
	r.send("%s >%s 2>&1 </dev/null 3>&- 4>&- &\necho $! >&3\n", command, r.output)
	pid, err := r.told()
	if err != nil {
		return err
	}
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		ended, err := r.ended(pid)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(r.output)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		said := strings.ReplaceAll(string(text), r.dir, "")
		serving := strings.Contains(said, "Serving on ")
		if serving {
			r.server = pid
		}
		switch {
		case !ended && !serving && time.Now().Before(end):
			continue
		case ended == !says.MatchString(shown):
			return fmt.Errorf("the server has ended: %v; its output is\n%s", ended, said)
		case shown == "":
			return nil
		}
		r.status = 1
		return r.values.match("…\n"+shown+"…", said, vary) // the output is among lines of the log
	}
}

// ended reports whether a process has ended.
func (r *reader) ended(pid int) (bool, error) {
	r.send("kill -0 %d 2>/dev/null; echo $? >&3\n", pid)
	code, err := r.told()
	return code != 0, err
}

// stop interrupts the server, and waits until it has ended.
func (r *reader) stop() error {
	if r.server == 0 {
		return errors.New("the page stops a server, but no server runs")
	}
	r.send("kill -INT %d\n", r.server)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ended, err := r.ended(r.server); err != nil || ended {
			r.server = 0
			return err
		}
	}
	return errors.New("the server does not stop")
}
