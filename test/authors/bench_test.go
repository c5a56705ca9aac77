package authors

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"motte/core/identity"
	"motte/core/taskwire"
	"motte/host/sandbox"
	"motte/internal/testutil"
	"motte/sdk/sdktest"
	"motte/sdk/skeleton"
	"motte/sdk/wasm/build"
)

// The load of the benchmark.
const (
	benchObjects  = 200_000
	benchSearches = 200_000
	benchWindow   = 8 // Searches that are open, as the Core allows
)

// BenchmarkExactTasks measures one index in several languages, in the confinement and over the
// channel: the processor time of the Task for one insert and for one search by key. The time of
// the benchmark itself depends on how busy the machine is.
//
//	go test ./test/authors -run '^$' -bench ExactTasks -benchtime 1x
func BenchmarkExactTasks(b *testing.B) {
	for _, task := range []struct {
		name  string
		build func(t testing.TB, dir string)
	}{{"go", goExact}, {"c", cExact}, {"rust", rustExact}, {"wasm-c", wasmInC}, {"wasm-go", wasmInGoFast}} {
		b.Run(task.name, func(b *testing.B) {
			dir := b.TempDir()
			task.build(b, dir)
			path := filepath.Join(dir, "motte-task-exact")
			image, err := os.ReadFile(path)
			testutil.Must(b, err)
			for b.Loop() {
				measure(b, sandbox.Config{Executable: path, Measurement: sha256.Sum256(image), Memory: 1 << 30})
			}
		})
	}
}

// goExact builds the index of a new Task in Go.
func goExact(t testing.TB, dir string) {
	source := filepath.Join(t.TempDir(), "exact")
	testutil.Must(t, skeleton.Write(source, "exact", "go"))
	runIn(t, source, []string{"CGO_ENABLED=0"}, "go", "build", "-o", filepath.Join(dir, "motte-task-exact"), ".")
}

// wasmInGoFast builds the example in Go with optimisation, which takes a C compiler a minute.
func wasmInGoFast(t testing.TB, dir string) {
	testutil.Must(t, build.Task(t.Context(), build.Options{Module: goModule(t), Out: filepath.Join(dir, "motte-task-exact"), Optimize: 2}))
}

// measure feeds a process and asks it, and reports its processor time.
func measure(b *testing.B, config sandbox.Config) {
	p, err := sandbox.Start(config)
	testutil.Must(b, err)
	defer func() {
		p.Kill()
		p.Wait()
	}()
	key := func(n int) []byte { return fmt.Appendf(nil, "the key of object %d", n%benchObjects) }
	frames := taskwire.AppendConfigure(nil, 1, &taskwire.Configuration{MaxResults: 10})
	for n := range benchObjects {
		frames = sdktest.AppendInsert(frames, uint64(n)+2, 1, sdktest.ID(n), 1, key(n))
	}
	answers := bufio.NewReader(p.Channel())
	go p.Channel().Write(frames) // an error ends the reading below
	for applied := uint64(0); applied < benchObjects+1; {
		head, _ := answer(b, answers)
		applied = head.Seq
	}
	fed, err := p.ProcessorTime()
	testutil.Must(b, err)
	for n := range benchSearches + benchWindow {
		if n < benchSearches {
			q := taskwire.Query{Limit: 10, Predicate: key(n * 7919)}
			_, err := p.Channel().Write(taskwire.AppendSearch(nil, uint64(benchObjects+2+n), &q))
			testutil.Must(b, err)
		}
		if n >= benchWindow {
			if head, found := answer(b, answers); head.Type != taskwire.Found || found != 1 {
				b.Fatalf("an answer of type %d names %d objects, want 1", head.Type, found)
			}
		}
	}
	all, err := p.ProcessorTime()
	testutil.Must(b, err)
	b.ReportMetric(float64(fed.Nanoseconds())/benchObjects, "cpu-ns/insert")
	b.ReportMetric(float64((all-fed).Nanoseconds())/benchSearches, "cpu-ns/search")
}

// answer reads a frame, and returns the number of identities in it.
func answer(b *testing.B, r io.Reader) (h taskwire.Header, found int) {
	head := make([]byte, taskwire.HeaderSize)
	_, err := io.ReadFull(r, head)
	testutil.Must(b, err)
	h = taskwire.Header{Type: taskwire.Type(head[3]), Len: int(binary.BigEndian.Uint32(head[4:])), Seq: binary.BigEndian.Uint64(head[8:])}
	_, err = io.CopyN(io.Discard, r, int64(h.Len))
	testutil.Must(b, err)
	return h, h.Len / len(identity.ID{})
}
