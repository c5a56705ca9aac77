package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"motte/client"
	"motte/client/frames"
	"motte/host"
	"motte/host/sandbox"
	"motte/internal/testutil"
)

// spinningIndex starts a server with a collection "spinning" whose index "x" can spin, and returns the
// process number of its Task.
func spinningIndex(t *testing.T) (*server, *client.Client, int) {
	s := serve(t, t.TempDir())
	c, ctx := s.admin(), t.Context()
	sum, err := host.Measure(filepath.Join(testutil.HostileTask(t), "motte-task-spinner"))
	testutil.Must(t, err)
	row := client.Row{Measurement: sum, Operations: frames.TaskSearch, MaxInput: 1 << 10, MaxResults: 10, Deadline: 60_000, Memory: 1 << 30}
	testutil.Must(t, c.RegisterTask(ctx, "spinner", row))
	testutil.Must(t, c.CreateCollection(ctx, "spinning"))
	testutil.Must(t, c.CreateIndex(ctx, "spinning", "x", client.Index{Task: "spinner"}))
	testutil.Eventually(t, "index", serving(c, "spinning", "x"))
	running, err := host.LookAt(ctx, s.dir)
	testutil.Must(t, err)
	return s, c, running.Processes[0].PID
}

// spin lets the Task spin with n goroutines, on a thread each.
func spin(t *testing.T, c *client.Client, n int) {
	t.Helper()
	q := client.Query{Collection: "spinning", Index: "x", Predicate: strconv.Itoa(n)}
	for _, err := range c.Search(t.Context(), q) {
		testutil.Must(t, err)
	}
}

// classes returns nil if all threads of a process, at least that many, have a class and a niceness.
func classes(pid int, policy uint32, least int) func() error {
	return func() error {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		if len(threads) < least {
			return fmt.Errorf("%d threads; want %d", len(threads), least)
		}
		for _, thread := range threads {
			id, err := strconv.Atoi(thread.Name())
			if err != nil {
				return err
			}
			a, err := unix.SchedGetAttr(id, 0)
			if err != nil {
				return err
			}
			if a.Policy != policy || a.Nice != 10 {
				return fmt.Errorf("thread %d has policy %d and niceness %d; want %d and 10", id, a.Policy, a.Nice, policy)
			}
		}
		return nil
	}
}

// paused returns nil if a process is stopped, as want says.
func paused(pid int, want bool) func() error {
	return func() error {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return err
		}
		state := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))[0]
		if (state == "T") != want {
			return fmt.Errorf("the process is in state %s", state)
		}
		return nil
	}
}

// TestASpinningTaskIsHeldBack: a Task that takes processor time without a question gets a lower class,
// on each thread, also on threads that it starts later. It is paused again and again, and answers all
// the same. When it stops spinning, it gets its class back.
func TestASpinningTaskIsHeldBack(t *testing.T) {
	if !sandbox.MaySetClass() {
		t.Skip("this user can't raise the class of a process again")
	}
	s, c, pid := spinningIndex(t)
	testutil.Eventually(t, "the class of a new Task", classes(pid, unix.SCHED_NORMAL, 1))
	spin(t, c, 4)
	testutil.Eventually(t, "a lower class of all threads", classes(pid, unix.SCHED_IDLE, 4))
	testutil.Eventually(t, "a pause", paused(pid, true))
	testutil.Eventually(t, "the end of the pause", paused(pid, false))
	testutil.Eventually(t, "another pause", paused(pid, true))
	testutil.Eventually(t, "a warning in the log", func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !strings.Contains(s.log.String(), "takes processor time although") {
			return errors.New("the log does not say that the Task takes processor time")
		}
		return nil
	})
	spin(t, c, 40)
	testutil.Eventually(t, "a lower class of new threads", classes(pid, unix.SCHED_IDLE, 40))
	spin(t, c, 0)
	testutil.Eventually(t, "the class of Tasks for all threads", classes(pid, unix.SCHED_NORMAL, 40))
	testutil.Eventually(t, "the end of the pauses", paused(pid, false))
	s.stop()
	if n := strings.Count(s.log.String(), "takes processor time although"); n != 1 {
		t.Errorf("the log says %d times that the Task takes processor time; want once", n)
	}
}

// TestASpinningTaskWithWorkGivesWay: while a client asks it, a Task that takes too much processor time
// gets a lower class and short pauses. It answers every question, and gets its class back.
func TestASpinningTaskWithWorkGivesWay(t *testing.T) {
	if !sandbox.MaySetClass() {
		t.Skip("this user can't raise the class of a process again")
	}
	s, c, pid := spinningIndex(t)
	spin(t, c, 20)
	asking := func(f func() error) func() error {
		return func() error {
			for _, err := range c.Search(t.Context(), client.Query{Collection: "spinning", Index: "x", Predicate: "no number"}) {
				if !errors.Is(err, client.ErrQueryRefused) {
					t.Fatalf("a question is answered with %v; want a refusal by the Task", err)
				}
			}
			return f()
		}
	}
	testutil.Eventually(t, "a lower class of all threads", asking(classes(pid, unix.SCHED_IDLE, 20)))
	testutil.Eventually(t, "a pause", asking(paused(pid, true)))
	testutil.Eventually(t, "the end of the pause", asking(paused(pid, false)))
	spin(t, c, 0)
	testutil.Eventually(t, "the class of Tasks for all threads", asking(classes(pid, unix.SCHED_NORMAL, 20)))
	s.stop()
}
