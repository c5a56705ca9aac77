package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"motte/client"
	"motte/core/mapping"
	"motte/core/seglog"
	"motte/core/wire"
	"motte/internal/procfs"
)

// residency is the resident memory of the Core for each object, in bytes, without the memory of
// an empty Core.
type residency struct{ loaded, idle float64 }

// memory returns one of the figures of residency, with factor times -objects objects. They are
// measured only once.
func memory(factor int, pick func(residency) float64) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(ctx context.Context, f *fixture) (motte, beside measure, err error) {
		if _, measured := f.residency[factor]; !measured {
			r, err := f.measureResidency(ctx, factor*f.objects)
			if err != nil {
				return nil, nil, err
			}
			f.residency[factor] = r
		}
		return func(context.Context) (float64, error) { return pick(f.residency[factor]), nil }, nil, nil
	}
}

// measureResidency loads n small objects into a new server, and then waits while the server is
// idle. Two minutes after its last garbage collection, Go's runtime collects again, and returns
// memory to the system after that.
func (f *fixture) measureResidency(ctx context.Context, n int) (r residency, err error) {
	s, err := startServer(ctx, f.dir, f.bin)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	core, err := corePID()
	if err != nil {
		return r, err
	}
	if err := s.collection(ctx, "c", ""); err != nil {
		return r, err
	}
	empty, err := resident(core)
	if err != nil {
		return r, err
	}
	each := func() (float64, error) {
		now, err := resident(core)
		return (now - empty) / float64(n), err
	}
	if err := s.loadSmall(ctx, n); err != nil {
		return r, err
	}
	if r.loaded, err = each(); err != nil {
		return r, err
	}
	bar := progress("  the Core idles", int(f.idle/time.Second))
	defer bar.Finish()
	for range f.idle / time.Second {
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return r, ctx.Err()
		}
		_ = bar.Add(1)
	}
	r.idle, err = each()
	return r, err
}

// loadSmall stores n objects of 8 bytes.
func (s *server) loadSmall(ctx context.Context, n int) error {
	bar := progress("  loading", n)
	defer bar.Finish()
	for i := 0; i < n; {
		var b client.Batch
		for ; i < n && b.Len() < wire.MaxBatch; i++ {
			b.Put(binary.BigEndian.AppendUint64(nil, uint64(i)))
		}
		if _, err := s.admin.PutBatch(ctx, "c", &b); err != nil {
			return err
		}
		_ = bar.Add(b.Len())
	}
	return nil
}

// corePID returns the number of the Core's process, a child of this process.
func corePID() (int, error) {
	pid := 0
	for _, p := range procfs.Children(os.Getpid()) {
		if p.Name == coreName {
			pid = max(pid, p.PID) // the newest, since the server of another line may also run
		}
	}
	if pid == 0 {
		return 0, errors.New("/proc does not list the Core's process")
	}
	return pid, nil
}

// resident returns the resident memory of a process, in bytes.
func resident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kB * 1024, err
		}
	}
	return 0, errors.New("/proc does not show the resident memory")
}

// mappingName is the name under which this program only fills a mapping.
const mappingName = "motte-bench-mapping"

// alone is the result of a process that only fills core/mapping: bytes of live heap for each
// object, and the longest pause of a garbage collection in microseconds.
type alone struct{ bytes, pause float64 }

// mappingAlone measures the memory that the mapping needs for each of factor times -objects
// objects. It returns one of the figures.
func mappingAlone(factor int, pick func(alone) float64) func(context.Context, *fixture) (motte, beside measure, err error) {
	return func(_ context.Context, f *fixture) (motte, beside measure, err error) {
		motte = func(ctx context.Context) (float64, error) {
			cmd := exec.CommandContext(ctx, "/proc/self/exe")
			cmd.Args = []string{mappingName, strconv.Itoa(factor * f.objects)}
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil {
				return 0, fmt.Errorf("fill a mapping: %w", err)
			}
			var m alone
			if _, err := fmt.Sscan(string(out), &m.bytes, &m.pause); err != nil {
				return 0, fmt.Errorf("fill a mapping: the process prints %q: %w", out, err)
			}
			return pick(m), nil
		}
		return motte, nil, nil
	}
}

// fillMapping runs in the process that mappingAlone starts.
func fillMapping(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	before := live()
	m := mapping.New(1)
	for i := range n {
		e := mapping.Entry{Loc: seglog.Location{Segment: 1, Offset: uint32(i%1000) * 8, Length: 120}, Collection: 1, Owner: 1}
		if _, err := rand.Read(e.ID[:]); err != nil {
			return err
		}
		m.Put(e)
	}
	bytes := float64(live()-before) / float64(n)
	for range 20 {
		runtime.GC()
	}
	var s debug.GCStats
	debug.ReadGCStats(&s)
	fmt.Println(bytes, float64(slices.Max(s.Pause[:20]))/float64(time.Microsecond))
	runtime.KeepAlive(m)
	return nil
}

func live() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
