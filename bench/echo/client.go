package echo

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"motte/bench/timing"
)

// Alternate repeatedly sends an object on each connection and waits for its echo: one object in
// flight on each connection.
func Alternate(ctx context.Context, d time.Duration, conns []net.Conn) (timing.Sample, error) {
	buffers := make([][]byte, len(conns))
	for i := range buffers {
		buffers[i] = timing.Object(i)
	}
	return timing.Run(ctx, d, len(conns), func(_ context.Context, worker, _ int) error {
		if _, err := conns[worker].Write(buffers[worker]); err != nil {
			return err
		}
		_, err := io.ReadFull(conns[worker], buffers[worker])
		return err
	})
}

// Pipeline keeps n objects in flight on one connection. One write sends as many objects as the
// window allows.
func Pipeline(ctx context.Context, d time.Duration, c net.Conn, n int) (timing.Sample, error) {
	p := &pipe{conn: c, room: make(chan struct{}, n), writes: make(chan write, n), stop: make(chan struct{})}
	for range n {
		p.room <- struct{}{}
	}
	var writer sync.WaitGroup
	var sent int64
	var failed error
	writer.Go(func() { sent, failed = p.send(n) })
	began := time.Now()
	latencies, received, err := p.receive(ctx, began.Add(d))
	took := time.Since(began)
	close(p.stop)
	writer.Wait()
	if err == nil && failed == nil { // leave no echo for the next run
		_, err = io.CopyN(io.Discard, c, sent-received)
	}
	return timing.NewSample(took, latencies), errors.Join(err, failed)
}

// pipe is a connection with objects in flight.
type pipe struct {
	conn   net.Conn
	room   chan struct{} // one element for each object that may be sent
	writes chan write    // writes with objects in flight, the oldest first
	stop   chan struct{}
}

// write is a number of objects that were sent with one call.
type write struct {
	at      time.Time
	objects int
}

// send writes until it is stopped, and returns the bytes that it sent.
func (p *pipe) send(n int) (sent int64, err error) {
	messages := bytes.Repeat(timing.Object(0), n)
	for {
		w := write{objects: 1}
		select {
		case <-p.room:
		case <-p.stop:
			return sent, nil
		}
		for ; w.objects < n && len(p.room) > 0; w.objects++ {
			<-p.room
		}
		w.at = time.Now()
		p.writes <- w
		k, err := p.conn.Write(messages[:w.objects*timing.ObjectSize])
		sent += int64(k)
		if err != nil {
			return sent, err
		}
	}
}

// receive takes echoes until the end, and returns the received bytes. Each complete object frees
// its place in the window.
func (p *pipe) receive(ctx context.Context, end time.Time) (latencies []time.Duration, received int64, err error) {
	buffer := make([]byte, 64<<10)
	var w write
	for now := (time.Time{}); now.Before(end) && ctx.Err() == nil; {
		n, err := p.conn.Read(buffer)
		if err != nil {
			return latencies, received, err
		}
		now = time.Now()
		whole := (received+int64(n))/timing.ObjectSize - received/timing.ObjectSize
		for range whole {
			if w.objects == 0 {
				w = <-p.writes
			}
			w.objects--
			latencies = append(latencies, now.Sub(w.at))
			p.room <- struct{}{}
		}
		received += int64(n)
	}
	return latencies, received, ctx.Err()
}
