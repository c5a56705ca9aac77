package seglog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"motte/internal/testutil"
)

// allocated returns the size of a file, and its space on the disk in bytes.
func allocated(t *testing.T, path string) (size, disk int64) {
	t.Helper()
	info, err := os.Stat(path)
	testutil.Must(t, err)
	return info.Size(), info.Sys().(*syscall.Stat_t).Blocks * blockSize
}

// TestReserve: the reserve takes disk space, grows, and is given back. While it is missing,
// files are not preallocated.
func TestReserve(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	for _, size := range []int64{1 << 20, 3 << 20, 2 << 20} {
		testutil.Must(t, d.Reserve(size), d.Reserve(size))
		if got, disk := allocated(t, filepath.Join(path, reserveName)); got < size || disk < size || got > 3<<20 {
			t.Errorf("a reserve of %d bytes has %d, and %d of the disk", size, got, disk)
		}
	}
	testutil.Must(t, d.Append("1", []byte("data")))
	if size, _ := allocated(t, filepath.Join(path, "1")); size < zeroAhead {
		t.Errorf("with a reserve a file is not preallocated: %d bytes", size)
	}
	testutil.Must(t, d.Reserve(0), d.Reserve(0), d.Append("2", []byte("data")), d.Append("2", []byte("more")))
	if size, _ := allocated(t, filepath.Join(path, "2")); size != 8 {
		t.Errorf("without a reserve a file is preallocated to %d bytes", size)
	}
	if _, err := os.Stat(filepath.Join(path, reserveName)); !os.IsNotExist(err) {
		t.Errorf("the reserve is still there: %v", err)
	}
}

// TestLargeWritesFillNothingAhead: preallocation would let the disk write their place twice. The
// next small write preallocates the space after it.
func TestLargeWritesFillNothingAhead(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	testutil.Must(t, d.Append("1", []byte("data")))
	size := func() int64 {
		n, _ := allocated(t, filepath.Join(path, "1"))
		return n
	}
	end := int64(len("data"))
	for _, step := range []struct {
		write, ahead int64
	}{{zeroAhead, 0}, {largeWrite, 0}, {largeWrite - 1, zeroAhead}} {
		testutil.Must(t, d.Append("1", make([]byte, step.write)))
		end += step.write
		if got := size(); got < end+step.ahead || got > end+step.ahead+writeSize {
			t.Errorf("after a write of %d bytes the file has %d bytes of data, and %d in all", step.write, end, got)
		}
	}
}

// TestReserveThatCanNotBeMade returns an error, and takes no space. A reserve that can't grow is
// kept.
func TestReserveThatCanNotBeMade(t *testing.T) {
	path := t.TempDir()
	d := openDir(t, path)
	defer d.Close()
	undo := limitFiles(t, fileLimit)
	err := d.Reserve(2 * fileLimit)
	undo()
	if size, _ := allocated(t, filepath.Join(path, reserveName)); err == nil || size != 0 {
		t.Errorf("a reserve of %d bytes is made on a full disk: %v", size, err)
	}
	testutil.Must(t, d.Reserve(fileLimit))
	undo = limitFiles(t, 2*fileLimit)
	err = d.Reserve(4 * fileLimit)
	undo()
	if size, _ := allocated(t, filepath.Join(path, reserveName)); err == nil || size != fileLimit {
		t.Errorf("a reserve that can't grow has %d bytes: %v; want its old size", size, err)
	}
}

// TestReserveTriesNothingInVain: a reserve larger than the free space is refused without trying,
// since trying would take all space for a moment. It counts as a full disk.
func TestReserveTriesNothingInVain(t *testing.T) {
	d := openDir(t, t.TempDir())
	defer d.Close()
	if err := d.Reserve(1 << 60); !Full(err) {
		t.Errorf("%v", err)
	}
}
