package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"motte/client/frames"
	"motte/core/engine"
	"motte/core/model"
	"motte/core/wire"
)

// socketPair returns the two ends of a channel like a Task's.
func socketPair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
		t.Cleanup(func() { c.Close() })
	}
	return ends[0], ends[1]
}

// TestASocketWaitsForNoClient: writes return even if the client takes no bytes, until too many
// bytes are kept.
func TestASocketWaitsForNoClient(t *testing.T) {
	core, _ := socketPair(t)
	s := newSocket(core)
	s.established()
	var written []byte
	var err error
	for n := 0; err == nil; n++ {
		p := bytes.Repeat([]byte{byte(n)}, 1000)
		if _, err = s.Write(p); err == nil {
			written = append(written, p...)
		}
	}
	if !errors.Is(err, errTakesNothing) || !s.keeps() || len(s.kept) > maxKept {
		t.Fatalf("the socket keeps %d of %d bytes: %v", len(s.kept), len(written), err)
	}
	if err := s.drain(time.Now()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("draining ends with %v, want a deadline", err)
	}
}

// TestASocketDrainsInOrder, including bytes that are written meanwhile.
func TestASocketDrainsInOrder(t *testing.T) {
	core, client := socketPair(t)
	s := newSocket(core)
	s.established()
	var written []byte
	write := func(n int) {
		p := bytes.Repeat([]byte{byte(n)}, 1000)
		if _, err := s.Write(p); err != nil {
			t.Error(err)
		}
		written = append(written, p...)
	}
	for n := 0; len(s.kept) < maxKept/2; n++ {
		write(n)
	}
	drained := make(chan error)
	go func() { drained <- s.drain(time.Now().Add(time.Minute)) }()
	for n := range 10 {
		write(n)
	}
	got := make([]byte, len(written))
	if _, err := io.ReadFull(client, got); err != nil || !bytes.Equal(got, written) {
		t.Errorf("the client got other bytes than were written: %v", err)
	}
	if err := <-drained; err != nil || s.keeps() {
		t.Errorf("after draining %d bytes are kept: %v", len(s.kept), err)
	}
	write(0) // the deadline of an earlier call must not apply
	if s.keeps() {
		t.Error("a write after an expired deadline is kept; want it written")
	}
}

// TestATaskThatReadsNothingHoldsUpNobody: a goroutine that produces frames does not wait for the
// Task. The writer sends the rest, in order.
func TestATaskThatReadsNothingHoldsUpNobody(t *testing.T) {
	core, task := socketPair(t)
	c := newTaskChannel(nil, 1, core)
	var want []byte
	const count = 200
	for n := range count {
		f := engine.TaskFrame{Frame: fmt.Appendf(nil, "frame %d", n), Input: bytes.Repeat([]byte{byte(n)}, 8<<10)}
		want = append(append(want, f.Frame...), f.Input...)
		c.out.add(f)
		c.writeNow()
	}
	if n := c.left.Load(); n == 0 || n >= count {
		t.Fatalf("%d frames have left, though the Task reads none", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		c.write(ctx)
	}()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(task, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the Task got other bytes than were sent: %v", err)
	}
	cancel()
	<-over
	if n := c.left.Load(); n != count {
		t.Errorf("%d frames have left, want %d", n, count)
	}
}

// TestLongFramesAreLeftToTheWriter of a Task's channel.
func TestLongFramesAreLeftToTheWriter(t *testing.T) {
	core, _ := socketPair(t)
	c := newTaskChannel(nil, 1, core)
	c.out.add(engine.TaskFrame{Frame: make([]byte, shortFrames+1)})
	c.writeNow()
	if n := c.left.Load(); n != 0 || len(c.out.wake) == 0 {
		t.Errorf("%d frames have left; woken: %v", n, len(c.out.wake) > 0)
	}
}

// TestWhoAnswersWaitsForNoClient: the goroutine that produces an answer continues, even if the
// client does not take it.
func TestWhoAnswersWaitsForNoClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		end, ended := r.join(1)
		for n := range uint64(3) {
			if _, err := end.Write(frames.AppendRequest(nil, &wire.Request{Op: model.OpHead, Number: 1 + n})); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		for range 3 {
			if !okay(end) {
				t.Error("the goroutine that answers waits for the client")
			}
		}
		end.Close()
		<-ended
	})
}

// TestALoneAnswerIsSentByWhoBringsItAbout: the goroutine that produces it also sends it, without
// the loop and the writer. This also holds for a connection whose reader has ended.
func TestALoneAnswerIsSentByWhoBringsItAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := filledRig(t)
		defer r.close()
		objects := r.must(model.OK, request(0, model.OpGet, "c", "hers", "")).Content.(engine.Single)
		under := newSimConn()
		s := newSocket(under)
		c := newConn(r.server, s, s, principalOf(key(1)))
		reply := engine.Reply{Number: 7, Content: engine.Objects{objects.Entry, objects.Entry}}
		c.out.add(reply)
		c.answerNow()
		if c.out.len() > 0 || len(under.take()) == 0 || len(c.out.wake) > 0 {
			t.Error("the answer was not sent by the goroutine that produced it")
		}
		c.readAll.Store(true)
		c.out.add(reply)
		if c.answerNow(); len(c.out.wake) == 0 {
			t.Error("the writer of an ending connection is not woken after the last answer")
		}
		<-c.out.wake
		for _, wait := range []engine.Reply{
			{Content: engine.Single{Entry: objects.Entry}},
			{Content: make(engine.Objects, shortReply/int(objects.Loc.Length)+1)},
			{End: engine.End{Body: make([]byte, shortReply+1)}},
		} {
			if list, ok := wait.Content.(engine.Objects); ok {
				for i := range list {
					list[i] = objects.Entry
				}
			}
			c.out.add(wait)
			if c.answerNow(); c.out.len() != 1 || len(c.out.wake) == 0 {
				t.Errorf("%T of %+v is not left to the writer", wait.Content, wait.End.Code)
			}
			c.out.take()
			<-c.out.wake
		}
	})
}
