package sandbox

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// measuring is a running Task of the program that measures.
type measuring struct {
	t       *testing.T
	p       *Process
	answers *bufio.Reader
}

func startMeasuring(t *testing.T, c Config) *measuring {
	t.Helper()
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		p.Wait()
		p.Channel().Close()
	})
	if err := p.Channel().SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &measuring{t, p, bufio.NewReader(p.Channel())}
}

// ask sends a command, and returns the answer, a number.
func (m *measuring) ask(command string, a ...any) int {
	m.t.Helper()
	command = fmt.Sprintf(command, a...)
	fmt.Fprintln(m.p.Channel(), command)
	line, err := m.answers.ReadString('\n')
	if err != nil {
		m.t.Fatalf("%s: %v", command, err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		m.t.Fatalf("%s: %q", command, line)
	}
	return n
}

// TestNoTaskWakesAnother: two instances of one executable wait on, and wake, the same word of
// every page that they could share, with every operation. A wake returns the number of waiters.
// It must not count the other instance's.
func TestNoTaskWakesAnother(t *testing.T) {
	const private = futexPrivate
	c := task(t, "measure")
	for _, place := range []string{"code", "constants", "vdso", "zeros"} {
		for _, wait := range []int{futexWait, futexWait | private, futexWaitBitset, futexWaitBitset | private} {
			waits, wakes := startMeasuring(t, c), startMeasuring(t, c)
			if waits.ask("wait %d %s", wait, place) != 0 {
				t.Fatal("the Task could not start a waiting thread")
			}
			for range 20 {
				for _, wake := range []int{futexWake, futexRequeue, 10 /* FUTEX_WAKE_BITSET */} {
					for _, flag := range []int{0, private} {
						if n := wakes.ask("wake %d %s", wake|flag, place); n > 0 {
							t.Fatalf("%s: a wait of kind %d: another Task's wake of kind %d counts %d", place, wait, wake|flag, n)
						}
					}
				}
				time.Sleep(time.Millisecond)
			}
			// The waiter exists, since its own process can wake it.
			for own := place == "code" || place == "constants"; own && waits.ask("wake %d %s", futexWake|wait&private, place) != 1; {
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// TestNoTaskSeesWhatAnotherUses: for every resource that the kernel counts, a Task gets the same
// amount alone and beside a Task that holds as much as it can.
func TestNoTaskSeesWhatAnotherUses(t *testing.T) {
	c := task(t, "measure")
	c.Memory = minMemory
	for _, resource := range resourceNames(t) {
		t.Run(resource, func(t *testing.T) {
			alone := startMeasuring(t, c)
			want := alone.ask("take %s", resource)
			alone.p.Kill()
			alone.p.Wait()
			greedy, second := startMeasuring(t, c), startMeasuring(t, c)
			if got := greedy.ask("take %s", resource); got != want {
				t.Errorf("the first Task gets %d; want %d, as a Task alone", got, want)
			}
			if got := second.ask("take %s", resource); got != want {
				t.Errorf("beside a Task that holds as much as it can, another gets %d; want %d", got, want)
			}
			switch resource {
			case "threads", "descriptors", "epoll watches", "memory":
				if want == 0 {
					t.Error("no Task could get this resource, so the test measures nothing")
				}
			default:
				if want != 0 {
					t.Errorf("a Task gets %d of a resource that is forbidden; want 0", want)
				}
			}
		})
	}
}

// resourceNames reads the resources from the Task's source, so that the test covers all of them.
func resourceNames(t *testing.T) (names []string) {
	t.Helper()
	source, err := os.ReadFile("testdata/measure/measure.c")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(source), "resources[] = {")
	table, _, _ = strings.Cut(table, "};")
	for _, m := range regexp.MustCompile(`\{"([^"]+)", \w+\}`).FindAllStringSubmatch(table, -1) {
		names = append(names, m[1])
	}
	if len(names) < 25 {
		t.Fatalf("found only %d resources in the Task's source", len(names))
	}
	return names
}

// TestCallsThatPassTheFilterDoNothing: current kernels for x86-64 run two system calls in spite
// of the filter. In a Task, which has no probes, the first raises SIGILL and the second fails
// with ENXIO, unless they fail with EPERM. The filter decides on all other numbers, also on
// 32-bit calls.
func TestCallsThatPassTheFilterDoNothing(t *testing.T) {
	m := startMeasuring(t, task(t, "measure"))
	const raised = 1000 // plus the number of the signal
	for number, also := range map[int]int{335: raised + int(unix.SIGILL), 336: int(unix.ENXIO), 337: 0, 334 + 1000: 0, 16: 0} {
		if e := m.ask("call %d", number); e != int(unix.EPERM) && (e != also || also == 0) {
			t.Errorf("call %d: error %d", number, e)
		}
	}
	for _, number := range []int{20 /* getpid */, 1 /* exit */, 335, 336} {
		if e := m.ask("compat %d", number); e != int(unix.EPERM) && e != int(unix.ENOSYS) && e < raised {
			t.Errorf("call %d of 32 bits: error %d", number, e)
		}
	}
	if got := m.ask("take locked memory"); got != 0 { // the Task still answers
		t.Errorf("%d", got)
	}
}

// TestATaskIsStartedOnlyWhileAllFit: if the shares of all Tasks exceed a limit of the machine, a
// further Task is not started. The error names the limit.
func TestATaskIsStartedOnlyWhileAllFit(t *testing.T) {
	defer func(list []sharedResource) { sharedResources = list }(sharedResources)
	sharedResources = append(sharedResources[:len(sharedResources):len(sharedResources)],
		sharedResource{"acorns", 5, func(bool) []sharedLimit { return []sharedLimit{{"the winter's store", 15}} }})
	c := hostile(t)
	var started []*Process
	before := living.Load()
	for range 2 - before { // the host has the third share
		p, err := Start(c)
		if err != nil {
			t.Fatal(err)
		}
		started = append(started, p)
	}
	if _, err := Start(c); err == nil || !strings.Contains(err.Error(), "2 Tasks fit on this machine (acorns: the winter's store is 15, a Task takes up to 5)") {
		t.Errorf("%v", err)
	}
	for _, p := range started {
		p.Kill()
		p.Wait()
	}
	if n := living.Load(); n != before {
		t.Errorf("%d Tasks are counted, %d before", n, before)
	}
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	p.Kill()
	p.Wait()
}

// TestEachTaskHasAUserOfItsOwn if the host is root: no two running Tasks have the same user,
// also not Tasks of another host on the machine.
func TestEachTaskHasAUserOfItsOwn(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process as another user")
	}
	var here, there users
	seen := make(map[int]bool)
	take := func(u *users) int {
		id, err := u.take()
		if err != nil {
			t.Fatal(err)
		}
		if seen[id] {
			t.Fatalf("user %d already belongs to another Task", id)
		}
		seen[id] = true
		return id
	}
	for range 3 * blockSize {
		take(&here)
		take(&there)
	}
	// A freed number is used again after all others.
	old := take(&here)
	here.release(old)
	delete(seen, old)
	for range blockSize - 2 {
		if take(&here) == old {
			t.Fatal("a freed number is used again immediately; want other numbers first")
		}
	}
	p, err := Start(hostile(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Wait()
	defer p.Kill()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"Uid", "Gid"} {
		want := fmt.Sprintf("%s:\t%[2]d\t%[2]d\t%[2]d\t%[2]d\n", kind, p.owner.user)
		if !strings.Contains(string(status), want) || uint64(p.owner.user) < freeIDs[len(freeIDs)-1].first {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
}
