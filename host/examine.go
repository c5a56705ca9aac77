package host

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// examine checks conditions of which no message tells, until the context ends. It checks every time
// that the data directory can be written. It checks at first that Tasks can start, and again after
// each start that failed for lack of confinement, until Tasks can start.
func (h *host) examine(ctx context.Context) {
	var tasks string
	for look := true; ; {
		if look {
			tasks = h.tryTasks(tasks)
		}
		directory := ""
		if unix.Access(h.Dir, unix.W_OK) != nil {
			directory = cantWrite
		}
		h.health.found(tasks, directory)
		unconfined := h.unconfined
		if tasks != "" {
			unconfined = nil // the next look is due anyway
		}
		select {
		case <-unconfined:
			look = true
		case <-time.After(examineEvery):
			look = tasks != ""
		case <-ctx.Done():
			return
		}
	}
}

// tryTasks checks that Tasks can start; before is the result of the check before.
func (h *host) tryTasks(before string) string {
	if err := h.checkConfinement(); err != nil {
		if before == "" {
			h.log.Error("no Task can be started, and it is tried again", "error", err)
		}
		return noTask
	}
	if before != "" {
		h.log.Info("Tasks can be started again")
	}
	return ""
}

// notConfined notes that a Task could not be confined.
func (h *host) notConfined() {
	select {
	case h.unconfined <- struct{}{}:
	default: // the token of an earlier call is still there
	}
}
