package host

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"motte/host/sandbox"
)

// A host lists the processes of its indexes and their memory at a socket in the data directory.
// Only the host's own user and root may ask. They can see as much in /proc.
//
// The Core has no part in this. A Task decides how much memory it takes, so no such number may go
// through the Core to a client.

// socketName is the name of that socket in the data directory.
const socketName = "host.sock"

// Limits of an answer.
const (
	answerWithin = 5 * time.Second
	maxAnswer    = 8 << 20 // bytes: more than the list of the most indexes that a store can have
)

// task is the process of a Task.
type task struct {
	*sandbox.Process
	index uint64 // number of the index that it serves
	limit uint64 // bytes of memory that it may write

	share  share
	class  sandbox.Class
	paused bool
	failed bool // the log says that the share can't be enforced
	told   bool // the log says that it takes too much
}

// Process is the process of a Task.
type Process struct {
	Index  uint64 `json:"index"` // number of the index that it serves
	PID    int    `json:"pid"`
	Memory uint64 `json:"memory"` // bytes, resident
	Limit  uint64 `json:"limit"`  // bytes that it may write

	ProcessorSeconds float64 `json:"processor_seconds"` // of all its threads, since it was started
	Share            string  `json:"share"`             // of processor time: WithinShare, Lowered or Paused
}

// What the host does about the processor time of a Task.
const (
	WithinShare = "within"  // nothing
	Lowered     = "lowered" // it gets more than its share only while no other process wants it
	Paused      = "paused"  // it takes more than its share without work, so that it is paused again and again
)

// Running lists the processes of a store.
type Running struct {
	CoreKey   string    `json:"core_key"` // hexadecimal: the Core that asked for these processes
	Processes []Process `json:"processes"`
}

// ErrNoHost says that no host runs the store of a directory.
var ErrNoHost = errors.New("no server runs there")

// LookAt asks the host of the store in a directory for its processes.
func LookAt(ctx context.Context, dir string) (r Running, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	err = inDirectory(dir, func(path string) error {
		var d net.Dialer
		c, err := d.DialContext(ctx, "unix", path)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
			return ErrNoHost
		case err != nil:
			return errors.Unwrap(err) // without the path, which is a temporary name
		}
		defer c.Close()
		if deadline, ok := ctx.Deadline(); ok {
			if err := c.SetDeadline(deadline); err != nil {
				return err
			}
		}
		return json.NewDecoder(io.LimitReader(c, maxAnswer)).Decode(&r)
	})
	if err != nil {
		return Running{}, fmt.Errorf("ask the server in %s for its processes: %w", dir, err)
	}
	return r, nil
}

// inDirectory calls do with a short path of the socket in dir. The address of a socket has at most
// 107 bytes, and the path of dir may be longer.
func inDirectory(dir string, do func(path string) error) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return do(fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), socketName))
}

// tellProcesses answers at the socket until the context ends. Only the host whose Core has the
// store open calls it, so a socket that is there already is an old one.
func (s *session) tellProcesses(ctx context.Context, coreKey [32]byte) {
	path := filepath.Join(s.h.Dir, socketName)
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		_ = os.Remove(path)
	}
	var l *net.UnixListener
	err := inDirectory(s.h.Dir, func(path string) (err error) {
		if l, err = net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"}); err == nil {
			err = os.Chmod(path, 0o600)
		}
		return err
	})
	if err != nil {
		s.h.log.Warn("'motte index list' can't show the processes of indexes", "error", err)
		if l != nil {
			l.Close()
		}
		return
	}
	l.SetUnlinkOnClose(false) // the path is valid inside inDirectory alone
	defer os.Remove(path)
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			l.Close()
			if ctx.Err() == nil {
				s.h.log.Warn("'motte index list' shows no processes any more", "error", err)
			}
			return
		}
		if mayLook(c) {
			_ = c.SetDeadline(time.Now().Add(answerWithin))
			_ = json.NewEncoder(c).Encode(Running{hex.EncodeToString(coreKey[:]), s.processes()})
		}
		c.Close()
	}
}

// mayLook reports whether the other end is a process of this user, or of root.
func mayLook(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	allowed := false
	err = raw.Control(func(fd uintptr) {
		peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		allowed = err == nil && (peer.Uid == 0 || int(peer.Uid) == os.Geteuid())
	})
	return err == nil && allowed
}

// processes lists the Tasks' processes, the oldest first.
func (s *session) processes() []Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Process, 0, len(s.tasks))
	for _, instance := range slices.Sorted(maps.Keys(s.tasks)) {
		t := s.tasks[instance]
		used, _ := t.ProcessorTime() // 0 if it has just ended
		list = append(list, Process{Index: t.index, PID: t.PID(), Memory: resident(t.PID()), Limit: t.limit,
			ProcessorSeconds: used.Seconds(), Share: t.share.String()})
	}
	return list
}

// memory returns the memory that the processes of an index take, and the sum of their limits. An index
// that is being upgraded has two processes. 0: it has none.
func (s *session) memory(index uint64) (bytes, limit uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tasks {
		if t.index == index {
			bytes += resident(t.PID())
			limit += t.limit
		}
	}
	return bytes, limit
}

// resident returns the bytes of memory that a process takes; 0: not known. For another user's
// process the host can't read how much of them is shared. Tasks share no memory: each has its own
// image.
func resident(pid int) uint64 {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return 0
	}
	stat, err := p.Stat()
	if err != nil {
		return 0
	}
	return uint64(max(0, stat.ResidentMemory()))
}
