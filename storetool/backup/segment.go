package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"motte/core/seglog"
)

// The clear parts of the files: package seglog describes them.
const (
	headerSize   = 128 // bytes
	frontSize    = 32  // bytes at the front of each record
	minRecord    = 112 // bytes
	identifyWith = 128 // bytes at the beginning of a file, which have a random salt and so identify it
)

// segmentHeader is the header of a segment. This package does not check it, because it has no key.
type segmentHeader struct {
	store    [16]byte
	firstLSN uint64
	salt     [16]byte
}

func readSegmentHeader(r io.ReaderAt, name string) (h segmentHeader, err error) {
	var p [headerSize]byte
	if _, err := r.ReadAt(p[:], 0); err != nil {
		return h, fmt.Errorf("read the header of %s: %w", name, err)
	}
	if string(p[:4]) != "MSEG" || p[4] != seglog.SegmentVersion {
		return h, &seglog.DamageError{File: name, What: fmt.Sprintf("the header is not one of a segment of version %d", seglog.SegmentVersion)}
	}
	return segmentHeader{[16]byte(p[8:]), binary.BigEndian.Uint64(p[40:]), [16]byte(p[48:])}, nil
}

// front reads the front of a record that may follow the record with this LSN. It has the next LSN,
// unless the record was relocated. False: there is no front.
func (h *segmentHeader) front(p []byte, lsn uint64) (length int64, next uint64, ok bool) {
	length, next = int64(binary.BigEndian.Uint32(p[4:])), binary.BigEndian.Uint64(p[8:])
	ok = string(p[:2]) == "MR" && p[2] == seglog.RecordVersion && length >= minRecord && length%8 == 0
	if [16]byte(p[16:]) != h.salt {
		return length, lsn, ok && next <= lsn
	}
	return length, next, ok && next == lsn+1
}

// walk follows the fronts of the records of a segment. It returns where the last record ends, the
// LSN there, and the bytes after it.
func walk(r io.ReaderAt, size int64, h segmentHeader) (end int64, lsn uint64, behind []byte, err error) {
	const ahead = 1 << 20
	buf, at := []byte(nil), int64(0)
	for end, lsn = headerSize, h.firstLSN-1; ; {
		if end+frontSize > at+int64(len(buf)) {
			at, buf = end, slices.Grow(buf[:0], ahead)[:ahead]
			n, err := r.ReadAt(buf, at)
			if buf = buf[:n]; err != nil && !errors.Is(err, io.EOF) {
				return end, lsn, nil, err
			}
		}
		p := buf[min(end-at, int64(len(buf))):]
		p = p[:min(len(p), frontSize)]
		length, next, ok := int64(0), lsn, false
		if len(p) == frontSize {
			length, next, ok = h.front(p, lsn)
		}
		if !ok || end+length > size {
			if slices.ContainsFunc(p, func(b byte) bool { return b != 0 }) {
				behind = slices.Clone(p)
			}
			return end, lsn, behind, nil
		}
		end, lsn = end+length, next
	}
}

// A write under way grows soon. Bytes that stay the same are not such a write.
const (
	settlePause = 50 * time.Millisecond
	settleTries = 40
)

// settle finds the end of the newest segment: see the package comment. Unchanging bytes after the
// last record are a write that a crash cut short, or damage. The backup copies them with the rest,
// so that a restore sees the same bytes.
func settle(f *source, h segmentHeader) (lsn uint64, unclear bool, err error) {
	var last []byte
	for same := 0; ; same++ {
		info, err := f.file.Stat()
		if err != nil {
			return 0, false, err
		}
		end, lsn, behind, err := walk(f.file, info.Size(), h)
		if err != nil {
			return 0, false, fmt.Errorf("read %s: %w", f.Name, err)
		}
		if behind == nil {
			f.Size = end
			return lsn, false, nil
		}
		if same == settleTries {
			f.Size = info.Size()
			return lsn, true, nil
		}
		if !slices.Equal(behind, last) || end != f.Size {
			same = 0
		}
		last, f.Size = behind, end
		time.Sleep(settlePause)
	}
}
