// Package server runs the Core. The engine decides. The server around it owns sockets, files
// and goroutines, and decides nothing about objects or rights.
//
// Goroutines: Run itself runs the engine's loop. It starts and waits for the listener, the
// log's writer, the reader of fetches, the maintainer, the watcher of files, and the reader
// and the writer of the channel to the host. Each Task channel and each connection has a
// reader and a writer. They pass items through queues. The loop ends last, since the others
// may wait for it. A goroutine that finds the engine free applies its event in place of the
// loop (submit). Neither it nor the loop waits for a client or a Task then.
//
// The server guarantees these rules, which the engine can't check:
//
//  1. No length is believed before it is bounded. No memory is taken for a request before the
//     byte budget has space for it.
//  2. Each time before a record is sent, it is read and opened, and its content is compared
//     with its identity (paper, section 5: "the Hash value of object is also involved to
//     prevent alteration of the sealed blocks").
//  3. The bytes of a Task are decoded into a buffer that exists already. Bytes that can't be
//     decoded end the Task.
package server

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"motte/core/access"
	"motte/core/engine"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/model"
	"motte/core/seal"
	"motte/core/seglog"
	"motte/core/tlsauth"
)

// Config configures a Core.
type Config struct {
	Dir      string           // data directory; made if it does not exist
	Listen   string           // TCP address
	RootKey  string           // file; made with a new store if it does not exist
	Admin    access.Principal // the first administrator of a new store
	NewAdmin access.Principal // the only administrator from this start on; zero: no change
	Anchor   model.Head       // the head that was anchored last; LSN 0: no head
	Accept   bool             // serve a store that has lost records, this once
	Control  *net.UnixConn    // SOCK_SEQPACKET, to the host
}

// ErrOlder says that the history of the store lacks the head that its anchor holds.
var ErrOlder = errors.New("the store is older than its anchor, or is a fork")

// ErrKey says that the root key can't be used: its file is missing or readable by others, or
// holds no root key.
var ErrKey = errors.New("root key")

// keyPrefix begins a root key file: magic and version. 64 hexadecimal digits follow.
const keyPrefix = "motte-root-key-v1 "

// Limits of the server.
const (
	tickEvery    = 50 * time.Millisecond // time between two ticks of the engine
	countEvery   = time.Second           // time between two messages of counters to the host
	resumeEvery  = time.Second           // time between two attempts after a failed write
	stopWithin   = 10 * time.Second      // time for the requests in flight when the Core stops
	largeBudget  = 256 << 20             // bytes of large requests that are not answered
	smallRequest = 66 << 10              // bytes of a request that is not large: its body has at most 64 KiB
	ownRequest   = 5 << 10               // bytes of a request that needs no budget: a body of at most 4 KiB
	smallBudget  = 128 << 20             // bytes of small requests that are not answered
	answerBudget = 256 << 20             // bytes of large objects being sent
	fetchBudget  = 16 << 20              // bytes of records read for Tasks that the engine has not taken
)

// event is an input of the engine.
type event func(*engine.Engine)

// server is a running Core.
type server struct {
	Config
	root     seal.Root
	log      *seglog.Log
	listener *tlsauth.Listener

	// state guards the engine, and the fields of this block. A goroutine that changes the
	// engine holds it: the loop, or in its place the goroutine that brings an event (see
	// submit). Readers of connections share it to decide a GET.
	state   sync.RWMutex
	engine  *engine.Engine
	looping bool // the loop runs: others may apply events in its place
	tasks   map[uint64]*taskChannel
	conns   map[engine.Conn]*conn
	connsOf map[access.Principal]int // number of connections of each principal
	last    engine.Conn

	events       *queue[event]
	erase        *queue[struct{}] // has no items: its signal says that data keys must be destroyed
	appends      *queue[seglog.Group]
	fetches      *queue[engine.Fetch]
	toHost       *queue[hostwire.Message]
	largeBudget  *byteBudget    // bytes of large requests
	smallBudget  *byteBudget    // bytes of small requests, which large requests can't delay
	answerBudget *byteBudget    // bytes of large objects being sent
	producers    sync.WaitGroup // goroutines that may wait for the loop
	stats        counters
	measured     measured
	garbage      int          // percentage that collect has set; used by the loop alone
	written      atomic.Int64 // bytes of records since the newest checkpoint, and replayCost for each record
	full         bool         // see setFull; used by events alone
	stopping     atomic.Bool  // connections end when they are idle
}

// Run serves until the host asks it to stop or ends. It returns an error if the store can't be
// opened, verified or served: among others ErrOlder, ErrKey, seglog.ErrLocked, seglog.ErrDamaged
// or seglog.ErrVersion.
func Run(cfg Config) error {
	dir, err := seglog.OpenDir(cfg.Dir)
	if err != nil {
		return fmt.Errorf("open data directory: %w", err)
	}
	s := newServer(cfg)
	if err = s.open(dir); err == nil {
		s.listener, err = tlsauth.Listen(cfg.Listen, s.log.Keys().Core[:])
	}
	if err == nil {
		if err := s.log.Trim(); err != nil { // the next start tries again
			say("remove the tails of segments: %v", err)
		}
		s.serve()
	}
	return errors.Join(err, dir.Close())
}

func newServer(cfg Config) *server {
	return &server{Config: cfg, tasks: make(map[uint64]*taskChannel), conns: make(map[engine.Conn]*conn),
		connsOf: make(map[access.Principal]int),
		erase:   newQueue[struct{}](), events: newQueue[event](),
		appends: newQueue[seglog.Group](), fetches: newQueue[engine.Fetch](),
		toHost: newQueue[hostwire.Message](), largeBudget: newByteBudget(largeBudget),
		smallBudget: newByteBudget(smallBudget), answerBudget: newByteBudget(answerBudget)}
}

// open verifies the store and replays it into a new engine.
func (s *server) open(dir *seglog.Dir) error {
	empty, err := seglog.Empty(dir)
	if err != nil {
		return err
	}
	root, err := ReadRootKey(s.RootKey)
	if errors.Is(err, os.ErrNotExist) && empty {
		_, _ = rand.Read(root[:]) // never fails: see crypto/rand
		err = WriteRootKey(s.RootKey, root)
	}
	if err == nil && empty {
		// A store must not depend on a key file that a crash can remove. A start that was
		// killed may have left such a file, too. If the directory can't be synced, no start
		// can have made the file.
		err = seglog.SyncPath(filepath.Dir(s.RootKey))
		if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EINVAL) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	within, err := filepath.Rel(s.Dir, filepath.Dir(s.RootKey))
	config := engine.Config{Random: rand.Read, KeyInStore: err == nil && filepath.IsLocal(within)}
	return s.restore(dir, root, rand.Read, config)
}

// restore opens the log in a storage. It makes an engine from the newest intact checkpoint,
// and replays the records after it. Then it compares the log with the anchor.
func (s *server) restore(
	st seglog.Storage, root seal.Root, random seglog.Random, cfg engine.Config,
) (err error) {
	s.root = root
	if s.log, err = seglog.Open(st, root, random, nil); err != nil {
		return err
	}
	cfg.Maker, cfg.History, cfg.Now = s.newMaker(), s.log, time.Now()
	cfg.Admin, cfg.NewAdmin = s.Admin, s.NewAdmin
	if next := s.log.Keys().Next; next != [seal.KeySize]byte{} {
		cfg.NextKey = tlsauth.Public(next[:])
	}
	var damage error
	for _, n := range s.log.Checkpoints() {
		err = retry(readTries, func() error {
			s.engine = engine.New(cfg)
			return s.log.Restore(n, s.engine.Restore)
		})
		if err == nil {
			break
		} else if errors.Is(err, seglog.ErrLost) {
			return err
		}
		say("taking the checkpoint before: %v", err)
		damage, cfg.Notes = err, []model.Reason{model.ReasonCheckpoint}
		if !errors.Is(err, seglog.ErrDamaged) {
			cfg.Notes[0] = model.ReasonReadFailed
		}
	}
	err = s.replay()
	if err == nil {
		err = s.engine.Check(s.log.Has)
	}
	if err != nil {
		return errors.Join(err, damage)
	}
	if s.log.KeysOlder() {
		s.engine.Notes = append(s.engine.Notes, model.ReasonKeysOlder)
	}
	return s.compareWithAnchor()
}

// compareWithAnchor checks that the log contains the head that its anchor remembers. It
// makes no check if the operator accepts a loss.
func (s *server) compareWithAnchor() error {
	at := s.log.Position()
	if s.Accept {
		s.engine.Notes = append(s.engine.Notes, model.ReasonLossAccepted)
	} else if s.Anchor.LSN > at.LSN || !s.log.Contains(s.Anchor) {
		return fmt.Errorf("%w: the anchor remembers record %d of segment %x…, "+
			"the store ends with record %d of segment %x…",
			ErrOlder, s.Anchor.LSN, s.Anchor.Segment[:4], at.LSN, at.SegmentID[:4])
	}
	return nil
}

// serve runs all goroutines until the host asks to stop.
func (s *server) serve() {
	s.engine.Start(time.Now(), s.log.Position())
	s.observe() // before the first client can ask
	ctx, cancel := context.WithCancel(context.Background())
	for _, work := range []func(context.Context){
		s.writeLog, s.readFetches, s.writeHost, s.maintain, s.watchFiles,
	} {
		s.producers.Go(func() { work(ctx) })
	}
	s.producers.Go(s.readHost)
	over := make(chan struct{})
	go func() {
		s.accept() // returns when all connections have their answers, or their time is up
		s.runOnEngine(func(*engine.Engine) {
			for _, t := range s.tasks {
				t.close()
			}
		})
		s.settleLedgers()
		cancel()
		_ = s.Control.SetWriteDeadline(time.Now().Add(drainTime))
		s.producers.Wait()
		close(over)
	}()
	s.loop(over)
	_ = s.Control.SetWriteDeadline(time.Now().Add(drainTime)) // the first one may have passed by now
	_, _ = s.Control.Write(hostwire.Anchor{Head: s.log.Position().Head()}.Append(nil))
	s.Control.Close()
}

// settleLedgers writes the exact amounts of the leak meter to the log, if the disk takes
// them in time. No query is in flight any more.
func (s *server) settleLedgers() {
	done := make(chan struct{})
	s.events.put(func(e *engine.Engine) { e.SettleLedgers(func(model.Code) { close(done) }) })
	select {
	case <-done:
	case <-time.After(drainTime):
	}
}

// stop makes accept return soon, but only after the requests in flight are answered, or
// their time is up.
func (s *server) stop() {
	s.stopping.Store(true)
	s.runOnEngine(func(e *engine.Engine) { // before accept can return, and the loop ends
		e.Stop()
		for _, c := range s.conns {
			c.stopReading()
			_ = c.net.SetReadDeadline(time.Now())
			time.AfterFunc(stopWithin, c.shut) // even if it still reads or writes
		}
	})
	s.listener.Close()
}

// runOnEngine runs do between two events, and waits until it is done.
func (s *server) runOnEngine(do event) {
	done := make(chan struct{})
	s.submit(func(e *engine.Engine) {
		do(e)
		close(done)
	})
	<-done
}

// submit hands events to the engine. If no other goroutine uses the engine at this moment,
// the caller applies them, after all waiting events, and hands on the outputs. So a lone
// event wakes no other goroutine on its way. Otherwise the loop applies them.
func (s *server) submit(events ...event) {
	if len(events) == 0 {
		return
	}
	s.events.add(events...)
	if !s.state.TryLock() {
		s.events.signal()
		return
	}
	if !s.looping {
		s.state.Unlock()
		s.events.signal()
		return
	}
	next := s.apply(time.Time{})
	s.state.Unlock()
	next.serve()
}

// loop owns the engine: it applies events, and hands on the outputs.
func (s *server) loop(over <-chan struct{}) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	counted := time.Now()
	s.turn(time.Time{}, false)
	for {
		var now time.Time // of a tick
		select {
		case <-s.events.wake:
		case now = <-ticker.C:
		case <-over:
			return
		}
		count := now.Sub(counted) >= countEvery
		if count {
			counted = now
		}
		s.turn(now, count)
	}
}

// turn is one turn of the loop. It applies the waiting events, and a tick if now is not
// zero. With count it also counts for the host.
func (s *server) turn(now time.Time, count bool) {
	s.state.Lock()
	s.looping = true
	next := s.apply(now)
	if count {
		s.countObserved()
	}
	s.state.Unlock()
	next.wake()
}

// apply lets the engine take the waiting events, and a tick if now is not zero. It hands on
// the outputs, and returns the recipients that must still be woken. The caller holds the
// state.
func (s *server) apply(now time.Time) (next recipients) {
	events := s.events.take()
	if len(events) > 0 {
		s.engine.At(time.Now())
	}
	for _, happened := range events {
		happened(s.engine)
	}
	if !now.IsZero() { // an answer that came before the tick is not late
		s.tick(now)
	}
	if s.engine.Work() {
		s.events.signal() // more is left
	}
	return s.dispatch(s.engine.Take())
}

// recipients are the connections and Tasks whose queues have got items, and whose writers
// were not woken.
type recipients struct {
	conns []*conn
	tasks []*taskChannel
}

// wake wakes their writers.
func (r *recipients) wake() {
	for _, t := range r.tasks {
		t.out.signal()
	}
	for _, c := range r.conns {
		c.out.signal()
	}
}

// serve writes to Tasks the bytes that their channels take at once, and sends a lone short
// answer. It waits for no Task and no client, and wakes the writers for the rest.
func (r *recipients) serve() {
	for _, t := range r.tasks {
		t.writeNow()
	}
	if len(r.conns) == 1 {
		r.conns[0].answerNow()
		return
	}
	for _, c := range r.conns {
		c.out.signal()
	}
}

// dispatch hands the outputs of the engine to the goroutines that do the work. It returns
// the recipients that must be woken when the state is free.
func (s *server) dispatch(o engine.Output) (next recipients) {
	s.appends.put(o.Append...)
	s.fetches.put(o.Fetch...)
	if o.Erase {
		s.erase.signal()
	}
	// The connections of principals that lost a right end first. So no answer that was
	// decided by this right leaves after a client is told of the loss.
	for _, p := range o.Ended {
		for _, c := range s.conns {
			if c.principal == p {
				c.shut()
				s.forget(c)
			}
		}
	}
	for _, r := range o.Replies {
		if c := s.deliver(r); c != nil {
			next.conns = append(next.conns, c)
		}
	}
	for _, f := range o.Frames {
		if t := s.tasks[f.Instance]; t != nil {
			t.out.add(f)
			next.tasks = append(next.tasks, t)
		}
	}
	for i, message := range o.Host {
		switch m := message.(type) {
		case hostwire.Ready:
			m.Key, m.Address = [32]byte(s.listener.Public), s.listener.Addr().String()
			o.Host[i] = m
		case hostwire.StopTask:
			if t := s.tasks[m.Instance]; t != nil {
				t.close()
				delete(s.tasks, m.Instance)
			}
		}
	}
	s.toHost.put(o.Host...)
	return next
}

// newMaker returns a maker of identities for a goroutine of its own.
func (s *server) newMaker() *identity.Maker { return identity.NewMaker(s.log.Keys().Identity()) }

// say tells the operator something, on a line of standard error.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "motte-core: "+format+"\n", args...) }

// budgetFor returns the byte budget in which a request of n bytes counts.
func (s *server) budgetFor(n int) *byteBudget {
	if n <= smallRequest {
		return s.smallBudget
	}
	return s.largeBudget
}

// ReadRootKey reads the root key. It refuses a file that other users of the machine may
// read, since a key that others may know protects no data.
func ReadRootKey(path string) (root seal.Root, err error) {
	f, err := os.Open(path)
	if err != nil {
		return root, err
	}
	defer f.Close()
	info, err := f.Stat()
	text, errRead := io.ReadAll(io.LimitReader(f, 256))
	if err := errors.Join(err, errRead); err != nil {
		return root, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return root, fmt.Errorf("root key %s can be read by others: its mode must be 0600", path)
	}
	digits, ok := strings.CutPrefix(strings.TrimSpace(string(text)), keyPrefix)
	key, err := hex.DecodeString(digits)
	if !ok || err != nil || len(key) != seal.KeySize {
		return root, fmt.Errorf("%s is no root key of version 1", path)
	}
	return seal.Root(key), nil
}

// WriteRootKey makes the file that ReadRootKey reads, whole and durable, or not at all. It
// replaces no file. It returns os.ErrExist if the file exists, if another program is making
// it, or if a crash left an unfinished file.
func WriteRootKey(path string, root seal.Root) error {
	if err := seglog.SyncPath(filepath.Dir(path)); err != nil { // the name would not be durable
		return err
	}
	return seglog.WriteFile(path, func(w io.Writer) error {
		// Only one program at a time gets here to make the file.
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			return cmp.Or(err, os.ErrExist)
		}
		_, err := fmt.Fprintln(w, keyPrefix+hex.EncodeToString(root[:]))
		return err
	})
}
