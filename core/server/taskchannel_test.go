package server

import (
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"motte/client/frames"
	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/core/wire"
)

// TestAFrameCountsWhenItHasLeft: the engine learns that a frame has left the Core when the
// channel has taken it with its input, not when it is queued for the channel.
func TestAFrameCountsWhenItHasLeft(t *testing.T) {
	here, there := net.Pipe()
	c := newTaskChannel(nil, 1, taskPipe{here})
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		c.write(ctx)
		close(over)
	}()
	c.out.put(engine.TaskFrame{Frame: []byte("head"), Input: []byte("input")}, engine.TaskFrame{Frame: []byte("other")})
	p := make([]byte, len("headinputother"))
	if _, err := io.ReadFull(there, p[:1]); err != nil || c.left.Load() != 0 {
		t.Errorf("%d frames count as sent after one byte was read: %v", c.left.Load(), err)
	}
	if _, err := io.ReadFull(there, p[1:]); err != nil || string(p) != "headinputother" {
		t.Errorf("the Task read %q: %v", p, err)
	}
	for c.left.Load() == 0 { // the writer counts with a short delay
		time.Sleep(time.Millisecond)
	}
	if n := c.left.Load(); n != 2 {
		t.Errorf("%d frames count as sent, want 2", n)
	}
	cancel()
	<-over
}

// TestTheLastWordsOfATaskAreRead, even if the host reports the end of its process first. A part
// of a frame is a broken frame, in either order.
func TestTheLastWordsOfATaskAreRead(t *testing.T) {
	for _, c := range []struct {
		name string
		sent []byte
		want []model.Reason
	}{
		{"half a frame", taskwire.AppendHeader(nil, taskwire.Header{Type: taskwire.Found, Len: 33, Seq: 1})[:9], []model.Reason{model.ReasonBadFrame}},
		{"nothing", nil, []model.Reason{model.ReasonTaskEnded}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := filledRig(t)
				defer r.close()
				row := frames.AppendRow(nil, &model.Row{Operations: frames.TaskSearch, MaxInput: 1, MaxResults: 1, Deadline: 1000, Memory: 1})
				r.must(model.OK, &wire.Request{Op: model.OpRegisterTask, Name: []byte("t"), Query: row})
				r.must(model.OK, &wire.Request{Op: model.OpCreateIndex, Collection: "c", Index: "x", Type: model.TypeText, Name: []byte("t")})
				synctest.Wait()
				var asked []hostwire.StartTask
				for _, message := range r.toHost.take() {
					if m, starts := message.(hostwire.StartTask); starts {
						asked = append(asked, m)
					}
				}
				if len(asked) != 1 {
					t.Fatalf("the host is asked for %d Tasks, want 1", len(asked))
				}
				end := newSimConn()
				end.send(c.sent)
				r.runOnEngine(func(*engine.Engine) {
					r.startTask(asked[0].Instance, end)
					r.endTask(asked[0].Instance)
				})
				if got := r.reasons(); !slices.Equal(got, c.want) {
					t.Errorf("alerts %v, want %v", got, c.want)
				}
			})
		})
	}
}
