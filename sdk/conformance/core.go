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

	open      int        // bytes that are sent, and neither confirmed nor answered
	changes   []*change  // sent and not confirmed, oldest first
	inquiries []*inquiry // sent and not answered, oldest first
	applied   uint64     // the highest Applied

	shelf  *shelf // nil: the Task has none
	unsent bool   // changes are made without telling the Task
	fed    int    // objects that the Task lacked after it got its blobs
}

// frame is a frame from the Core.
type frame struct {
	seq     uint64
	bytes   []byte
	text    string   // in words
	inquiry *inquiry // nil: a change
	change  *change  // nil: an inquiry
}

// inquiry is a frame that asks for an answer: a Search, Save, Runs or List.
type inquiry struct {
	kind   taskwire.Type
	seq    uint64
	size   int
	search *search                 // of a Search
	take   func(a taskwire.Answer) // takes the answer to another one
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

// change is a frame that Applied confirms: a Configure, Insert, Remove, Void or Stored.
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
	if c.shelf != nil {
		conf.Shelf = c.shelf.quota
	}
	c.add(frame{bytes: taskwire.AppendConfigure(nil, c.seq, &conf), change: ch,
		text: fmt.Sprintf("Configure %d: type %d, ordered %v, configuration %s", c.seq, t, c.Case.ordered, ch.what)})
	return ch
}

// number returns the number of a change: of its frame, which is the next one, or of the start of the
// process, if the Task is not told.
func (c *core) number() uint64 {
	if c.unsent {
		return atStart
	}
	c.seq++
	return c.seq
}

// insert makes an object, or another content of an object, and queues the Insert.
func (c *core) insert(e *entry, input []byte, x expectation) {
	c.collection.insert(c.number(), e, input, x)
	if !c.unsent {
		c.queueInsert(e.object)
	}
}

// queueInsert queues the Insert of the present content of an object. Its number is c.seq.
func (c *core) queueInsert(o *object) {
	ch := &change{seq: c.seq, kind: taskwire.Insert, what: excerpt(o.input), expect: o.expect}
	p := taskwire.AppendInsertHead(nil, c.seq, c.lsn(), o.id, o.owner, len(o.input))
	c.add(frame{bytes: append(p, o.input...), change: ch,
		text: fmt.Sprintf("Insert %d: object %d, owner %d, input %s", c.seq, o.number, o.owner, ch.what)})
}

// removeID removes the object of an identity, and queues the Remove.
func (c *core) removeID(id identity.ID) {
	text := c.name(id)
	seq := c.number()
	if o := c.objects[id.Value()]; o != nil {
		c.collection.remove(seq, o)
	}
	if !c.unsent {
		c.add(frame{bytes: taskwire.AppendRemove(nil, c.seq, c.lsn(), id), change: &change{seq: c.seq, kind: taskwire.Remove},
			text: fmt.Sprintf("Remove %d: %s", c.seq, text)})
	}
}

// empty gives an object a content without an input, and queues the Void.
func (c *core) empty(number int) {
	o := c.object(number)
	c.collection.empty(c.number(), o, c.identify(o), alias(number%owners))
	if !c.unsent {
		c.queueVoid(o)
	}
}

// queueVoid queues the Void of an object. Its number is c.seq.
func (c *core) queueVoid(o *object) {
	c.add(frame{bytes: taskwire.AppendVoid(nil, c.seq, c.lsn(), o.id), change: &change{seq: c.seq, kind: taskwire.Void},
		text: fmt.Sprintf("Void %d: object %d", c.seq, o.number)})
}

// feed queues the present content of an object, which the Task lacks.
func (c *core) feed(o *object) {
	c.seq++
	if o.void {
		c.queueVoid(o)
	} else {
		c.queueInsert(o)
	}
}

// inquire queues a frame that asks for an answer. Its number is c.seq.
func (c *core) inquire(kind taskwire.Type, p []byte, text string, take func(taskwire.Answer)) {
	c.add(frame{bytes: p, text: text, inquiry: &inquiry{kind: kind, seq: c.seq, take: take}})
}
