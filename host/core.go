package host

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"motte/client"
	"motte/core/hostwire"
	"motte/host/hostframes"
	"motte/internal/build"
)

// session is one process of the Core, with the Tasks that this Core asked for.
type session struct {
	h       *host
	cmd     *exec.Cmd
	control *net.UnixConn
	words   stderrTail // the last line of the Core's standard error
	ready   bool
	hung    atomic.Bool // the host killed this Core because it hung
	began   time.Time
	all     sync.WaitGroup

	mu    sync.Mutex
	tasks map[uint64]*task
	had   map[uint64]bool // indexes that have had a process
	ended bool            // the Core has ended: start no more Tasks
	idle  int             // Tasks that are over their share, and that the Core does not ask
}

var (
	errLocked = errors.New("another Core has the data directory open")
	errHung   = errors.New("the Core hung, and was killed")
)

// startCore starts the Core with one end of a control channel.
func (h *host) startCore() (*session, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("channel to the Core: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control")
	defer ours.Close()
	defer theirs.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("channel to the Core: %w", err)
	}
	s := &session{h: h, control: c.(*net.UnixConn), began: time.Now(), tasks: make(map[uint64]*task), had: make(map[uint64]bool)}
	s.cmd = exec.Command(filepath.Join(h.Bin, "motte-core"), h.coreArgs()...)
	s.cmd.Env = []string{} // the Core reads no environment variable
	s.cmd.ExtraFiles = []*os.File{theirs}
	// A Ctrl-C in the terminal reaches the host alone, which then stops the Core.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("start the Core: %w", err)
	}
	built, _ := build.Of(s.cmd.Path) // without an answer, the page does not show the build
	h.metrics.started(s.cmd.Process.Pid, built)
	s.all.Go(func() { s.words.follow(stderr, h) })
	h.health.begin(s)
	return s, nil
}

func (h *host) coreArgs() []string {
	args := []string{"-dir", h.Dir, "-listen", h.Listen, "-root-key", h.RootKey,
		"-admin", hex.EncodeToString(h.admin[:]), "-control-fd", "3"}
	if h.dryRun != nil && h.dryRun.accept {
		return append(args, "-accept-loss")
	}
	if h.dryRun != nil && h.dryRun.admin != [32]byte{} {
		args = append(args, "-new-admin", hex.EncodeToString(h.dryRun.admin[:]))
	}
	if h.anchorWriter != nil {
		head := h.anchorWriter.head()
		args = append(args, "-anchor", hex.EncodeToString(head[:]))
	}
	return args
}

// run serves the Core until it ends. When the context ends, run asks the Core to stop.
func (s *session) run(ctx context.Context) error {
	ended := make(chan struct{})
	s.all.Go(func() {
		select {
		case <-ctx.Done():
		case <-ended:
			return
		}
		s.h.health.enter(stopping)
		_ = s.control.SetWriteDeadline(time.Now().Add(stopWithin)) // a Core that hangs reads no message
		s.send(hostwire.HostMessage{Type: hostwire.TypeStop}, nil)
		select {
		case <-time.After(stopWithin):
			s.h.log.Error("the Core does not stop in order and is killed")
			_ = s.cmd.Process.Kill()
		case <-ended:
		}
	})
	s.all.Go(func() { s.shareProcessors(ended) })
	alive, over := context.WithCancel(ctx)
	s.listen(alive)
	over()
	s.h.health.enter(ending)
	// The closed channel also ends a Core that listen gave up on.
	s.control.Close()
	// The Core's standard error ends with the Core. Wait closes the pipe, so the reader ends first.
	s.words.wait()
	err := s.cmd.Wait()
	close(ended)
	s.end()
	s.all.Wait()
	return s.judge(ctx, err)
}

// judge tells how the Core ended, from the error that Wait returned.
func (s *session) judge(ctx context.Context, err error) error {
	var exit *exec.ExitError
	switch {
	case s.hung.Load():
		return errHung
	case err == nil && ctx.Err() == nil:
		return errors.New("the Core ended without being asked to")
	case !errors.As(err, &exit):
		return err
	}
	words := s.words.get()
	if words != "" {
		words = ": " + words
	}
	switch exit.ExitCode() {
	case hostwire.ExitUsage, hostwire.ExitRefused:
		return fmt.Errorf("%w%s", ErrRefused, words)
	case hostwire.ExitLocked:
		return errLocked
	case hostwire.ExitOlder:
		_, states, _ := strings.Cut(words, ErrOlder.Error()) // the Core's error has the same text
		return fmt.Errorf("%w: %w%s", ErrRefused, ErrOlder, states)
	}
	return fmt.Errorf("the Core ended: %w%s", err, words)
}

// listen reads the Core's messages until the Core is gone.
func (s *session) listen(ctx context.Context) {
	p := make([]byte, hostwire.MaxMessage)
	for {
		n, err := s.control.Read(p)
		if err != nil || n == 0 {
			return
		}
		message, err := hostframes.Decode(p[:n])
		if err != nil {
			s.h.log.Error("the Core sent a message that can't be understood")
			return
		}
		s.h.metrics.saw(message)
		s.h.health.hear(message, time.Now())
		switch m := message.(type) {
		case hostwire.Ready:
			s.ready = true
			s.h.metrics.up()
			s.h.health.enter(serving)
			if s.h.dryRun == nil {
				s.all.Go(func() { s.announce(ctx, m) })
				s.all.Go(func() { s.tellProcesses(ctx, m.Key) })
			}
		case hostwire.Anchor:
			if s.h.anchorWriter != nil {
				s.h.anchorWriter.update(headOf(m.Head))
			}
		case hostwire.StartTask:
			if s.h.dryRun == nil { // a dry run ends before it needs a Task
				s.all.Go(func() { s.runTask(m) })
			}
		case hostwire.StopTask:
			s.mu.Lock()
			if t := s.tasks[m.Instance]; t != nil {
				t.Kill()
			}
			s.mu.Unlock()
		case hostwire.Index:
			s.hear(m)
		case hostwire.Counters:
			s.h.metrics.set(m, s.memory)
		case hostwire.Event:
			s.h.log.Warn("alert", alertOf(m)...)
		}
		if s.h.dryRun != nil {
			s.h.dryRun.saw(message)
		}
	}
}

// alertOf returns the attributes of an alert's log line: its reason, and its place if it has one.
func alertOf(m hostwire.Event) []any {
	args := []any{"reason", client.ReasonName(m.Reason)}
	if m.Segment > 0 {
		args = append(args, "segment", m.Segment)
	}
	if m.Offset > 0 {
		args = append(args, "offset", m.Offset)
	}
	return args
}

// end kills the Tasks that the Core left.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for _, t := range s.tasks {
		t.Kill()
	}
}

// send sends one message, with a descriptor if f is not nil.
func (s *session) send(m hostwire.HostMessage, f *os.File) {
	var rights []byte
	if f != nil {
		rights = syscall.UnixRights(int(f.Fd()))
	}
	// An error means that the Core is gone. Then listen ends.
	_, _, _ = s.control.WriteMsgUnix(hostframes.Append(nil, m), rights, nil)
}

// stderrTail logs each line of the Core's standard error, and keeps the last line.
type stderrTail struct {
	mu   sync.Mutex
	line string
	once sync.Once
	done chan struct{}
}

func (l *stderrTail) ended() chan struct{} {
	l.once.Do(func() { l.done = make(chan struct{}) })
	return l.done
}

func (l *stderrTail) follow(r io.Reader, h *host) {
	defer close(l.ended())
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		h.log.Warn("the Core says", "line", lines.Text())
		l.mu.Lock()
		l.line = lines.Text()
		l.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, r)
}

func (l *stderrTail) wait() { <-l.ended() }

func (l *stderrTail) get() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.line
}
