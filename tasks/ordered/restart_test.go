package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// objects is the number of objects of BenchmarkRestart.
var objects = flag.Int("objects", 100_000, "objects of BenchmarkRestart")

// line is the Core's end of the channel of an index, without checks.
type line struct {
	b    *testing.B
	out  *bufio.Writer
	in   *bufio.Reader
	buf  []byte
	seq  uint64
	done uint64 // the last frame that is confirmed or answered
	end  func()
}

const quota = 4 << 30

func connect(b *testing.B, x sdk.Index) *line {
	ours, theirs := sdktest.Pair(b)
	done := make(chan error, 1)
	file := blocking(b, theirs)
	go func() { done <- sdk.ServeChannel(file, x) }()
	l := &line{b: b, out: bufio.NewWriterSize(ours, 256<<10), in: bufio.NewReaderSize(ours, 256<<10), buf: make([]byte, taskwire.MaxAnswerFrame)}
	l.end = func() {
		ours.Close()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		file.Close()
	}
	l.send(func(p []byte) []byte {
		return taskwire.AppendConfigure(p, l.seq, &taskwire.Configuration{Type: model.TypeInt64, Ordered: true, MaxResults: 1000,
			Shelf: quota, Config: []byte(`{"path":"/age"}`)})
	})
	l.applied()
	return l
}

// blocking returns the descriptor of a connection as a Task has it.
func blocking(b *testing.B, c net.Conn) *os.File {
	f, err := c.(*net.UnixConn).File()
	if err == nil {
		err = c.Close()
	}
	if err == nil {
		err = syscall.SetNonblock(int(f.Fd()), false)
	}
	if err != nil {
		b.Fatal(err)
	}
	return f
}

func (l *line) send(frame func(p []byte) []byte) {
	l.seq++
	if _, err := l.out.Write(frame(l.out.AvailableBuffer())); err != nil {
		l.b.Fatal(err)
	}
}

func (l *line) flush() {
	if err := l.out.Flush(); err != nil {
		l.b.Fatal(err)
	}
}

func (l *line) read() taskwire.Answer {
	a, err := taskwire.ReadAnswer(l.in, l.buf)
	if err != nil {
		l.b.Fatal(err)
	}
	return a
}

// applied waits until all frames are done.
func (l *line) applied() {
	l.flush()
	for l.done < l.seq {
		l.done = l.read().Seq
	}
}

// answer waits for the answer to the last frame.
func (l *line) answer() taskwire.Answer {
	l.flush()
	for {
		if a := l.read(); a.Type != taskwire.Applied {
			l.done = l.seq
			return a
		}
	}
}

// randomID returns an identity with a random value that n determines.
func randomID(n, version int) (id sdk.Identity) {
	binary.BigEndian.PutUint64(id[:], mixed(uint64(n)))
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	binary.BigEndian.PutUint64(id[identity.ValueSize:], mixed(uint64(n)<<8|uint64(version)))
	return id
}

// mixed spreads numbers over all 64 bits.
func mixed(n uint64) uint64 {
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

func input(n, version int) []byte {
	return fmt.Appendf(nil, `{"name":"somebody","age":%d}`, (n*7919+version)%*objects)
}

func (l *line) insert(n, version int) (bytes int) {
	p := input(n, version)
	l.send(func(w []byte) []byte {
		return sdktest.AppendInsert(w, l.seq, l.seq, randomID(n, version), sdk.Owner(1+n%10), p)
	})
	return len(p)
}

// save makes a saving, and returns the bytes that it takes on the disk.
func (l *line) save(blobs map[uint64][]byte) (written int) {
	fresh := make(map[uint64][]byte)
	for {
		l.send(func(p []byte) []byte { return taskwire.AppendSave(p, l.seq, taskwire.MaxBlob, false) })
		a := l.answer()
		if a.Type == taskwire.Set {
			for number, blob := range fresh {
				blobs[number] = blob
			}
			for _, number := range a.Dropped {
				delete(blobs, number)
			}
			return written
		}
		fresh[a.Number] = a.Blob
		size := 4 << 10
		for size < len(a.Blob)+16 {
			size *= 2
		}
		written += size
	}
}

// BenchmarkRestart fills an index, overwrites entries until its shelf is as large as it gets, and
// then starts it again from the shelf. It prints the least time from the first blob to the answer
// of the first search.
//
//	go test ./tasks/ordered -run XXX -bench Restart -benchtime 1x -objects 10000000
func BenchmarkRestart(b *testing.B) {
	blobs := make(map[uint64][]byte)
	versions := make([]uint8, *objects)
	ratio := fillShelf(b, blobs, versions)
	ids := make([]sdk.Identity, *objects)
	for n := range ids {
		ids[n] = randomID(n, int(versions[n]))
	}
	slices.SortFunc(ids, sdk.Identity.Compare)
	var runs []taskwire.Run
	for chunk := range slices.Chunk(ids, 1024) {
		var r taskwire.Run
		for i := range chunk {
			r.Sum.Add(&chunk[i])
		}
		r.Count, r.Last = uint32(len(chunk)), chunk[len(chunk)-1].Value()
		runs = append(runs, r)
	}
	numbers := make([]uint64, 0, len(blobs))
	size := 0
	for n, blob := range blobs {
		numbers = append(numbers, n)
		size += len(blob)
	}
	slices.Sort(numbers)
	var best [4]time.Duration
	var heap float64
	for b.Loop() {
		heap = restart(b, blobs, numbers, runs, &best)
	}
	for i, unit := range []string{"s-stored", "s-compared", "s-search", "cpu-s"} {
		b.ReportMetric(best[i].Seconds(), unit)
	}
	b.ReportMetric(heap, "heap-B/object")
	b.ReportMetric(float64(size)/float64(*objects), "shelf-B/object")
	b.ReportMetric(ratio, "written-B/input-B")
}

// restart starts an index from its shelf. It lowers best to the times since the first blob until all
// blobs are loaded, all runs are compared, and a search is answered; and to the processor time.
func restart(b *testing.B, blobs map[uint64][]byte, numbers []uint64, runs []taskwire.Run, best *[4]time.Duration) (heap float64) {
	x := &index{}
	l := connect(b, x)
	before, cpu := time.Now(), processorTime(b)
	acknowledged := make(chan struct{})
	last := l.seq + uint64(len(numbers))
	go func() {
		defer close(acknowledged)
		for l.read().Seq < last {
		}
	}()
	for _, n := range numbers {
		l.send(func(p []byte) []byte {
			return append(taskwire.AppendStoredHead(p, l.seq, n, len(blobs[n])), blobs[n]...)
		})
	}
	l.flush()
	<-acknowledged
	stored := time.Since(before)
	for some := range slices.Chunk(runs, 64) {
		l.send(func(p []byte) []byte { return taskwire.AppendRuns(p, l.seq, some) })
		if a := l.answer(); a.Type != taskwire.Differ || len(bytes.Trim(a.Bits, "\x00")) > 0 {
			b.Fatalf("%+v: the index lacks entries", a)
		}
	}
	compared := time.Since(before)
	l.send(func(p []byte) []byte {
		return taskwire.AppendSearch(p, l.seq, &taskwire.Query{Limit: 10, Predicate: []byte(">= 5000")})
	})
	if a := l.answer(); a.Type != taskwire.Found || len(a.Found) != 10 {
		b.Fatalf("%+v: want 10 objects", a)
	}
	for i, d := range []time.Duration{stored, compared, time.Since(before), processorTime(b) - cpu} {
		if best[i] == 0 || d < best[i] {
			best[i] = d
		}
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	heap = float64(m.HeapAlloc) / float64(*objects)
	runtime.KeepAlive(x)
	l.end()
	return heap
}

// fillShelf makes the shelf of an index whose entries have changed many times, and their versions.
func fillShelf(b *testing.B, blobs map[uint64][]byte, versions []uint8) (ratio float64) {
	l := connect(b, &index{})
	for n, saved := 0, 0; n < *objects; n++ {
		l.insert(n, 0)
		if n%1000 == 999 {
			l.applied()
		}
		if n-saved > max(50_000, n/128) { // as the Core saves while an index is filled
			l.applied()
			l.save(blobs)
			saved = n
		}
	}
	l.applied()
	l.save(blobs)
	r := rand.New(rand.NewPCG(1, 2))
	written, changed := 0, 0
	for range 60 { // savings at a change of 1 %
		for range *objects / 100 {
			n := r.IntN(*objects)
			versions[n]++
			changed += l.insert(n, int(versions[n]))
			if l.seq%1000 == 0 {
				l.applied()
			}
		}
		l.applied()
		written += l.save(blobs)
	}
	l.end()
	return float64(written) / float64(changed)
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
