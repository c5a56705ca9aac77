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

// readHost takes the messages of the host, until the host asks the Core to stop, ends, or sends an
// invalid message. Then the Core stops.
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
		if msg.Type == hostwire.TypeTaskStarted {
			expected = 1
		}
		cut := flags&(syscall.MSG_TRUNC|syscall.MSG_CTRUNC) != 0
		switch {
		case err != nil || cut || len(descriptors) != expected:
			say("the host sent an invalid message: stopping")
			for _, fd := range descriptors {
				syscall.Close(fd)
			}
			return
		case msg.Type == hostwire.TypeStop:
			return
		case msg.Type == hostwire.TypeTaskStarted:
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

// takeChannel makes the channel to a Task from the descriptor that came with a message.
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

// writeHost sends the waiting messages to the host, until the context ends.
func (s *server) writeHost(ctx context.Context) {
	for messages := range s.toHost.batches(ctx.Done()) {
		for _, m := range messages {
			if _, err := s.Control.Write(m.Append(nil)); err != nil {
				return // readHost sees the end of the host
			}
		}
	}
}

// counters are the hostwire.Stats of this Core. Any goroutine may count.
type counters struct {
	synced, refused, writeBegan atomic.Uint64

	commits  histogram
	requests [hostwire.Operations][hostwire.Codes]atomic.Uint64
	latency  [hostwire.Operations]histogram
}

// histogram is a hostwire.Histogram that any goroutine may add to.
type histogram struct {
	counts [hostwire.Buckets]atomic.Uint64
	micros atomic.Uint64
}

// add counts a duration.
func (h *histogram) add(d time.Duration) {
	bucket := min(bits.Len64(uint64(d/(16*time.Microsecond))), hostwire.Buckets-1)
	h.counts[bucket].Add(1)
	h.micros.Add(uint64(d.Microseconds()))
}

func (h *histogram) snapshot() (s hostwire.Histogram) {
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	s.Micros = h.micros.Load()
	return s
}

// snapshot returns the present values. Counts that are added meanwhile may be missing.
func (c *counters) snapshot() *hostwire.Stats {
	s := &hostwire.Stats{Synced: c.synced.Load(), Refused: c.refused.Load(), WriteBegan: c.writeBegan.Load()}
	s.Commits = c.commits.snapshot()
	for op := range c.requests {
		for code := range c.requests[op] {
			s.Requests[op][code] = c.requests[op][code].Load()
		}
		s.Latency[op] = c.latency[op].snapshot()
	}
	return s
}

// measured are the model.Measurements of goroutines that do not hold the state of the server.
type measured struct {
	checkpointLSN, checkpointTime atomic.Uint64
	movedBytes, freedBytes        atomic.Uint64
	scrubbedRecords               atomic.Uint64
	scrubbedBytes                 atomic.Uint64
	scrubPasses, scrubTime        atomic.Uint64
	scrubDamaged                  atomic.Uint64
	diskBytes                     atomic.Uint64
}

// observe gives the engine the measurements of files and connections, for a STATUS.
func (s *server) observe() {
	segments := s.log.Segments()
	m := model.Measurements{
		Segments:        uint64(len(segments)),
		Connections:     uint64(len(s.conns)),
		CheckpointBytes: uint64(s.log.CheckpointBytes()),
		CheckpointLSN:   s.measured.checkpointLSN.Load(),
		CheckpointTime:  s.measured.checkpointTime.Load(),
		MovedBytes:      s.measured.movedBytes.Load(),
		FreedBytes:      s.measured.freedBytes.Load(),
		ScrubbedRecords: s.measured.scrubbedRecords.Load(),
		ScrubbedBytes:   s.measured.scrubbedBytes.Load(),
		ScrubPasses:     s.measured.scrubPasses.Load(),
		ScrubTime:       s.measured.scrubTime.Load(),
		ScrubDamaged:    s.measured.scrubDamaged.Load(),
		DiskBytes:       s.measured.diskBytes.Load(),
	}
	for _, segment := range segments {
		m.LogBytes += uint64(segment.Bytes)
	}
	s.engine.Observe(m)
}

// countObserved gives the engine the measurements, and sends the host the state of the server.
func (s *server) countObserved() {
	s.observe()
	_, bytes := s.engine.Objects()
	s.collect(bytes)
	if len(s.toHost.wake) > 0 {
		return // the host has not read the messages before: the next counters replace these
	}
	server := s.engine.Server()
	s.toHost.put(s.engine.Indexes()...)
	s.toHost.put(hostwire.Counters{Stats: s.stats.snapshot(), Server: &server})
	s.toHost.put(hostwire.Anchor{Head: s.engine.Head()})
}

// headroom is the memory for garbage beside a large mapping. The mapping has no pointers, so a
// collection takes little time, and may run before the garbage is half as large as the mapping.
const headroom = 48 << 20 // bytes

// collect sets the percentage of garbage that starts a garbage collection, for a mapping of this
// size in bytes. SetGCPercent waits for a running collection, so it is called only for a change.
func (s *server) collect(bytes int64) {
	if percent := int(min(50, headroom*100/(bytes+headroom/2))); percent != s.garbage {
		s.garbage = percent
		debug.SetGCPercent(percent)
	}
}
