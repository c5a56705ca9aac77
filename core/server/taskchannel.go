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

// answerBatch is the most frames of a Task that the engine gets in one event. When these
// frames name taskwire.MaxChunk identities, no further frame is added, since the engine
// looks up each identity.
const answerBatch = 16

// shortFrames is the most bytes of frames that are written to a Task by the goroutine that
// caused the frames.
const shortFrames = 16 << 10

// taskChannel is the Core's end of the channel to one Task: a reader and a writer. A
// goroutine that closes it holds the server's state.
type taskChannel struct {
	s        *server
	instance uint64
	net      taskConn
	raw      syscall.RawConn // the descriptor of net; nil: writeNow writes no bytes
	out      *queue[engine.TaskFrame]
	left     atomic.Uint64 // frames that the channel has taken
	end      context.CancelFunc

	// A goroutine that writes holds the token of writing: the writer, or another goroutine
	// in writeNow.
	writing chan struct{}
	parts   net.Buffers // bytes of frames that were taken from out, and not written
	frames  int         // number of frames in parts
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

// endTask takes the message of the host that a process has ended. The Task's last bytes are
// read first, since only they tell a broken frame from a clean end.
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

// write sends all waiting frames in one write.
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

// writeNow sends frames without waiting for the Task. It leaves the bytes to the writer that
// the channel does not take at once, and all frames if they are long.
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

// gather takes the waiting frames, if all frames that it took before are written.
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

// count notes that the channel has taken all gathered frames.
func (t *taskChannel) count() {
	t.left.Add(uint64(t.frames))
	t.frames = 0
}

// tick tells the engine the time, and how many frames each Task's channel has taken.
func (s *server) tick(now time.Time) {
	for _, t := range s.tasks {
		s.engine.Left(t.instance, t.left.Load())
	}
	s.engine.Tick(now)
}

// read takes answers, until an answer can't be decoded. It reads no further answer until the
// engine has taken the batch, so a Task that floods has to wait.
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
			return // the Core has closed the channel: the Task did not fail
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
