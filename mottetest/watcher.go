package mottetest

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// task is a Task's process.
type task struct {
	name string
	pid  int
}

// running knows the Tasks that run now, by instance.
type running struct {
	mu    sync.Mutex
	tasks map[uint64]task
}

// Task returns the number of the process of a Task that runs, by the name under which the
// Task is registered. If several indexes use the Task it is any of them.
func (s *Server) Task(name string) (pid int, ok bool) {
	s.running.mu.Lock()
	defer s.running.mu.Unlock()
	for _, t := range s.running.tasks {
		if t.name == name {
			return t.pid, true
		}
	}
	return 0, false
}

// watcher is a slog.Handler that learns from the host's log which Tasks run,
// and passes everything on.
type watcher struct {
	slog.Handler
	attrs   []slog.Attr // of the logger
	running *running
}

// WithAttrs implements slog.Handler.
func (w *watcher) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &watcher{w.Handler.WithAttrs(attrs), slices.Concat(w.attrs, attrs), w.running}
}

// WithGroup implements slog.Handler.
func (w *watcher) WithGroup(name string) slog.Handler {
	return &watcher{w.Handler.WithGroup(name), w.attrs, w.running}
}

// Handle implements slog.Handler.
func (w *watcher) Handle(ctx context.Context, r slog.Record) error {
	var instance uint64
	var t task
	note := func(a slog.Attr) bool {
		switch a.Key {
		case "instance":
			instance = a.Value.Uint64()
		case "task":
			t.name = a.Value.String()
		case "pid":
			t.pid = int(a.Value.Int64())
		}
		return true
	}
	for _, a := range w.attrs {
		note(a)
	}
	w.running.mu.Lock()
	switch r.Message {
	case "task started":
		r.Attrs(note)
		w.running.tasks[instance] = t
	case "task ended":
		delete(w.running.tasks, instance)
	}
	w.running.mu.Unlock()
	return w.Handler.Handle(ctx, r)
}
