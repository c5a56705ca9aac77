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

const (
	answerBatch  = 256 // frames of a Task handed to the engine in one event
	answerCredit = 16  // such events that the engine has not taken: a flood waits
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

// read takes answers. Whatever can't be decoded is the last that is read.
func (t *taskChannel) read() {
	in := bufio.NewReaderSize(t.net, bufferSize)
	payload := make([]byte, task.MaxAnswerFrame)
	credit := make(chan struct{}, answerCredit)
	var batch []task.Answer
	for {
		if len(batch) > 0 && (in.Buffered() < task.HeaderSize || len(batch) >= answerBatch) {
			select {
			case credit <- struct{}{}:
			case <-t.closed:
				return
			}
			t.post(batch, credit)
			batch = nil
		}
		a, err := readAnswer(in, payload)
		if err != nil {
			if len(batch) > 0 {
				t.post(batch, nil)
			}
			t.ended(err)
			return
		}
		batch = append(batch, a)
	}
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

func (t *taskChannel) post(batch []task.Answer, credit chan struct{}) {
	t.s.events.put(func(e *engine.Engine) {
		for _, a := range batch {
			e.TaskAnswer(t.instance, a)
		}
		if credit != nil {
			<-credit
		}
	})
}

func (t *taskChannel) ended(err error) {
	var system *net.OpError
	if errors.Is(err, io.EOF) || errors.As(err, &system) {
		t.s.events.put(func(e *engine.Engine) { e.TaskEnded(t.instance) })
		return
	}
	t.s.events.put(func(e *engine.Engine) { e.TaskBroke(t.instance, wire.ReasonBadFrame) })
}
