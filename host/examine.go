package host

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// examine finds out now and then what nobody tells, until the context ends: whether the data
// directory can be written; and whether Tasks can be started, at first, and after each start
// that its walls prevented, until they can.
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
			unconfined = nil // it is known
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

// tryTasks finds out whether Tasks can be started; before is what was found the last time.
func (h *host) tryTasks(before string) string {
	if err := h.checkWalls(); err != nil {
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

// notConfined says that the walls of a Task could not be put up.
func (h *host) notConfined() {
	select {
	case h.unconfined <- struct{}{}:
	default: // it will look anyway
	}
}
