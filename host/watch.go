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

// watch gives up a Core that hangs, and keeps the service manager informed, until the context
// ends. A tick says what time it is.
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

// pulse is how often the host is watched: as often as the service manager wants to hear of it, at
// least.
func (h *host) pulse() time.Duration {
	if w := h.Manager.Watchdog; w > 0 {
		return max(min(watchEvery, w/3), time.Millisecond)
	}
	return watchEvery
}

// teller keeps the service manager informed.
type teller struct {
	h      *host
	ready  bool   // the manager was told
	status string // that it was told last
	failed bool   // which was logged
}

// tell says whether the host is live, that it is ready when it is that for the first time, and
// what it does. The manager takes a host for ready that serves, also if Tasks, the disk or the
// anchor fail: it would end what does not become ready, and end the service of reads by that.
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

// processorTime returns what the Core has taken of the processor, in ticks of the kernel's clock.
func (s *session) processorTime() (uint64, error) {
	fields, err := statOf(s.cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	const user, system = 11, 12 // utime and stime, of those behind the name
	u, errUser := strconv.ParseUint(fields[user], 10, 64)
	k, errSystem := strconv.ParseUint(fields[system], 10, 64)
	return u + k, cmp.Or(errUser, errSystem)
}

// statOf returns what /proc tells of a process behind its name: proc_pid_stat(5).
func statOf(pid int) (fields []string, err error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil, err
	}
	const least = 13 // fields that are needed
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

// giveUp ends a Core that hangs.
func (s *session) giveUp(silent time.Duration) {
	state := "unknown"
	if fields, err := statOf(s.cmd.Process.Pid); err == nil {
		state = fields[0] // T: stopped, D: it waits for the disk, R: it runs, S: it waits
	}
	s.hung.Store(true)
	s.h.log.Error("the Core hangs: it is killed and started again", "pid", s.cmd.Process.Pid, "silent", silent.Round(time.Second).String(), "state", state)
	_ = s.cmd.Process.Kill()
}
