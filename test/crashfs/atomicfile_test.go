package crashfs

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"motte/internal/atomicfile"
	"motte/internal/testutil"
)

// TestAtomicFilesSurvivePowerCuts: whenever the power fails in a write, the file is
// the one before or the new one, whole; and the new one if the write had returned.
func TestAtomicFilesSurvivePowerCuts(t *testing.T) {
	for kind, on := range media {
		t.Run(kind, func(t *testing.T) {
			rng := random(t)
			m := on(t)
			path := filepath.Join(m.dir(), "file")
			before, after := make([]byte, 3*pageSize), make([]byte, 5*pageSize)
			fillRandom(rng, before)
			testutil.Must(t, atomicfile.Create(path, 0o600, before))
			kept, replaced := 0, 0
			for cut := range 20 {
				fillRandom(rng, after)
				steps := cut
				if cut >= 17 {
					steps = 1 << 20 // the write returns before
				}
				off := m.volume().CutAfter(steps)
				written := make(chan error, 1)
				go func() { written <- atomicfile.Replace(path, 0o600, after) }()
				var err error
				select {
				case err = <-written:
					m.volume().Cut()
					m.volume().Fail()
				case <-off:
					m.volume().Fail()
					err = errors.Join(<-written, errors.New("the power failed"))
				}
				m.restore(rng)
				got, errRead := os.ReadFile(path)
				switch {
				case errRead == nil && bytes.Equal(got, after):
					before, after = after, before[:cap(before)]
					replaced++
				case errRead == nil && bytes.Equal(got, before) && err != nil:
					kept++
				default:
					t.Fatalf("cut %d: %d bytes, %v; the write returned %v", cut, len(got), errRead, err)
				}
			}
			t.Logf("the file was replaced %d times, and kept %d times", replaced, kept)
			if kept == 0 || replaced == 0 {
				t.Error("the cuts are not where they tell anything")
			}
		})
	}
}
