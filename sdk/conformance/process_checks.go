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
	first.stop()
	t.started = slices.DeleteFunc(t.started, func(c *core) bool { return c == first })
	again := t.configured()
	again.feed(first.living())
	again.askAll()
	again.settle()
}

// feed queues Inserts of the entries of another process, in a random order. The positions in the
// log are those of the first Inserts, so they do not ascend.
func (c *core) feed(entries []*entry) {
	c.random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	ordinary := c.lsn
	for _, e := range entries {
		c.lsn = func() uint64 { return e.from }
		c.adopt(e)
	}
	c.lsn = ordinary
}

// adopt queues an Insert of an entry of another process.
func (c *core) adopt(e *entry) {
	c.values[e.object.number] = e.id.Value()
	o := &object{number: e.object.number}
	c.objects[e.id.Value()] = o
	c.insert(&entry{id: e.id, object: o, sample: e.sample, owner: e.owner}, c.input(e.sample), mustAccept)
}

// input returns the input of a sample.
func (c *core) input(name string) []byte {
	i := slices.IndexFunc(c.Case.samples, func(s sample) bool { return s.name == name })
	return c.Case.samples[i].input
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
