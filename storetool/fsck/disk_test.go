package fsck

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"motte/core/seglog"
)

// worn is a disk with unreadable sectors.
type worn struct {
	seglog.Storage
	bad map[int64]bool // offsets of unreadable sectors
}

func (w *worn) ReadAt(name string, p []byte, offset int64) error {
	for at := offset &^ (sector - 1); at < offset+int64(len(p)); at += sector {
		if w.bad[at] {
			return &os.PathError{Op: "read", Path: name, Err: syscall.EIO}
		}
	}
	return w.Storage.ReadAt(name, p, offset)
}

// TestPatientReadsAroundBadSectors: unreadable sectors read as zeros, and all other bytes
// unchanged.
func TestPatientReadsAroundBadSectors(t *testing.T) {
	dir := t.TempDir()
	data := bytes.Repeat([]byte("motte"), 10_000)
	if err := os.WriteFile(filepath.Join(dir, "f"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var told []int64
	p := newPatient(&worn{d, map[int64]bool{2 * sector: true, 5 * sector: true}}, func(_ string, offset int64, _ error) { told = append(told, offset) })
	if _, err := p.Files(); err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(data)
	clear(want[2*sector : 3*sector])
	clear(want[5*sector : 6*sector])
	for _, c := range []struct{ from, to int }{{0, len(data)}, {2*sector + 7, 2*sector + 9}, {sector, 2 * sector}, {100, 2*sector + 1}, {5*sector + 5, len(data)}} {
		got := make([]byte, c.to-c.from)
		if err := p.ReadAt("f", got, int64(c.from)); err != nil || !bytes.Equal(got, want[c.from:c.to]) {
			t.Errorf("%d to %d: %v", c.from, c.to, err)
		}
	}
	if len(told) == 0 || told[0] != 2*sector {
		t.Errorf("the reported sectors are %v; want the unreadable ones", told)
	}
	if err := p.ReadAt("f", make([]byte, 10), int64(len(data))-5); err == nil {
		t.Error("a read beyond the end succeeds; want an error")
	}

	// The missing end of a file that was cut short also reads as zeros.
	p.whole["f"] = int64(len(data)) + 100
	got := make([]byte, 50)
	if err := p.ReadAt("f", got, int64(len(data))-20); err != nil || !bytes.Equal(got[:20], data[len(data)-20:]) || !bytes.Equal(got[20:], make([]byte, 30)) {
		t.Errorf("a read across the end of a short file: %v", err)
	}
}

// TestVerifyChangesNothing: it also refuses a store that a Core has open.
func TestVerifyChangesNothing(t *testing.T) {
	dir := t.TempDir()
	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"append": d.Append("00000001.seg", nil), "create": d.Create("x", nil), "remove": d.Remove("LOCK")} {
		if !errors.Is(err, errReadOnly) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := seglog.OpenDir(dir); !errors.Is(err, seglog.ErrLocked) {
		t.Errorf("a Core opens a store that verify has open: %v; want ErrLocked", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	core, err := seglog.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer core.Close()
	if _, err := openDirectory(dir); !errors.Is(err, seglog.ErrLocked) {
		t.Errorf("verify opens a store that a Core has open: %v; want an error", err)
	}
}

func TestRanges(t *testing.T) {
	var r ranges
	for _, lsn := range []uint64{4, 5, 6, 9, 11, 12, 5} {
		r.add(lsn)
	}
	got := r.missing(2, 14)
	want := []Range{{3, 3}, {7, 8}, {10, 10}, {13, 14}}
	if len(got) != len(want) {
		t.Fatalf("missing: %v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("the missing numbers are %v; want %v", got, want)
		}
	}
	if list := (ranges{}).missing(3, 3); len(list) > 0 {
		t.Errorf("no number is missing, but the result is %v", list)
	}
}
