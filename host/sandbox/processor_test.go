package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"motte/internal/testutil"
)

// TestThePauseOfATask: a paused Task is stopped, can continue, and can be killed. After its end the
// host touches no process.
func TestThePauseOfATask(t *testing.T) {
	p, err := Start(hostile(t))
	testutil.Must(t, err)
	defer p.Channel().Close()
	state := func(want string) {
		t.Helper()
		testutil.Eventually(t, "state "+want, func() error {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
			if err != nil {
				return err
			}
			got := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
			if !strings.Contains(want, got) {
				return fmt.Errorf("state %s", got)
			}
			return nil
		})
	}
	testutil.Must(t, p.Pause())
	state("T")
	testutil.Must(t, p.Continue())
	state("RS")
	fmt.Fprintln(p.Channel(), "nothing")
	_, err = bufio.NewReader(p.Channel()).ReadString('\n')
	testutil.Must(t, err)
	used, err := p.ProcessorTime()
	if err != nil || used <= 0 {
		t.Errorf("a Task that has answered took %v, %v; want some processor time", used, err)
	}
	testutil.Must(t, p.Pause())
	p.Kill()
	p.Wait()
	_, err = p.ProcessorTime()
	for name, err := range map[string]error{"pause": p.Pause(), "continue": p.Continue(), "class": p.SetClass(ClassIdle), "time": err} {
		if !errors.Is(err, ErrEnded) {
			t.Errorf("%s: %v; want ErrEnded", name, err)
		}
	}
}

// TestTheClassOfATask: a process that may set a class can also take it back. The niceness stays.
func TestTheClassOfATask(t *testing.T) {
	if !MaySetClass() {
		t.Skip("this user can't raise the class of a process again")
	}
	p, err := Start(hostile(t))
	testutil.Must(t, err)
	defer p.Wait()
	defer p.Kill()
	defer p.Channel().Close()
	for _, c := range []Class{ClassTask, ClassIdle, ClassTask} {
		testutil.Must(t, p.SetClass(c))
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.PID()))
		testutil.Must(t, err)
		for _, thread := range threads {
			var id int
			_, err := fmt.Sscan(thread.Name(), &id)
			testutil.Must(t, err)
			a, err := unix.SchedGetAttr(id, 0)
			if err != nil || a.Policy != c.policy() || a.Nice != niceness {
				t.Errorf("class %v: thread %d has %+v, %v", c, id, a, err)
			}
		}
	}
}

// TestAnOrdinaryUserMaySetClasses if its limit allows it.
func TestAnOrdinaryUserMaySetClasses(t *testing.T) {
	if os.Geteuid() == 0 {
		var before unix.Rlimit
		testutil.Must(t, unix.Getrlimit(unix.RLIMIT_NICE, &before))
		if err := unix.Setrlimit(unix.RLIMIT_NICE, &unix.Rlimit{Cur: maxNice, Max: maxNice}); err != nil {
			t.Skipf("root can't raise the limit here: %v", err)
		}
		defer func() { testutil.Must(t, unix.Setrlimit(unix.RLIMIT_NICE, &before)) }()
		out := again(t, "TestAnOrdinaryUserMaySetClasses|TestThePauseOf|TestTheClassOf",
			&syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}})
		if strings.Contains(out, "SKIP") || !strings.Contains(out, "PASS: TestTheClassOfATask") {
			t.Error(out)
		}
		return
	}
	var r unix.Rlimit
	testutil.Must(t, unix.Getrlimit(unix.RLIMIT_NICE, &r))
	if MaySetClass() != (r.Max >= maxNice) {
		t.Errorf("with a limit of %d the class can be set: %v", r.Max, MaySetClass())
	}
}
