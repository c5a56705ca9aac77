// Package notify sends messages to the service manager that started this process, as sd_notify(3)
// describes. Each message is one datagram to the Unix socket that NOTIFY_SOCKET names. The package
// keeps no connection, so a restarted manager gets the next message.
package notify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// The states that a message can tell.
const (
	Ready    = "READY=1"
	Alive    = "WATCHDOG=1"
	Stopping = "STOPPING=1"
)

// Status is the state that shows one line of text to the manager's users.
func Status(text string) string { return "STATUS=" + strings.ReplaceAll(text, "\n", " ") }

// tellWithin bounds how long a manager that reads nothing delays this process.
const tellWithin = time.Second

// Manager is a service manager. The zero value is no manager: Tell sends nothing.
type Manager struct {
	Watchdog time.Duration // the manager ends this process if it hears no Alive for this long; 0: it does not
	socket   string
}

// FromEnvironment returns the manager that started this process.
func FromEnvironment() (Manager, error) {
	m := Manager{socket: os.Getenv("NOTIFY_SOCKET")}
	interval, process := os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	if m.socket == "" || interval == "" || process != "" && process != strconv.Itoa(os.Getpid()) {
		return m, nil
	}
	const longest = uint64(1<<63-1) / uint64(time.Microsecond)
	n, err := strconv.ParseUint(interval, 10, 64)
	if err != nil || n == 0 || n > longest {
		return m, fmt.Errorf("WATCHDOG_USEC=%s is no number of microseconds", interval)
	}
	m.Watchdog = time.Duration(n) * time.Microsecond
	return m, nil
}

// Tell sends states in one message.
func (m Manager) Tell(states ...string) error {
	if m.socket == "" {
		return nil
	}
	c, err := net.DialTimeout("unixgram", m.socket, tellWithin) // net takes a leading "@" for an abstract socket
	if err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(tellWithin)); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	if _, err := c.Write([]byte(strings.Join(states, "\n"))); err != nil {
		return fmt.Errorf("tell the service manager: %w", err)
	}
	return nil
}
