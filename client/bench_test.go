package client

import (
	"bufio"
	"crypto/ed25519"
	"crypto/tls"
	"io"
	"sync/atomic"
	"syscall"
	"testing"

	"motte/client/frames"
	"motte/core/model"
	"motte/core/wire"
)

// BenchmarkGet repeatedly gets an object of 1 KiB from a stand-in for the Core that does almost
// no work. So it measures the client, and TLS at both ends.
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

// BenchmarkFloor moves the bytes of BenchmarkGet by hand, 64 GETs in one write. The difference
// between the two benchmarks is the cost of the client alone.
func BenchmarkFloor(b *testing.B) {
	const many = 64
	p := fake(b, serveObject)
	config, err := tlsConfig(p, func(ed25519.PublicKey) bool { return true })
	if err != nil {
		b.Fatal(err)
	}
	c, err := tls.Dial("tcp", p.Address, config)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var requests []byte
	for range many {
		requests = frames.AppendRequest(requests, &wire.Request{Op: model.OpGet, Number: 1, Collection: "c", Name: []byte("a name")})
	}
	replies := make([]byte, many*(wire.ReplyHeaderSize+objectBody))
	b.ReportAllocs()
	before := processorTime(b)
	b.ResetTimer()
	for range (b.N + many - 1) / many {
		if _, err := c.Write(requests); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, replies); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// objectBody is the size in bytes of the body of a frame with an object of 1 KiB.
const objectBody = 32 + 2 + 1<<10

// processorTime returns the processor time of this process in nanoseconds.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// serveObject answers every GET with the same object, and every other request with an empty
// reply.
func serveObject(c conn) {
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	body := make([]byte, objectBody)
	header, reply := make([]byte, wire.RequestHeaderSize), make([]byte, 0, wire.ReplyHeaderSize)
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
		_, _ = out.Write(wire.AppendReplyHeader(reply, &h))
		if q.Op == model.OpGet {
			_, _ = out.Write(body)
		}
		if in.Buffered() < wire.RequestHeaderSize && out.Flush() != nil {
			return
		}
	}
}
