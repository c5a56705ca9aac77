package seglog

import (
	"errors"
	"maps"
	"os"
	"slices"
)

// Loss is a file that is not what the log needs any more: another program has removed,
// cut off or replaced it.
type Loss struct {
	File                string
	Segment, Checkpoint uint32 // its number, if it is one
	Back                bool   // it is there again, or will be before anything more is appended

	size int64 // that the log needs
}

// needs lists the segments and checkpoints that the log needs: those that could be lost.
func (l *Log) needs() (list []Loss) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, number := range slices.Sorted(maps.Keys(l.segments)) {
		size := max(l.segments[number].end, headerSize)
		list = append(list, Loss{File: segmentName(number), Segment: number, size: size})
	}
	for _, n := range slices.Sorted(maps.Keys(l.checkpoints)) {
		list = append(list, Loss{File: checkpointName(n), Checkpoint: n, size: l.checkpoints[n]})
	}
	return list
}

// Watch compares the files with what the log needs, and mends what it can: keys are
// written again, a segment that is still open is made again. It returns what was lost
// since it was called last, and the bytes of the disk that all files take. If the
// directory is another one, an ErrAdrift, no records are appended until it is back. It
// has one caller at a time.
func (l *Log) Watch() (lost []Loss, disk int64, err error) {
	list := l.needs()
	files, disk, err := l.storage.Watch()
	if l.adrift.Store(errors.Is(err, ErrAdrift)); err != nil {
		return nil, 0, err
	}
	sizes := make(map[string]int64)
	for _, f := range files {
		sizes[f.Name] = f.Size
	}
	for _, x := range list {
		if size, there := sizes[x.File]; there && size >= x.size {
			delete(l.missing, x.File)
			continue
		}
		if !slices.ContainsFunc(l.needs(), func(now Loss) bool { return now.File == x.File }) {
			continue // it was removed meanwhile
		}
		l.mend(&x)
		if !l.missing[x.File] {
			l.missing[x.File] = true
			lost = append(lost, x)
		}
	}
	keys, err := l.watchKeys(sizes)
	return append(lost, keys...), disk, err
}

// mend repairs a file that is lost, if it can. What is appended from now on is not
// appended to it.
func (l *Log) mend(x *Loss) {
	if x.Checkpoint != 0 {
		l.forget(x.Checkpoint)
		return
	}
	if x.Segment == l.newest() {
		l.Rotate()
	}
	x.Back = l.storage.Rescue(x.File) == nil
}

// newest returns the number of the newest segment.
func (l *Log) newest() (highest uint32) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for number := range l.segments {
		highest = max(highest, number)
	}
	return highest
}

// forget takes a checkpoint off the list. If it was the newest one, the one before it takes
// its place.
func (l *Log) forget(checkpoint uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.checkpoints, checkpoint)
	if checkpoint == l.base {
		l.base, l.from = 0, l.floor
		for n := range l.checkpoints {
			if n < checkpoint {
				l.base = max(l.base, n)
			}
		}
	}
}

// Trim cuts the tails off all segments but the newest one. It comes after Replay, which
// has found where the data ends. A tail may hold sealed records of objects that were
// deleted since: those of a write that a crash cut short.
func (l *Log) Trim() (err error) {
	for _, info := range l.Segments() {
		if info.Number == l.newest() || info.Tail == 0 {
			continue
		}
		errCut := l.storage.Cut(segmentName(info.Number), headerSize+info.Bytes)
		if errCut == nil || errors.Is(errCut, os.ErrNotExist) { // then Watch says that it is gone
			l.trimmed(info.Number)
			continue
		}
		err = errors.Join(err, errCut)
	}
	return err
}

// trimmed notes that the file of a segment ends with its data.
func (l *Log) trimmed(number uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.segments[number]; s != nil {
		s.size = s.end
	}
}
