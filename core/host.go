package core

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"

	"motte/core/control"
	"motte/core/engine"
)

// readHost takes the host's messages until it asks to stop, goes away, or says
// what it may not: then stop is closed.
func (s *shell) readHost(stop chan struct{}) {
	defer close(stop)
	defer s.stopping.Store(true)
	p, oob := make([]byte, control.MaxMessage), make([]byte, syscall.CmsgSpace(4))
	for {
		n, m, flags, _, err := s.Control.ReadMsgUnix(p, oob)
		if err != nil || n == 0 {
			return
		}
		fds := descriptors(oob[:m])
		msg, err := control.Decode(p[:n])
		wanted := 0
		if msg.Type == control.TaskStarted {
			wanted = 1
		}
		if err != nil || flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0 || len(fds) != wanted {
			fmt.Fprintln(os.Stderr, "motte-core: the host sent a message that can't be understood: stopping")
			closeAll(fds)
			return
		}
		switch msg.Type {
		case control.TaskStarted:
			s.takeChannel(msg.Instance, fds[0])
		case control.TaskEnded:
			s.events.put(func(e *engine.Engine) { e.TaskEnded(msg.Instance) })
		case control.Stop:
			return
		default:
			fmt.Fprintln(os.Stderr, "motte-core: the host sent a message of the Core's own: stopping")
			return
		}
	}
}

// takeChannel makes a connection of the descriptor that came with a message.
func (s *shell) takeChannel(instance uint64, fd int) {
	f := os.NewFile(uintptr(fd), "task")
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		s.events.put(func(e *engine.Engine) { e.TaskEnded(instance) })
		return
	}
	s.events.put(func(*engine.Engine) { s.startTask(instance, c) })
}

func descriptors(oob []byte) (fds []int) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range messages {
		list, _ := syscall.ParseUnixRights(&messages[i])
		fds = append(fds, list...)
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		syscall.Close(fd)
	}
}

// writeHost sends the host what it is to do and to count.
func (s *shell) writeHost(ctx context.Context) {
	for {
		select {
		case <-s.toHost.wake:
		case <-ctx.Done():
			return
		}
		for _, m := range s.toHost.take() {
			if _, err := s.Control.Write(control.Append(nil, &m)); err != nil {
				return // readHost sees the end of the host
			}
		}
	}
}
