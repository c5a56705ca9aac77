package notify

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// listen makes the socket of a service manager, and puts its address into the environment.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return c
}

// TestTheManagerIsTold through a socket in the file system, and through an abstract socket.
func TestTheManagerIsTold(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@motte-notify-test-%d", os.Getpid())} {
		c := listen(t, name)
		m, err := FromEnvironment()
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Tell(Ready, Status("two\nlines")); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		p := make([]byte, 1024)
		n, err := c.Read(p)
		if got, want := string(p[:n]), "READY=1\nSTATUS=two lines"; err != nil || got != want {
			t.Errorf("%s: the manager is told %q (%v), want %q", name, got, err, want)
		}
	}
}

// TestWithoutAManagerNothingIsTold, and that is not an error.
func TestWithoutAManagerNothingIsTold(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000")
	m, err := FromEnvironment()
	if err != nil || m != (Manager{}) || m.Tell(Ready) != nil {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestAManagerThatIsGoneIsAnError that says which call failed.
func TestAManagerThatIsGoneIsAnError(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	m, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Tell(Ready); err == nil || !strings.Contains(err.Error(), "tell the service manager") {
		t.Errorf("%v", err)
	}
}

// TestAManagerThatReadsNothingHoldsNobodyUp: a call must fail, and not wait forever.
func TestAManagerThatReadsNothingHoldsNobodyUp(t *testing.T) {
	listen(t, filepath.Join(t.TempDir(), "notify"))
	m, err := FromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	for range 1 << 16 { // more messages than a socket holds
		if m.Tell(Alive) != nil {
			return
		}
	}
	t.Error("a socket that is never read accepted all messages; want an error")
}

// TestTheWatchdogsIntervalIsThisProcesss: an interval for another process is ignored.
func TestTheWatchdogsIntervalIsThisProcesss(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "@motte-no-such-socket")
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		fails     bool
	}{
		{"", "", 0, false},
		{"60000000", "", time.Minute, false},
		{"60000000", fmt.Sprint(os.Getpid()), time.Minute, false},
		{"60000000", fmt.Sprint(os.Getppid()), 0, false}, // for another process
		{"0", "", 0, true},
		{"-1", "", 0, true},
		{"soon", "", 0, true},
		{"9223372036854775", "", 9223372036854775 * time.Microsecond, false},
		{"9223372036854776", "", 0, true}, // larger than a time.Duration
	} {
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if m, err := FromEnvironment(); m.Watchdog != c.want || (err != nil) != c.fails {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: %v, %v; want %v", c.usec, c.pid, m.Watchdog, err, c.want)
		}
	}
}
