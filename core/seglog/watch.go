package seglog

import (
	"errors"
	"maps"
	"os"
	"slices"
)

// Loss is a file that the log needs, and that another program removed, truncated or replaced.
type Loss struct {
	File                string
	Segment, Checkpoint uint32 // number of the segment or checkpoint; 0: another file
	Back                bool   // the file is there again, or will be before the next record is appended

	size int64 // bytes that the log needs of it
}

// needs lists the segments and checkpoints that the log needs.
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

// Watch checks that the files that the log needs are intact. It writes lost keys again, and makes
// an open segment again. It returns the files that were lost since the last call, and the disk
// space of all files in bytes. It returns ErrAdrift if the directory was replaced. Then the Log
// appends no records until the right directory is back. Watch has one caller at a time.
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

// mend restores a lost file, if it can. Later records are not appended to this file.
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

// forget removes a checkpoint from the list. If it was the newest, the checkpoint before it becomes
// the newest.
func (l *Log) forget(checkpoint uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.checkpoints, checkpoint)
	if checkpoint == l.newestCheckpoint {
		l.newestCheckpoint, l.replayFrom = 0, l.firstNeeded
		for n := range l.checkpoints {
			if n < checkpoint {
				l.newestCheckpoint = max(l.newestCheckpoint, n)
			}
		}
	}
}

// Trim removes the tails of all segments except the newest. It comes after Replay, which finds the
// ends of the data. A tail is the rest of a torn write. It may hold sealed records of objects that
// were deleted later.
func (l *Log) Trim() (err error) {
	for _, info := range l.Segments() {
		if info.Number == l.newest() || info.Tail == 0 {
			continue
		}
		errCut := l.storage.Cut(segmentName(info.Number), headerSize+info.Bytes)
		if errCut == nil || errors.Is(errCut, os.ErrNotExist) { // Watch reports a missing file
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
