package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"motte/core/codec"
	"motte/core/engine"
	"motte/core/model"
	"motte/core/taskwire"
)

// answerBatch is how many of a Task's frames are handed to the engine in one event. Once
// they name task.MaxChunk identities, none is added: the engine looks each of them up.
const answerBatch = 16

// shortFrames is how many bytes of frames are written to a Task by the goroutine that brings
// them about.
const shortFrames = 16 << 10

// taskChannel is the Core's end of the channel to one Task: a reader and a
// writer. It is closed by whoever holds the server's state.
type taskChannel struct {
	s        *server
	instance uint64
	net      taskConn
	raw      syscall.RawConn // under net; nil: it takes nothing at once
	out      *queue[engine.TaskFrame]
	left     atomic.Uint64 // frames that the channel has taken
	end      context.CancelFunc

	// Whoever writes holds the token of writing: the writer, or in writeNow another goroutine.
	writing chan struct{}
	parts   net.Buffers // of frames that were taken from out, and not written
	frames  int         // in parts
}

// taskConn is a connection whose reading end can be closed alone. Bytes that the Task sent
// before are still read.
type taskConn interface {
	net.Conn
	CloseRead() error
}

func newTaskChannel(s *server, instance uint64, c taskConn) *taskChannel {
	return &taskChannel{s: s, instance: instance, net: c, raw: rawOf(c),
		out: newQueue[engine.TaskFrame](), writing: make(chan struct{}, 1)}
}

// startTask takes the channel that the host brought for an instance.
func (s *server) startTask(instance uint64, c taskConn) {
	if s.tasks[instance] != nil {
		c.Close() // the host brings a second channel for one process
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := newTaskChannel(s, instance, c)
	t.end = cancel
	s.tasks[instance] = t
	s.producers.Go(func() { t.read(ctx) })
	s.producers.Go(func() { t.write(ctx) })
	s.engine.TaskStarted(instance)
}

// endTask is called when the host says that a process has ended. The Task's last bytes are
// read first: only they tell a broken frame from a clean end.
func (s *server) endTask(instance uint64) {
	if t := s.tasks[instance]; t != nil {
		_ = t.net.CloseRead() // an error means that it is closed
		return
	}
	s.engine.TaskEnded(instance, model.ReasonTaskEnded)
}

func (t *taskChannel) close() {
	t.end()
	t.net.Close()
}

// write sends frames: all that wait, in one write.
func (t *taskChannel) write(ctx context.Context) {
	for range t.out.signals(ctx.Done()) {
		if err := t.writeAll(); err != nil {
			return // the reader sees the end of the Task
		}
	}
}

func (t *taskChannel) writeAll() error {
	t.writing <- struct{}{}
	defer func() { <-t.writing }()
	for t.gather(); len(t.parts) > 0; t.gather() {
		if _, err := t.parts.WriteTo(t.net); err != nil {
			return err
		}
		t.count()
	}
	return nil
}

// writeNow sends frames without waiting for the Task. It leaves to the writer the frames that
// the channel does not take at once, and all if they are long.
func (t *taskChannel) writeNow() {
	select {
	case t.writing <- struct{}{}:
	default:
		t.out.signal()
		return
	}
	defer func() { <-t.writing }()
	begun := len(t.parts) > 0
	t.gather()
	size := 0
	for _, p := range t.parts {
		size += len(p)
	}
	if size == 0 {
		return
	}
	if begun || size > shortFrames {
		t.out.signal()
		return
	}
	p := slices.Concat(t.parts...)
	if n := tryWrite(t.raw, p); n == len(p) {
		t.parts = nil
		t.count()
	} else {
		t.parts = net.Buffers{p[n:]}
		t.out.signal()
	}
}

// gather takes the frames that wait, if all taken before are written.
func (t *taskChannel) gather() {
	if len(t.parts) > 0 {
		return
	}
	batch := t.out.take()
	t.frames = len(batch)
	for _, f := range batch {
		if t.parts = append(t.parts, f.Frame); len(f.Input) > 0 {
			t.parts = append(t.parts, f.Input)
		}
	}
}

// count notes that the channel has taken all that was gathered.
func (t *taskChannel) count() {
	t.left.Add(uint64(t.frames))
	t.frames = 0
}

// tick tells the engine what time it is, and how far the Tasks' channels are.
func (s *server) tick(now time.Time) {
	for _, t := range s.tasks {
		s.engine.Left(t.instance, t.left.Load())
	}
	s.engine.Tick(now)
}

// read takes answers. Whatever can't be decoded is the last that is read. A
// Task that floods waits until the engine has taken what it sent.
func (t *taskChannel) read(ctx context.Context) {
	in, buf := bufio.NewReaderSize(t.net, bufferSize), make([]byte, taskwire.MaxAnswerFrame)
	for failed := error(nil); failed == nil; {
		var batch []taskwire.Answer
		named := 0
		for more := true; more && failed == nil; more = in.Buffered() >= taskwire.HeaderSize {
			var a taskwire.Answer
			if a, failed = taskwire.ReadAnswer(in, buf); failed == nil {
				batch = append(batch, a)
				named += len(a.Found)
			}
			if len(batch) == answerBatch || named >= taskwire.MaxChunk {
				break
			}
		}
		if ctx.Err() != nil {
			return // what the loop ended has not failed
		}
		t.s.runOnEngine(func(e *engine.Engine) {
			for _, a := range batch {
				e.TaskAnswer(t.instance, a)
			}
			if errors.Is(failed, codec.ErrMalformed) || errors.Is(failed, io.ErrUnexpectedEOF) {
				e.TaskEnded(t.instance, model.ReasonBadFrame)
			} else if failed != nil {
				e.TaskEnded(t.instance, model.ReasonTaskEnded)
			}
		})
	}
}
