package core

import (
	"bufio"
	"errors"
	"io"
	"net"
	"sync"

	"motte/core/engine"
	"motte/core/task"
	"motte/core/wire"
)

// What of a Task's answers is handed to the engine in one event.
const (
	answerBatch = 256     // frames
	answerIDs   = 1 << 16 // identities after which no frame is added
)

// taskChannel is the Core's end of the channel to one Task: a reader and a
// writer. It belongs to the loop, which closes it.
type taskChannel struct {
	s        *shell
	instance uint64
	net      net.Conn
	out      *mailbox[[]byte]
	closed   chan struct{}
	all      sync.WaitGroup
}

// startTask takes the channel that the host brought for an instance.
func (s *shell) startTask(instance uint64, c net.Conn) {
	if s.tasks[instance] != nil {
		c.Close() // the host brings a second channel for one process
		return
	}
	t := &taskChannel{s: s, instance: instance, net: c, out: newMailbox[[]byte](), closed: make(chan struct{})}
	s.tasks[instance] = t
	t.all.Go(t.read)
	t.all.Go(t.write)
	s.engine.TaskStarted(instance)
}

func (t *taskChannel) close() {
	close(t.closed)
	t.net.Close()
	t.all.Wait()
}

// write sends frames: all that wait, in one write.
func (t *taskChannel) write() {
	for batch := range t.out.batches(t.closed) {
		frames := net.Buffers(batch)
		if _, err := frames.WriteTo(t.net); err != nil {
			return // the reader sees the end of the Task
		}
	}
}

// read takes answers. Whatever can't be decoded is the last that is read. A
// Task that floods waits until the engine has taken what it sent.
func (t *taskChannel) read() {
	in, payload := bufio.NewReaderSize(t.net, bufferSize), make([]byte, task.MaxAnswerFrame)
	for failed := error(nil); failed == nil; {
		var batch []task.Answer
		ids := 0
		for more := true; more && failed == nil; more = in.Buffered() >= task.HeaderSize && len(batch) < answerBatch && ids < answerIDs {
			var a task.Answer
			if a, failed = readAnswer(in, payload); failed == nil {
				batch, ids = append(batch, a), ids+len(a.Found)
			}
		}
		taken := make(chan struct{})
		t.s.events.put(func(e *engine.Engine) {
			defer close(taken)
			for _, a := range batch {
				e.TaskAnswer(t.instance, a)
			}
			if failed != nil {
				e.TaskEnded(t.instance, violation(failed))
			}
		})
		select {
		case <-taken:
		case <-t.closed:
			return
		}
	}
}

// violation says what the end of a channel means: that of the process, or that
// it sent what can't be decoded.
func violation(err error) wire.Reason {
	var system *net.OpError
	if errors.Is(err, io.EOF) || errors.As(err, &system) {
		return wire.ReasonTaskEnded
	}
	return wire.ReasonBadFrame
}

// readAnswer reads one frame. io.EOF says that the Task closed its channel
// between two frames; every other error is a violation.
func readAnswer(in *bufio.Reader, payload []byte) (task.Answer, error) {
	header := payload[:task.HeaderSize]
	if _, err := io.ReadFull(in, header); err != nil {
		return task.Answer{}, err
	}
	h, err := task.DecodeAnswerHeader(header)
	if err != nil {
		return task.Answer{}, err
	}
	if _, err := io.ReadFull(in, payload[:h.Len]); err != nil {
		return task.Answer{}, io.ErrUnexpectedEOF
	}
	return task.DecodeAnswer(h, payload[:h.Len])
}
