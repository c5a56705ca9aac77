package server

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
	"motte/internal/testutil"
)

// simDisturbances are changes of the environment while the Core runs: of a file, or of the Core
// itself.
var simDisturbances = []struct {
	name string
	do   func(s *sim, file string)
}{
	{"is left alone while the Core hangs", func(*sim, string) { time.Sleep(10 * time.Minute) }},
	{"is left alone while a second Core serves", func(s *sim, _ string) {
		// As if the lock had failed: another Core opens the store, and makes the next segment.
		second, _, err := s.open(s.disk, s.rng, 1<<30, model.Head{})
		if err != nil {
			s.fail("a second Core: %v", err)
		}
		rec := seglog.Record{LSN: second.log.Position().LSN + 1, Kind: seglog.KindBarrier}
		if _, _, err := second.log.Append([]seglog.Group{{rec}}); err != nil {
			s.fail("a second Core appends: %v", err)
		}
	}},
	{"vanishes", func(s *sim, file string) { delete(s.disk.files, file) }},
	{"is cut off", func(s *sim, file string) {
		f := s.disk.files[file]
		f.data = f.data[:s.rng.IntN(len(f.data))]
	}},
	{"is replaced", func(s *sim, file string) {
		data := bytes.Clone(s.disk.files[file].data)
		data[s.rng.IntN(len(data))] ^= 1
		s.disk.files[file] = &simFile{data: data}
	}},
}

// TestSimulatedDisturbances disturbs a file of the store while the Core runs. Within a minute
// the Core must raise an alert or refuse writes. Otherwise the store must open afterwards, with
// all acknowledged writes.
func TestSimulatedDisturbances(t *testing.T) {
	quiet(t)
	counts := make(map[string]int)
	for seed := *simFirst; seed < *simFirst+testutil.Repeats(max(*simSeeds/5, 1), 1); seed++ {
		for _, d := range simDisturbances {
			synctest.Test(t, func(t *testing.T) {
				s := newSim(seed)
				s.hostile = false
				defer func() {
					if failed := recover(); failed != nil {
						s.abort()
						t.Errorf("seed %d, a file %s: %v", seed, d.name, failed)
					}
				}()
				s.boot()
				s.setUp()
				for range 150 {
					s.step()
				}
				s.full = false
				s.until(func() bool { return s.waiting() == 0 && !s.refused })
				counts[disturb(s, d.name, d.do)]++
			})
		}
	}
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		t.Logf("%4d %s", counts[what], what)
	}
}

// disturb disturbs a file, and lets a minute pass in which a client writes. It returns a description
// of the outcome.
func disturb(s *sim, what string, do func(*sim, string)) string {
	names := slices.Sorted(maps.Keys(s.disk.files))
	file := names[s.rng.IntN(len(names))]
	kind := file[max(0, len(file)-4):]
	s.note("%s %s", file, what)
	s.disturbed = true
	do(s, file)
	for i := range 60 {
		if i%20 == 10 && !s.refused {
			s.must(wire.Request{Op: model.OpPut, Collection: "a", Name: []byte("during"), Object: fmt.Append(nil, i)})
		}
		s.pass(time.Second)
		s.quieten()
		if s.noticed > 0 || s.refused {
			s.stop(false)
			return fmt.Sprintf("%s %s: noticed", kind, what)
		}
	}
	s.stop(false)
	if err := s.try(s.disk.clone(), false, func(mapping.Entry) bool { return false }); err != nil {
		s.fail("%s %s, nobody notices, and then the store does not open: %v", file, what, err)
	}
	return fmt.Sprintf("%s %s: nothing is lost", kind, what)
}
