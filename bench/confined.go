package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"syscall"
	"time"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/host"
	"motte/host/sandbox"
)

// confined is a Task of exact matches in its confinement. This program is in the place of the Core.
type confined struct {
	task *sandbox.Process
	in   *bufio.Reader
	buf  []byte
	out  []byte
	seq  uint64
}

const (
	exactEntries = 200_000
	exactMemory  = 1 << 30 // bytes
	exactFlight  = 16      // queries in flight
	exactWrite   = 64 << 10
)

// exactKey is the input of the n-th entry. Ten entries have the same.
func exactKey(n int) []byte { return fmt.Appendf(nil, "key-%08d", n/wanted) }

// randomIdentities returns n identities.
func randomIdentities(n int) []identity.ID {
	list := make([]identity.ID, n)
	for i := range list {
		_, _ = rand.Read(list[i][:]) // never fails: see crypto/rand
	}
	return list
}

// startConfined starts a Task, and inserts the entries. It returns the processor time that the Task
// took for them.
func startConfined(path string) (c *confined, took time.Duration, err error) {
	measurement, err := host.Measure(path)
	if err != nil {
		return nil, 0, err
	}
	task, err := sandbox.Start(sandbox.Config{Executable: path, Measurement: measurement, Memory: exactMemory})
	if err != nil {
		return nil, 0, err
	}
	c = &confined{task: task, in: bufio.NewReaderSize(task.Channel(), exactWrite), buf: make([]byte, taskwire.MaxAnswerFrame)}
	c.seq++
	c.out = taskwire.AppendConfigure(c.out, c.seq, &taskwire.Configuration{MaxResults: 1000})
	if err = c.acknowledged(); err == nil {
		var before, after time.Duration
		before, _ = task.ProcessorTime()
		if err = c.insert(); err == nil {
			after, err = task.ProcessorTime()
		}
		took = after - before
	}
	if err != nil {
		c.stop()
	}
	return c, took, err
}

func (c *confined) stop() {
	c.task.Kill()
	c.task.Wait()
	c.task.Channel().Close()
}

// insert sends all entries.
func (c *confined) insert() error {
	for i, id := range randomIdentities(exactEntries) {
		key := exactKey(i)
		c.seq++
		c.out = append(taskwire.AppendInsertHead(c.out, c.seq, uint64(i+1), id, 1, len(key)), key...)
		if len(c.out) >= exactWrite {
			if err := c.write(); err != nil {
				return err
			}
		}
	}
	return c.acknowledged()
}

func (c *confined) write() error {
	_, err := c.task.Channel().Write(c.out)
	c.out = c.out[:0]
	return err
}

// acknowledged writes all frames, and waits until the Task has done them.
func (c *confined) acknowledged() error {
	err := c.write()
	for err == nil {
		var a taskwire.Answer
		a, err = taskwire.ReadAnswer(c.in, c.buf)
		switch {
		case err != nil:
		case a.Type != taskwire.Applied:
			err = fmt.Errorf("the Task answers a change with a frame of type %d", a.Type)
		case a.Seq == c.seq:
			return nil
		}
	}
	return fmt.Errorf("the Task on the channel: %w", err)
}

// ask keeps queries in flight for some time. It returns their number.
func (c *confined) ask(ctx context.Context, d time.Duration) (answered int, err error) {
	asked := 0
	for began := time.Now(); time.Since(began) < d && ctx.Err() == nil || answered < asked; {
		for ; asked < answered+exactFlight && time.Since(began) < d; asked++ {
			c.seq++
			c.out = taskwire.AppendSearch(c.out, c.seq, &taskwire.Query{Limit: wanted, Predicate: exactKey(asked * 7 * wanted % exactEntries)})
		}
		if err := c.write(); err != nil {
			return 0, err
		}
		for more := true; more; more = answered < asked && c.in.Buffered() >= taskwire.HeaderSize {
			a, err := taskwire.ReadAnswer(c.in, c.buf)
			if err != nil {
				return 0, err
			}
			if a.Type != taskwire.Found || len(a.Found) != wanted {
				return 0, fmt.Errorf("the Task names %d objects in a frame of type %d; want %d", len(a.Found), a.Type, wanted)
			}
			answered++
		}
	}
	return answered, ctx.Err()
}

// micros returns microseconds for each of n operations.
func micros(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / 1000 / float64(n) }

// ownTime returns the processor time of this process.
func ownTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(os.NewSyscallError("getrusage", err)) // it has no cause to fail
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
