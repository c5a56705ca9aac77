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

// TestAtomicFilesSurvivePowerCuts cuts the power during a write. The file must then have its old
// or its new content, whole. If the write had returned, it must have the new content.
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
					steps = 1 << 20 // more steps than a write has, so that the write returns first
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
					t.Fatalf("after cut %d the file has %d bytes (%v), which is neither the old nor the new content; the write returned %v", cut, len(got), errRead, err)
				}
			}
			t.Logf("the file was replaced %d times, and kept %d times", replaced, kept)
			if kept == 0 || replaced == 0 {
				t.Error("the cuts never, or always, kept the old file; want both outcomes, or the test checks too little")
			}
		})
	}
}
