package sandbox

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"motte/internal/testutil"
)

// TestABusyPageDelaysASeal: the kernel refuses to seal a file while a page of it is in use. The use
// ends, and the file is sealed.
func TestABusyPageDelaysASeal(t *testing.T) {
	f, err := newMemory("busy")
	testutil.Must(t, err)
	defer f.Close()
	testutil.Must(t, f.Truncate(4096))
	page, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	testutil.Must(t, err)
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE); err != unix.EBUSY {
		t.Fatalf("a file with a page in use is sealed with %v, want EBUSY", err)
	}
	sealed := make(chan error)
	go func() { sealed <- seal(f, 0o111) }()
	time.Sleep(sealPause) // so that the first try finds the page in use
	testutil.Must(t, unix.Munmap(page))
	testutil.Must(t, <-sealed)
	if _, err := f.WriteAt([]byte{1}, 0); err == nil {
		t.Error("the sealed file can be written")
	}
}
