package client

import (
	"bufio"
	"io"
	"sync/atomic"
	"syscall"
	"testing"

	"motte/core/model"
	"motte/core/wire"
)

// BenchmarkGet gets an object of 1 KiB again and again, from a Core that is none and
// costs next to nothing: what is measured is the client, and TLS at both ends.
func BenchmarkGet(b *testing.B) {
	for _, c := range []struct {
		name string
		many int
	}{{"one in flight", 1}, {"64 in flight", 64}} {
		b.Run(c.name, func(b *testing.B) {
			p := fake(b, serveObject)
			k, err := Dial(b.Context(), p)
			if err != nil {
				b.Fatal(err)
			}
			defer k.Close()
			var left atomic.Int64
			left.Store(int64(b.N))
			done := make(chan error)
			b.ReportAllocs()
			before := processorTime(b)
			b.ResetTimer()
			for range c.many {
				go func() {
					var err error
					for err == nil && left.Add(-1) >= 0 {
						_, err = k.Get(b.Context(), "c", "a name")
					}
					done <- err
				}()
			}
			for range c.many {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what this process has used of the processors, in nanoseconds.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// serveObject answers every GET with the same object, and all else with nothing.
func serveObject(c conn) {
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	body := make([]byte, 32+2+1<<10)
	header := make([]byte, wire.RequestHeaderSize)
	for {
		if _, err := io.ReadFull(in, header); err != nil {
			return
		}
		q, _ := wire.DecodeHeader(header)
		_, _ = in.Discard(q.BodyLen())
		h := wire.ReplyHeader{Kind: wire.KindEnd, Flags: wire.ReplyLast, Number: q.Number}
		if q.Op == model.OpGet {
			h.Kind, h.BodyLen = wire.KindObject, len(body)
		}
		_, _ = out.Write(wire.AppendReplyHeader(nil, &h))
		if q.Op == model.OpGet {
			_, _ = out.Write(body)
		}
		if in.Buffered() < wire.RequestHeaderSize && out.Flush() != nil {
			return
		}
	}
}
