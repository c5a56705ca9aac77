package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"motte/core/hostwire"
	"motte/host/sandbox"
)

// taskPrefix begins the name of every Task's executable.
const taskPrefix = "motte-task-"

// runTask starts a Task, gives the Core its channel, and waits for its end.
func (s *session) runTask(m hostwire.StartTask) {
	defer s.send(hostwire.HostMessage{Type: hostwire.TypeTaskEnded, Instance: m.Instance}, nil)
	t := &task{limit: m.Memory, index: uint64(m.Index), share: newShare(runtime.NumCPU(), time.Now())}
	log := s.h.log.With("instance", m.Instance, "index", t.index)
	image, err := s.h.images.find(m.Measurement)
	if err != nil {
		log.Error("a Task can't be started", "error", err)
		return
	}
	log = log.With("task", image.Name)
	t.Process, err = sandbox.Start(sandbox.Config{Executable: image.Path, Measurement: m.Measurement, Memory: m.Memory, Index: t.index})
	if err != nil {
		if errors.Is(err, sandbox.ErrConfinement) {
			s.h.notConfined()
		}
		log.Error("a Task can't be started", "error", err)
		return
	}
	s.mu.Lock()
	s.tasks[m.Instance] = t
	t.share.back = s.comesBack(t.index, runtime.NumCPU(), time.Now())
	if s.ended {
		t.Kill()
	}
	s.mu.Unlock()
	s.send(hostwire.HostMessage{Type: hostwire.TypeTaskStarted, Instance: m.Instance}, t.Channel())
	t.Channel().Close() // the Core has the channel now
	log.Info("task started", "pid", t.PID())
	t.Wait()
	s.mu.Lock()
	delete(s.tasks, m.Instance)
	s.mu.Unlock()
	log.Info("task ended")
}

// images finds Tasks' executables by measurement, the SHA-256 of the file. The sandbox measures the
// file again before it starts it.
type images struct {
	dirs []string

	mu    sync.Mutex
	known map[string]image // by path
}

type image struct {
	Executable
	size    int64
	changed time.Time
}

// Executable is a Task's executable that was found.
type Executable struct {
	Name        string // the file's name without "motte-task-"
	Path        string
	Measurement [32]byte
}

// Executables finds the Tasks' executables in directories, by the names of
// their files.
func Executables(dirs ...string) ([]Executable, error) {
	return (&images{dirs: dirs}).list()
}

func (i *images) find(measurement [32]byte) (Executable, error) {
	list, err := i.list()
	for _, m := range list {
		if m.Measurement == measurement {
			return m, nil
		}
	}
	return Executable{}, errors.Join(fmt.Errorf("no executable %s* in %s has the registered SHA-256 %s; copy the executable there, or register one that is there: motte task register NAME --file FILE",
		taskPrefix, strings.Join(i.dirs, ", "), hex.EncodeToString(measurement[:])), err)
}

// list measures the executables in the directories. It does not measure an unchanged file again. An
// error tells which executables are missing from the list.
func (i *images) list() (list []Executable, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known == nil {
		i.known = make(map[string]image)
	}
	var errs []error
	for _, dir := range i.dirs {
		entries, err := os.ReadDir(dir)
		errs = append(errs, err)
		for _, e := range entries {
			if !strings.HasPrefix(e.Name(), taskPrefix) || besideExecutable(e.Name()) {
				continue
			}
			x, ok, err := i.look(filepath.Join(dir, e.Name()))
			errs = append(errs, err)
			if ok {
				list = append(list, x)
			}
		}
	}
	return list, errors.Join(errs...)
}

// besideExecutable reports whether a file lies beside a Task's executable in its package: the
// manifest or the signature.
func besideExecutable(name string) bool {
	return strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".sig")
}

// look measures the file at path, if it is an executable.
func (i *images) look(path string) (x Executable, ok bool, err error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return x, false, nil
	}
	m, ok := i.known[path]
	if !ok || m.size != info.Size() || !m.changed.Equal(info.ModTime()) {
		m = image{Executable{Name: strings.TrimPrefix(filepath.Base(path), taskPrefix), Path: path}, info.Size(), info.ModTime()}
		if m.Measurement, err = Measure(path); err != nil {
			return x, false, err
		}
		i.known[path] = m
	}
	return m.Executable, true, nil
}

// Measure returns the measurement of an executable: the SHA-256 of the file.
func Measure(path string) (sum [32]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	d := sha256.New()
	if _, err := io.Copy(d, f); err != nil {
		return sum, err
	}
	return [32]byte(d.Sum(nil)), nil
}
