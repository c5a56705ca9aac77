package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"motte/core/engine"
	"motte/core/model"
	"motte/core/seal"
	"motte/core/seglog"
)

// watchEvery is the time between two checks of all files. So a lost file is detected within a
// minute, even on a slow disk.
const watchEvery = 10 * time.Second

// overdue is added to the bytes written since the last checkpoint, so that a checkpoint is due at
// once. It is more than the bytes that are ever written between two checkpoints.
const overdue = 1 << 40 // bytes

// watcher checks that the files of the store and the file of the root key are intact.
type watcher struct {
	s       *server
	adrift  bool // the last check found that the directory was replaced
	keyLost bool // the last check found no root key
}

// watchFiles checks the files at intervals until the context ends.
func (s *server) watchFiles(ctx context.Context) {
	w := &watcher{s: s}
	for {
		w.check()
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return
		}
	}
}

// check checks all files once.
func (w *watcher) check() {
	lost, disk, err := w.s.log.Watch()
	adrift := errors.Is(err, seglog.ErrAdrift)
	switch {
	case adrift && !w.adrift:
		say("no record is written until the data directory is back: %v", err)
		w.s.runOnEngine(func(e *engine.Engine) { e.Note(model.ReasonAdrift) })
	case err != nil && !adrift:
		say("check the files of the store: %v", err)
		w.s.useReserve(err) // the keys may have to be written again
	case err == nil && disk > 0:
		w.s.measured.diskBytes.Store(uint64(disk))
	}
	w.adrift = adrift
	for _, x := range lost {
		w.report(x)
	}
	w.checkRootKey()
	w.s.setFull(seglog.Full(w.s.log.Reserve()))
}

// useReserve removes the reserve if an error says that the disk is full. From then on, the engine
// refuses requests that make the store grow. Deletions and compaction use the freed space.
func (s *server) useReserve(err error) {
	if !seglog.Full(err) {
		return
	}
	s.setFull(true)
	if err := s.log.Release(); err != nil {
		say("remove the reserve: %v", err)
	}
}

// setFull tells the engine whether the disk is full except for the reserve. It reports a change to
// the operator.
func (s *server) setFull(full bool) {
	was := full
	s.runOnEngine(func(e *engine.Engine) {
		was, s.full = s.full, full
		e.SetFull(full)
	})
	if was == full {
		return
	}
	if full {
		say("the disk is full: requests that make the store grow are refused until there is space")
	} else {
		say("the disk has space again")
	}
}

// report reports a lost file of the store. After the loss of a checkpoint, another checkpoint is
// due at once.
func (w *watcher) report(x seglog.Loss) {
	after := "it is gone"
	if x.Back {
		after = "it was written again"
	} else if x.Checkpoint != 0 {
		after = "another checkpoint follows"
		w.s.written.Add(overdue)
	}
	say("another program removed, truncated or replaced %s: %s", x.File, after)
	w.s.runOnEngine(func(e *engine.Engine) { e.Lost(x.Segment) })
}

// checkRootKey checks that the next start can read the root key.
func (w *watcher) checkRootKey() {
	if w.s.RootKey == "" {
		return
	}
	info, err := os.Stat(w.s.RootKey)
	if err == nil && !info.Mode().IsRegular() { // an open of a pipe would wait for a writer
		err = fmt.Errorf("%s is no regular file", w.s.RootKey)
	}
	if err == nil {
		var root seal.Root
		if root, err = ReadRootKey(w.s.RootKey); err == nil && root != w.s.root {
			err = fmt.Errorf("%s holds another key now", w.s.RootKey)
		}
	}
	if err != nil && !w.keyLost {
		say("the next start could not open the store: %v", err)
		w.s.runOnEngine(func(e *engine.Engine) { e.Lost(0) })
	}
	w.keyLost = err != nil
}
