package server

import (
	"context"
	"math/bits"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/model"
)

// readHost takes the host's messages until it asks to stop, goes away, or says
// what it may not: then the Core stops.
func (s *server) readHost() {
	defer s.stop()
	p, oob := make([]byte, hostwire.MaxMessage), make([]byte, syscall.CmsgSpace(4))
	for {
		n, m, flags, _, err := s.Control.ReadMsgUnix(p, oob)
		if err != nil || n == 0 {
			return
		}
		descriptors := descriptorsIn(oob[:m])
		expected := 0
		msg, err := hostwire.Decode(p[:n])
		if msg.Type == hostwire.TaskStarted {
			expected = 1
		}
		cut := flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0
		switch {
		case err != nil || cut || len(descriptors) != expected:
			say("the host sent what it may not: stopping")
			for _, fd := range descriptors {
				syscall.Close(fd)
			}
			return
		case msg.Type == hostwire.Stop:
			return
		case msg.Type == hostwire.TaskStarted:
			s.takeChannel(msg.Instance, descriptors[0])
		default:
			s.events.put(func(*engine.Engine) { s.endTask(msg.Instance) })
		}
	}
}

// descriptorsIn returns the descriptors that came with a message.
func descriptorsIn(oob []byte) (descriptors []int) {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err == nil && len(messages) == 1 {
		descriptors, _ = syscall.ParseUnixRights(&messages[0])
	}
	return descriptors
}

// takeChannel makes a connection of the descriptor that came with a message.
func (s *server) takeChannel(instance uint64, descriptor int) {
	f := os.NewFile(uintptr(descriptor), "task")
	c, _ := net.FileConn(f)
	f.Close()
	channel, ok := c.(*net.UnixConn)
	if c != nil && !ok {
		c.Close()
	}
	s.events.put(func(*engine.Engine) {
		if ok {
			s.startTask(instance, channel)
		} else {
			s.endTask(instance)
		}
	})
}

// anchorMessage is the message that asks the host to remember a head.
func anchorMessage(h model.Head) *hostwire.Message {
	key := [32]byte(append(h.Segment[:], h.Chain[:]...))
	return &hostwire.Message{Type: hostwire.Anchor, Instance: h.LSN, Key: key}
}

// writeHost sends the host what it is to do and to count.
func (s *server) writeHost(ctx context.Context) {
	for messages := range s.toHost.batches(ctx.Done()) {
		for _, m := range messages {
			if _, err := s.Control.Write(hostwire.Append(nil, &m)); err != nil {
				return // readHost sees the end of the host
			}
		}
	}
}

// counters are the Core's statistics: see control.Stats.
type counters [len(hostwire.Stats{})]atomic.Uint64

// took counts a duration in a histogram, whose first bucket is given, and in a sum.
func (c *counters) took(d time.Duration, histogram, micros int) {
	bucket := min(bits.Len64(uint64(d/(16*time.Microsecond))), hostwire.Buckets-1)
	c[histogram+bucket].Add(1)
	c[micros].Add(uint64(d.Microseconds()))
}

// observe tells the engine what only the shell knows.
func (s *server) observe() {
	segments, size := s.log.Segments(), uint64(0)
	for _, x := range segments {
		size += uint64(x.Bytes)
	}
	s.observed[engine.LogBytes].Store(size)
	s.observed[engine.Segments].Store(uint64(len(segments)))
	s.observed[engine.Connections].Store(uint64(len(s.conns)))
	s.observed[engine.CheckpointBytes].Store(uint64(s.log.CheckpointBytes()))
	for i := range s.observed {
		s.engine.Observe(i, s.observed[i].Load())
	}
}

// countObserved tells the host how much there is, and the engine what only the shell knows.
func (s *server) countObserved() {
	s.observe()
	_, bytes := s.engine.Objects()
	s.collect(bytes)
	if len(s.toHost.wake) > 0 {
		return // the host takes nothing, and the next numbers will do
	}
	var values []uint64
	for i := range s.stats {
		values = append(values, s.stats[i].Load())
	}
	flags, numbers := s.engine.Server()
	values = append(append(values, uint64(flags)), numbers...)
	s.toHost.put(s.engine.Indexes()...)
	s.toHost.put(hostwire.Message{Type: hostwire.Counters, Values: values}, *anchorMessage(s.engine.Head()))
}

// headroom is the memory for garbage beside a large mapping, which has no
// pointers to follow: it costs little to collect often, and much to wait until
// there is half as much garbage as there is mapping.
const headroom = 48 << 20 // bytes

// collect sets how often garbage is collected, for a mapping of this size. To set
// it waits for a collection that is under way, so it is set only if it changes.
func (s *server) collect(bytes int64) {
	if percent := int(min(50, headroom*100/(bytes+headroom/2))); percent != s.garbage {
		s.garbage = percent
		debug.SetGCPercent(percent)
	}
}
