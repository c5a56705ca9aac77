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

// watchEvery is how often the files are compared with what the Core needs of them. A
// change of a file is noticed within a minute, though the disk may be slow.
const watchEvery = 10 * time.Second

// overdue is more than is ever written between two checkpoints.
const overdue = 1 << 40 // bytes

// watcher compares the files of the store, and of the root key, with what the Core needs.
type watcher struct {
	s       *server
	adrift  bool // said already
	keyLost bool // said already
}

// watchFiles looks at the files until the context ends.
func (s *server) watchFiles(ctx context.Context) {
	w := &watcher{s: s}
	for {
		w.look()
		select {
		case <-time.After(watchEvery):
		case <-ctx.Done():
			return
		}
	}
}

// look looks at all files once.
func (w *watcher) look() {
	lost, disk, err := w.s.log.Watch()
	adrift := errors.Is(err, seglog.ErrAdrift)
	switch {
	case adrift && !w.adrift:
		say("nothing is written until the data directory is back: %v", err)
		w.s.runOnEngine(func(e *engine.Engine) { e.Note(model.ReasonAdrift) })
	case err != nil && !adrift:
		say("watching the files of the store: %v", err)
		w.s.useReserve(err) // the keys may have to be written again
	case err == nil && disk > 0:
		w.s.measured.diskBytes.Store(uint64(disk))
	}
	w.adrift = adrift
	for _, x := range lost {
		w.report(x)
	}
	w.lookAtRootKey()
	w.s.setFull(seglog.Full(w.s.log.Reserve()))
}

// useReserve gives the reserve to the writes of now, if the disk is full. Requests that
// make the store grow are refused from then on; those that give space back go on.
func (s *server) useReserve(err error) {
	if !seglog.Full(err) {
		return
	}
	s.setFull(true)
	if err := s.log.Release(); err != nil {
		say("giving back the reserve: %v", err)
	}
}

// setFull says whether the disk is full but for the reserve.
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
		say("the disk is full: only what gives space back is done until there is room")
	} else {
		say("there is room on the disk again")
	}
}

// report says that a file of the store is lost. A checkpoint that is lost is followed by
// another one at once.
func (w *watcher) report(x seglog.Loss) {
	after := "it is gone"
	if x.Back {
		after = "it was written again"
	} else if x.Checkpoint != 0 {
		after = "another one follows"
		w.s.written.Add(overdue)
	}
	say("%s was removed, cut off or replaced by somebody else: %s", x.File, after)
	w.s.runOnEngine(func(e *engine.Engine) { e.Lost(x.Segment) })
}

// lookAtRootKey makes sure that the next start will find the root key.
func (w *watcher) lookAtRootKey() {
	if w.s.RootKey == "" {
		return
	}
	info, err := os.Stat(w.s.RootKey)
	if err == nil && !info.Mode().IsRegular() { // to open a pipe would take until a program writes to it
		err = fmt.Errorf("%s is no regular file", w.s.RootKey)
	}
	if err == nil {
		var root seal.Root
		if root, err = ReadRootKey(w.s.RootKey); err == nil && root != w.s.root {
			err = fmt.Errorf("%s is another key now", w.s.RootKey)
		}
	}
	if err != nil && !w.keyLost {
		say("without the root key no start will open the store: %v", err)
		w.s.runOnEngine(func(e *engine.Engine) { e.Lost(0) })
	}
	w.keyLost = err != nil
}
