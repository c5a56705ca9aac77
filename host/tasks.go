package host

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"motte/core/control"
	"motte/host/sandbox"
)

// taskPrefix begins the name of every Task's executable.
const taskPrefix = "motte-task-"

// runTask starts a Task, gives the Core its channel, and waits for its end.
func (s *session) runTask(m control.Message) {
	defer s.send(&control.Message{Type: control.TaskEnded, Instance: m.Instance}, nil)
	log := s.h.log.With("instance", m.Instance)
	image, err := s.h.images.find(m.Measurement)
	if err != nil {
		log.Error("a Task can't be started", "error", err)
		return
	}
	log = log.With("task", image.name)
	p, err := sandbox.Start(sandbox.Config{Executable: image.path, Measurement: m.Measurement, Memory: m.Memory})
	if err != nil {
		log.Error("a Task can't be started", "error", err)
		return
	}
	s.mu.Lock()
	s.tasks[m.Instance] = p
	if s.over {
		p.Kill()
	}
	s.mu.Unlock()
	s.send(&control.Message{Type: control.TaskStarted, Instance: m.Instance}, p.Channel())
	p.Channel().Close() // the Core has it now
	log.Info("task started", "pid", p.PID())
	err = p.Wait()
	s.mu.Lock()
	delete(s.tasks, m.Instance)
	s.mu.Unlock()
	log.Info("task ended", "how", err)
}

// images finds Tasks' executables by measurement, the SHA-256 of the file. The
// sandbox measures again what it starts.
type images struct {
	dir string

	mu    sync.Mutex
	known map[string]image // by path
}

type image struct {
	name        string
	path        string
	measurement [32]byte
	size        int64
	changed     time.Time
}

func (i *images) find(measurement [32]byte) (image, error) {
	list, err := i.list()
	for _, m := range list {
		if m.measurement == measurement {
			return m, nil
		}
	}
	return image{}, errors.Join(fmt.Errorf("no executable in %s has the registered SHA-256 %s; after an upgrade, register the new one: motte task register NAME --file FILE",
		i.dir, hex.EncodeToString(measurement[:])), err)
}

// list measures the executables that are there; what has not changed is not
// measured again.
func (i *images) list() (list []image, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.known == nil {
		i.known = make(map[string]image)
	}
	paths, err := filepath.Glob(filepath.Join(i.dir, taskPrefix+"*"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		m, ok := i.known[path]
		if !ok || m.size != info.Size() || !m.changed.Equal(info.ModTime()) {
			m = image{name: strings.TrimPrefix(filepath.Base(path), taskPrefix), path: path, size: info.Size(), changed: info.ModTime()}
			if m.measurement, err = Measure(path); err != nil {
				return list, err
			}
			i.known[path] = m
		}
		list = append(list, m)
	}
	return list, nil
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
