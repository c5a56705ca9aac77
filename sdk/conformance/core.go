package conformance

import (
	"bufio"
	"fmt"

	"motte/core/identity"
	"motte/core/model"
	"motte/core/taskwire"
)

// core stands for the Core at the channel of one process.
type core struct {
	*trial
	*collection
	process  Process
	incoming chan incoming // from the goroutine that reads
	quit     chan struct{} // closed when no more is read
	trace    trace

	seq   uint64                  // of the last frame that was made
	queue []frame                 // frames that are not sent yet
	sent  uint64                  // number of the last frame that was sent
	lsn   func() uint64           // positions in the log
	cut   func(p []byte) [][]byte // how to cut the bytes of a write; nil: not at all

	open     int       // bytes that are sent, and neither confirmed nor answered
	changes  []*change // sent and not confirmed, oldest first
	searches []*search // sent and not answered, oldest first
	applied  uint64    // the highest Applied
}

// frame is a frame from the Core.
type frame struct {
	seq    uint64
	bytes  []byte
	text   string  // in words
	search *search // nil: a change
	change *change // nil: a Search
}

// incoming is a frame from the Task, or the end of the channel.
type incoming struct {
	answer taskwire.Answer
	err    error
}

// expectation says whether the Task has to accept what a change gives it.
type expectation int

const (
	mustAccept expectation = iota
	mustRefuse
	mayRefuse
)

// change is a Configure, an Insert or a Remove.
type change struct {
	seq     uint64
	size    int
	kind    taskwire.Type
	what    string // the input, in words
	expect  expectation
	refused bool
}

func newCore(t *trial, p Process) *core {
	c := &core{trial: t, collection: newCollection(t.random), process: p,
		incoming: make(chan incoming), quit: make(chan struct{})}
	c.lsn = func() uint64 { return c.seq }
	go c.receive()
	return c
}

// receive reads frames until the channel ends or a frame is wrong. It reads on while the Task
// is sent more, as the Core does.
func (c *core) receive() {
	in := bufio.NewReaderSize(c.process, 256<<10)
	buf := make([]byte, taskwire.MaxAnswerFrame)
	for {
		a, err := taskwire.ReadAnswer(in, buf)
		select {
		case c.incoming <- incoming{a, err}:
		case <-c.quit:
			return
		}
		if err != nil {
			return
		}
	}
}

// stop ends the process at once.
func (c *core) stop() {
	close(c.quit)
	c.process.Kill()
	c.process.Close()
	c.process.Wait()
}

// fail ends the check: the Task broke a rule.
func (c *core) fail(r rule, format string, a ...any) {
	panic(broken{rule: r, problem: fmt.Sprintf(format, a...), trace: &c.trace})
}

// add queues a frame, whose number is c.seq.
func (c *core) add(f frame) {
	f.seq = c.seq
	c.queue = append(c.queue, f)
}

// configure queues the Configure.
func (c *core) configure(t model.DataType, configuration []byte) *change {
	c.seq++
	ch := &change{seq: c.seq, kind: taskwire.Configure, what: excerpt(configuration)}
	conf := taskwire.Configuration{Type: t, Ordered: c.Case.ordered, MaxResults: uint32(c.MaxResults), Config: configuration}
	c.add(frame{bytes: taskwire.AppendConfigure(nil, c.seq, &conf), change: ch,
		text: fmt.Sprintf("Configure %d: type %d, ordered %v, configuration %s", c.seq, t, c.Case.ordered, ch.what)})
	return ch
}

// insert queues an Insert of an entry with an input.
func (c *core) insert(e *entry, input []byte, x expectation) *change {
	c.seq++
	c.collection.insert(c.seq, e, x)
	ch := &change{seq: c.seq, kind: taskwire.Insert, what: excerpt(input), expect: x}
	p := taskwire.AppendInsertHead(nil, c.seq, c.lsn(), e.id, e.owner, len(input))
	c.add(frame{bytes: append(p, input...), change: ch,
		text: fmt.Sprintf("Insert %d: object %d, owner %d, input %s", c.seq, e.object.number, e.owner, ch.what)})
	return ch
}

// removeID queues a Remove of an identity.
func (c *core) removeID(id identity.ID) {
	c.seq++
	text := fmt.Sprintf("Remove %d: %s", c.seq, c.name(id))
	if o := c.objects[id.Value()]; o != nil {
		c.end(c.seq, o, removed)
	}
	ch := &change{seq: c.seq, kind: taskwire.Remove}
	c.add(frame{bytes: taskwire.AppendRemove(nil, c.seq, c.lsn(), id), change: ch, text: text})
}
