package host

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"motte/host/notify"
)

// watch gives up a Core that hangs, and keeps the service manager informed, until the context ends.
// A tick carries the current time.
func (h *host) watch(ctx context.Context, ticks <-chan time.Time) {
	t := teller{h: h}
	for last := time.Now(); ; {
		select {
		case now := <-ticks:
			hung, silent := h.health.tick(now.Sub(last))
			if last = now; hung != nil {
				hung.giveUp(silent)
			}
			t.tell(now)
		case <-ctx.Done():
			t.send(notify.Stopping, notify.Status("Stopping"))
			return
		}
	}
}

// pulse is how often the host is watched: three times in the service manager's interval at least.
func (h *host) pulse() time.Duration {
	if w := h.Manager.Watchdog; w > 0 {
		return max(min(watchEvery, w/3), time.Millisecond)
	}
	return watchEvery
}

// teller keeps the service manager informed.
type teller struct {
	h      *host
	ready  bool   // the manager heard that the host is ready
	status string // the last status that the manager heard
	failed bool   // the last message failed, and a log line said so
}

// tell reports to the manager that the host is live, its first readiness, and its status. A serving
// host counts as ready for the manager, even if Tasks, the disk or the anchor fail. Otherwise the
// manager would end the host, and reads would end with it.
func (t *teller) tell(now time.Time) {
	var states []string
	if t.h.Manager.Watchdog > 0 && t.h.health.live() {
		states = append(states, notify.Alive)
	}
	status := "Serving"
	list := t.h.conditions(now)
	if why := broken(list); len(why) > 0 {
		status = "Not ready: " + strings.Join(why, "; ")
	}
	if !t.ready && list[0].why == "" && list[1].why == "" {
		t.ready = true
		states = append(states, notify.Ready)
	}
	if status != t.status {
		t.status = status
		states = append(states, notify.Status(status))
	}
	t.send(states...)
}

func (t *teller) send(states ...string) {
	if len(states) == 0 {
		return
	}
	err := t.h.Manager.Tell(states...)
	if err != nil && !t.failed {
		t.h.log.Error("the service manager is not told how this host is", "error", err)
	}
	t.failed = err != nil
}

// processorTime returns the Core's processor time, in ticks of the kernel's clock.
func (s *session) processorTime() (uint64, error) {
	fields, err := statOf(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	const user, system = 11, 12 // utime and stime, counted from the field after the name
	u, errUser := strconv.ParseUint(fields[user], 10, 64)
	k, errSystem := strconv.ParseUint(fields[system], 10, 64)
	return u + k, cmp.Or(errUser, errSystem)
}

// statOf returns the fields of a process's stat line that follow its name: proc_pid_stat(5).
func statOf(pid int) (fields []string, err error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil, err
	}
	const least = 13 // the number of fields that the callers use
	fields = strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < least {
		return nil, fmt.Errorf("/proc tells too little of process %d", pid)
	}
	return fields, nil
}

// unread reports whether the Core has sent a message that the host has not read.
func (s *session) unread() (is bool) {
	raw, err := s.control.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
		is = err == nil && n > 0
	})
	return is && err == nil
}

// giveUp kills a Core that hangs.
func (s *session) giveUp(silent time.Duration) {
	state := "unknown"
	if fields, err := statOf(s.cmd.Process.Pid); err == nil {
		state = fields[0] // T: stopped, D: waits for the disk, R: runs, S: waits
	}
	s.hung.Store(true)
	s.h.log.Error("the Core hangs: it is killed and started again", "pid", s.cmd.Process.Pid, "silent", silent.Round(time.Second).String(), "state", state)
	_ = s.cmd.Process.Kill()
}
