package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// source is a file of the store. A file that the existing backup has is not kept open.
type source struct {
	Entry
	file *os.File
}

// snapshot is the content of a backup, as of one moment: see the package comment.
type snapshot struct {
	store   string
	lsn     uint64
	files   []*source
	unclear bool
}

// Limits of a snapshot.
const (
	snapshotTries = 1000 // until no file is made or removed while all are opened, which takes milliseconds
	snapshotPause = 20 * time.Millisecond
	keptBoth      = 2 // checkpoints: if the newest is damaged, a start uses the one before
)

// errAgain says that files were made or removed meanwhile.
var errAgain = errors.New("the directory changes all the time")

// take opens a snapshot of a data directory. known accepts files that the existing backup has.
func take(ctx context.Context, dir string, known func(Entry) (Entry, bool)) (s *snapshot, err error) {
	for range snapshotTries {
		s = new(snapshot)
		if err = s.open(dir, known); err == nil {
			return s, nil
		}
		s.close()
		if !errors.Is(err, errAgain) {
			return nil, err
		}
		select {
		case <-time.After(snapshotPause):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, err
}

func (s *snapshot) close() {
	for _, f := range s.files {
		if f.file != nil {
			f.file.Close()
		}
	}
}

// open lists and opens the files, and fixes the end of the newest segment. It makes sure that no
// newer segment is there: see the package comment.
func (s *snapshot) open(dir string, known func(Entry) (Entry, bool)) error {
	segments, checkpoints, err := names(dir)
	if err != nil {
		return err
	}
	if len(segments) == 0 {
		return fmt.Errorf("%s holds no store: there is no segment", dir)
	}
	for _, name := range append(slices.Clone(checkpoints), segments...) {
		if err := s.add(dir, name); errors.Is(err, os.ErrNotExist) {
			return errAgain
		} else if err != nil {
			return err
		}
	}
	newest := s.files[len(s.files)-1]
	if err := s.end(newest); err != nil {
		return err
	}
	now, _, err := names(dir)
	if err == nil && (len(now) == 0 || now[len(now)-1] != newest.Name) {
		err = errAgain
	}
	for _, f := range s.files {
		if had, ok := known(f.Entry); ok && f != newest {
			f.Entry = had
			f.file.Close()
			f.file = nil
		}
	}
	return err
}

// end fixes the end of the newest segment.
func (s *snapshot) end(newest *source) error {
	newest.Growing = true
	h, err := readSegmentHeader(newest.file, newest.Name)
	if err != nil {
		return err
	}
	s.store = hex.EncodeToString(h.store[:])
	s.lsn, s.unclear, err = settle(newest, h)
	return err
}

// names lists the segments and the newest checkpoints, each in order.
func names(dir string) (segments, checkpoints []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		switch {
		case !stored.MatchString(e.Name()):
		case strings.HasSuffix(e.Name(), ".ckp"):
			checkpoints = append(checkpoints, e.Name())
		default:
			segments = append(segments, e.Name())
		}
	}
	slices.Sort(checkpoints)
	slices.Sort(segments)
	return segments, checkpoints[max(0, len(checkpoints)-keptBoth):], err
}

func (s *snapshot) add(dir, name string) (err error) {
	f := &source{Entry: Entry{Name: name, File: name}}
	if f.file, err = os.Open(filepath.Join(dir, name)); err != nil {
		return err
	}
	s.files = append(s.files, f)
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	f.Size = info.Size()
	p := make([]byte, min(identifyWith, f.Size))
	if _, err := f.file.ReadAt(p, 0); err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	f.Header = sum(p)
	return nil
}

func sum(p []byte) string {
	h := sha256.Sum256(p)
	return hex.EncodeToString(h[:])
}

// copy writes the bytes of a file to w, and notes their number and SHA-256. The file may have
// become shorter: the Core cuts off bytes after the last record of a finished segment.
func (f *source) copy(w io.Writer, p *progress) error {
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h, p), io.NewSectionReader(f.file, 0, f.Size))
	if err != nil {
		return fmt.Errorf("copy %s: %w", f.Name, err)
	}
	f.Size, f.SHA256 = n, hex.EncodeToString(h.Sum(nil))
	return nil
}

// manifest describes the snapshot, once all is copied.
func (s *snapshot) manifest(now time.Time) *Manifest {
	m := &Manifest{Format: manifestFormat, Version: manifestVersion, Store: s.store, Made: now.UTC().Truncate(time.Second), LSN: s.lsn}
	for _, f := range s.files {
		m.Files = append(m.Files, f.Entry)
	}
	return m
}

func (s *snapshot) report(m *Manifest) *Report {
	return &Report{Manifest: m, Files: len(m.Files), Bytes: m.Bytes(), Unclear: s.unclear}
}
