package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"motte/sdk"
	"motte/sdk/sdktest"
)

// The size of the comparison with hnswlib.
const (
	peerVectors    = 100_000
	peerDimensions = 128
	peerQueries    = 500
	peerNearest    = 10
)

// BenchmarkBesideHnswlib measures searches at a recall of 0.95 (random vectors: 0.9), beside those of
// hnswlib. Each runs in one thread, with the same parameters. The figures are processor time.
func BenchmarkBesideHnswlib(b *testing.B) {
	for _, c := range []struct {
		name     string
		clusters int
		recall   float64
	}{{"clustered", 1000, 0.95}, {"random", 0, 0.9}} {
		b.Run(c.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			vectors := randomVectors(r, peerVectors+peerQueries, peerDimensions, c.clusters)
			for b.Loop() {
				s := newSample(vectors)
				b.ReportMetric(s.built.Seconds(), "build-s")
				b.ReportMetric(s.recallAt(0), "recall-by-default")
				b.ReportMetric(s.timeOf(0), "us-by-default")
				own := s.timeAt(b, c.recall)
				b.ReportMetric(own, "us/query")
				if built, peer, ok := s.peer(b, c.recall); ok {
					b.ReportMetric(built, "hnswlib-build-s")
					b.ReportMetric(peer, "hnswlib-us/query")
					b.ReportMetric(peer/own, "rate-beside-hnswlib")
				}
			}
		})
	}
}

// sample is an index, and queries with their true answers.
type sample struct {
	index   *index
	built   time.Duration
	vectors [][]float32
	queries [][]float32
	truth   [][]slot
}

// newSample makes an index of vectors. The last peerQueries of them are queries.
func newSample(vectors [][]float32) *sample {
	s := &sample{index: &index{}, vectors: vectors[:len(vectors)-peerQueries], queries: vectors[len(vectors)-peerQueries:]}
	if err := s.index.Configure(sdk.Config{Options: fmt.Appendf(nil, `{"dimensions":%d,"metric":"l2"}`, len(vectors[0]))}); err != nil {
		panic(err)
	}
	begin := processorTime()
	for n, v := range s.vectors {
		s.index.Apply([]sdk.Change{{Identity: sdktest.ID(n), Owner: 1, Input: float32Bytes(v)}})
	}
	s.built = processorTime() - begin
	for _, v := range s.queries {
		var nearest []slot
		for h := range s.index.exact(&query{point: &point{metric: l2, floats: v}, bound: math.Inf(1)}, s.index.held(), nil) {
			if nearest = append(nearest, h.n); len(nearest) == peerNearest {
				break
			}
		}
		s.truth = append(s.truth, nearest)
	}
	return s
}

// ask returns the nearest vectors of a query. An ef of 0 is the default.
func (s *sample) ask(q []float32, ef int) (found []slot) {
	p := query{point: &point{metric: l2, floats: q}, bound: math.Inf(1), ef: ef}
	for h := range s.index.widening(&p, nil) {
		if found = append(found, h.n); len(found) == peerNearest {
			break
		}
	}
	return found
}

// recallAt returns the share of the nearest vectors that is found.
func (s *sample) recallAt(ef int) float64 {
	hits := 0
	for i, q := range s.queries {
		for _, n := range s.ask(q, ef) {
			for _, t := range s.truth[i] {
				if n == t {
					hits++
				}
			}
		}
	}
	return float64(hits) / float64(len(s.queries)*peerNearest)
}

// timeOf returns the microseconds that a query takes, the best of three rounds.
func (s *sample) timeOf(ef int) float64 {
	best := math.Inf(1)
	for range 3 {
		begin := processorTime()
		for _, q := range s.queries {
			s.ask(q, ef)
		}
		best = min(best, float64((processorTime()-begin).Microseconds())/float64(len(s.queries)))
	}
	return best
}

// timeAt returns the microseconds that a query takes with the smallest ef that has the recall.
func (s *sample) timeAt(b *testing.B, recall float64) float64 {
	for _, ef := range []int{10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536} {
		if got := s.recallAt(ef); got >= recall {
			b.Logf("ef %d: recall %.4f", ef, got)
			return s.timeOf(ef)
		}
	}
	b.Fatalf("no search has a recall of %v", recall)
	return 0
}

// peer returns the same of hnswlib: seconds for the construction, and microseconds for a query.
func (s *sample) peer(b *testing.B, recall float64) (built, micros float64, ok bool) {
	dir := b.TempDir()
	program := filepath.Join(dir, "hnswlib")
	if out, err := exec.Command("g++", "-O3", "-march=native", "testdata/hnswlib.cc", "-o", program).CombinedOutput(); err != nil {
		b.Logf("hnswlib can't be built: %v\n%s", err, out)
		return 0, 0, false
	}
	var truth bytes.Buffer
	for _, nearest := range s.truth {
		for _, n := range nearest {
			truth.Write(binary.LittleEndian.AppendUint32(nil, uint32(n)))
		}
	}
	files := map[string][]byte{"base": joined(s.vectors), "queries": joined(s.queries), "truth": truth.Bytes()}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	out, err := exec.Command(program, fmt.Sprint(len(s.vectors[0])), fmt.Sprint(s.index.m), fmt.Sprint(s.index.efConstruction),
		filepath.Join(dir, "base"), filepath.Join(dir, "queries"), filepath.Join(dir, "truth")).Output()
	if err != nil {
		b.Fatal(err)
	}
	in := bytes.NewReader(out)
	if _, err := fmt.Fscanln(in, &built); err != nil {
		b.Fatal(err)
	}
	for {
		var ef int
		var got float64
		if _, err := fmt.Fscanln(in, &ef, &got, &micros); err != nil {
			b.Fatalf("hnswlib has no recall of %v", recall)
		}
		if got >= recall {
			b.Logf("hnswlib, ef %d: recall %.4f", ef, got)
			return built, micros, true
		}
	}
}

func joined(vectors [][]float32) (p []byte) {
	for _, v := range vectors {
		p = append(p, float32Bytes(v)...)
	}
	return p
}

// processorTime returns the processor time of this process. On a busy machine it is steadier than a
// clock.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
