package conformance

import (
	"slices"
	"time"

	"motte/core/model"
)

// startCheck is the check without which no other check can tell anything.
const startCheck = "process/start"

var processChecks = []Check{
	{startCheck, "start in the confinement, and confirm the configuration", (*trial).startsAndConfirms},
	{"process/end", "end when the channel is closed: before the first frame, idle, in the middle of a frame", (*trial).endsWithChannel},
	{"process/again", "answer the same in a fresh process that gets the same objects in another order", (*trial).answersAgain},
	{"configuration/refused", "refuse each configuration that the case says, and end", (*trial).refusesConfigurations},
	{"configuration/long", "confirm or refuse the longest configuration", (*trial).takesLongConfiguration},
}

func (t *trial) startsAndConfirms() { t.configured() }

func (t *trial) endsWithChannel() {
	t.start().close("before the first frame")
	t.configured().close("after the configuration")
	c := t.configured()
	c.fill(20)
	c.askAll()
	c.settle()
	c.close("idle, with objects")
	for _, n := range []int{1, 15, 16, 40} {
		c = t.configured()
		c.put(0, c.sample(0))
		cut := c.queue[0].bytes
		c.write(cut[:min(n, len(cut))])
		c.close("in the middle of a frame")
	}
}

// close closes the channel. The Task must end.
func (c *core) close(when string) {
	c.process.Close()
	ended := make(chan struct{})
	go func() {
		c.process.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(c.Deadline):
		c.fail(ruleEnds, "the channel was closed (%s), and the process still runs after %v", when, c.Deadline)
	}
}

func (t *trial) answersAgain() {
	first := t.configured()
	const objects = 40
	first.fill(objects)
	for i := range objects / 4 {
		first.put(4*i, first.sample(4*i+1))
		first.remove(4*i + 2)
	}
	first.askAll()
	first.settle()
	again := t.successor(first)
	again.configure(t.Case.dataType, t.Case.configuration)
	again.feedAll()
	again.askAll()
	again.settle()
}

// successor ends a process, and starts another one, which was sent nothing yet.
func (t *trial) successor(c *core) *core {
	c.stop()
	t.started = slices.DeleteFunc(t.started, func(other *core) bool { return c == other })
	next := t.start()
	next.collection = c.collection.successor()
	return next
}

// feedAll queues all objects of the collection, in a random order. Their positions in the log do not
// ascend.
func (c *core) feedAll() {
	ordinary := c.lsn
	c.lsn = func() uint64 { return c.random.Uint64() }
	objects := c.all()
	for _, i := range c.random.Perm(len(objects)) {
		c.feed(objects[i])
	}
	c.lsn = ordinary
}

func (t *trial) refusesConfigurations() {
	refused := t.Case.refused
	if len(refused.configurations)+len(refused.types) == 0 {
		t.skip("the case names no configuration and no data type that is refused")
	}
	for _, configuration := range refused.configurations {
		t.refusesConfiguration(t.Case.dataType, configuration)
	}
	for _, dataType := range refused.types {
		t.refusesConfiguration(dataType, t.Case.configuration)
	}
}

func (t *trial) refusesConfiguration(dataType model.DataType, configuration []byte) {
	c := t.start()
	c.configure(dataType, configuration).expect = mustRefuse
	c.put(0, c.sample(0)) // the Core may have sent it before it reads the refusal
	c.settle()
	c.close("after a refused configuration")
}

func (t *trial) takesLongConfiguration() {
	c := t.start()
	configuration := slices.Repeat([]byte("a"), model.MaxSubQuery)
	copy(configuration, t.Case.configuration)
	ch := c.configure(t.Case.dataType, configuration)
	ch.expect = mayRefuse
	c.settle()
	c.close("after the longest configuration")
}
