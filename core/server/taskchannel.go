package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"motte/core/codec"
	"motte/core/engine"
	"motte/core/model"
	"motte/core/taskwire"
)

// answerBatch is how many of a Task's frames are handed to the engine in one event. Once
// they name task.MaxChunk identities, none is added: the engine looks each of them up.
const answerBatch = 16

// taskChannel is the Core's end of the channel to one Task: a reader and a
// writer. It belongs to the loop, which closes it.
type taskChannel struct {
	s        *server
	instance uint64
	net      taskConn
	out      *queue[engine.TaskFrame]
	left     atomic.Uint64 // frames that the channel has taken
	end      context.CancelFunc
}

// taskConn is a connection whose reading end can be closed alone. Bytes that the Task sent
// before are still read.
type taskConn interface {
	net.Conn
	CloseRead() error
}

// startTask takes the channel that the host brought for an instance.
func (s *server) startTask(instance uint64, c taskConn) {
	if s.tasks[instance] != nil {
		c.Close() // the host brings a second channel for one process
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	t := &taskChannel{s: s, instance: instance, net: c, out: newQueue[engine.TaskFrame](), end: cancel}
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
	for batch := range t.out.batches(ctx.Done()) {
		var parts net.Buffers
		for _, f := range batch {
			if parts = append(parts, f.Frame); len(f.Input) > 0 {
				parts = append(parts, f.Input)
			}
		}
		if _, err := parts.WriteTo(t.net); err != nil {
			return // the reader sees the end of the Task
		}
		t.left.Add(uint64(len(batch)))
	}
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
