package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"motte/core/model"
	"motte/sdk"
	"motte/sdk/sdktest"
)

// corpus makes texts of 60 words. The words are as unevenly frequent as those of a language: the tenth word
// is in most texts, and each text has a word of its own.
type corpus struct {
	random *rand.Rand
	zipf   *rand.Zipf
	bytes  int
}

func newCorpus() *corpus {
	r := rand.New(rand.NewPCG(1, 2))
	return &corpus{random: r, zipf: rand.NewZipf(r, 1.1, 10, 100_000)}
}

func (c *corpus) change(n int) sdk.Change {
	text := fmt.Appendf(nil, "id%d", n)
	for range 59 {
		text = fmt.Appendf(text, " w%dx", c.zipf.Uint64()*7919%100_003)
	}
	c.bytes += len(text)
	return sdk.Change{Identity: sdktest.ID(n), Owner: 1 + sdk.Owner(n%1000), Input: text}
}

// filled returns an index of so many texts.
func filled(b *testing.B, count int, ordered bool) (*index, *corpus) {
	b.Helper()
	x := &index{}
	if err := x.Configure(sdk.Config{Type: model.TypeText, Ordered: ordered}); err != nil {
		b.Fatal(err)
	}
	c := newCorpus()
	for n := range count {
		x.Apply([]sdk.Change{c.change(n)})
	}
	return x, c
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkInsert measures insertions, one and 16 at a time, into an index of 100,000 texts, and replacements.
func BenchmarkInsert(b *testing.B) {
	const count = 100_000
	for _, size := range []int{1, 16} {
		for _, replace := range []bool{false, true} {
			b.Run(fmt.Sprintf("batch=%d/replace=%v", size, replace), func(b *testing.B) {
				x, c := filled(b, count, true)
				n := count
				if replace {
					n = 0
				}
				worst := time.Duration(0)
				began := processorTime(b)
				for b.Loop() {
					var batch []sdk.Change
					for range size {
						batch = append(batch, c.change(n))
						n++
					}
					start := time.Now()
					x.Apply(batch)
					worst = max(worst, time.Since(start))
				}
				b.ReportMetric(float64((processorTime(b)-began).Microseconds())/float64(b.N*size), "cpu-µs/text")
				b.ReportMetric(float64(worst.Microseconds()), "µs-worst")
			})
		}
	}
}

// BenchmarkSearch measures pages of ten among 100,000 texts of 60 words.
func BenchmarkSearch(b *testing.B) {
	const count = 100_000
	for _, ordered := range []bool{false, true} {
		x, _ := filled(b, count, ordered)
		var within []sdk.Identity
		for n := range 1000 {
			within = append(within, sdktest.ID(n*100))
		}
		for _, q := range []struct {
			name      string
			predicate string
			query     sdk.Query
		}{
			{"rare", "id77", sdk.Query{}},
			{"ten", "id777*", sdk.Query{}},
			{"common", "w0x w7919x", sdk.Query{}},
			{"both common", "+w0x +w7919x", sdk.Query{}},
			{"phrase", `"w0x w7919x"`, sdk.Query{}},
			{"owner of 100", "w0x w7919x", sdk.Query{Owner: 5}},
			{"within 1000", "w0x w7919x", sdk.Query{Within: within}},
			{"prefix of many", "id*", sdk.Query{}},
			{"typo", "id777~", sdk.Query{}},
			{"two typos", "id7777~2", sdk.Query{}},
			{"later page", "w0x w7919x", sdk.Query{After: []sdk.Identity{sdktest.ID(77)}}},
		} {
			b.Run(fmt.Sprintf("ordered=%v/%s", ordered, q.name), func(b *testing.B) {
				q.query.Predicate, q.query.Limit = []byte(q.predicate), 10
				began := processorTime(b)
				for b.Loop() {
					if _, _, err := sdktest.Page(x, q.query); err != nil && err != sdk.ErrGone {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64((processorTime(b)-began).Microseconds())/float64(b.N), "cpu-µs/op")
			})
		}
	}
}

// BenchmarkRestore measures a start with a shelf, for each text: of 200,000 texts, which take as long each as those of a
// million, except for what the caches hold. It also prints the bytes on the shelf and in memory, for each byte of text.
func BenchmarkRestore(b *testing.B) {
	const count = 200_000
	x, c := filled(b, count, true)
	entries, size := make([]sdk.Entry, 0, count), 0
	for n := range count {
		e, _ := x.Entry(sdktest.ID(n).Value())
		e.Data = bytes.Clone(e.Data)
		entries, size = append(entries, e), size+len(e.Data)
	}
	x = nil
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := processorTime(b)
	var next *index
	for b.Loop() {
		next = &index{}
		if err := next.Configure(sdk.Config{Type: model.TypeText, Ordered: true}); err != nil {
			b.Fatal(err)
		}
		for _, e := range entries {
			next.Restore(e)
		}
		next.Restored()
	}
	restored := (processorTime(b) - began) / time.Duration(b.N)
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(restored.Microseconds())/count, "cpu-µs/text")
	b.ReportMetric(float64(size)/float64(c.bytes), "shelf-B/text-B")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(c.bytes), "heap-B/text-B")
	b.ReportMetric(float64(c.bytes)/count, "B/text")
	runtime.KeepAlive(next)
	runtime.KeepAlive(entries)
}
