package host

import (
	"math"
	"math/bits"
	"time"

	"motte/core/model"
)

// The metrics of an index. Its Task decides some of them, and a reader of the page may have no
// right to read the collection. So the page shows:
//
//  1. the index's number. It shows names only if the operator asks for names;
//  2. the Task's memory and queue in few steps, with a new value at most each sampleEvery: less
//     than
//     a bit a second (docs/threat-model.md);
//  3. the duration of a start as a power of two;
//  4. the exact state and number of restarts. A Task can end, or be slow, and an alert tells that
//     as well.
const (
	sampleEvery = 15 * time.Second
	memorySteps = 16 // of the limit; a Task can take more than its limit
)

// standing is the state of an index, as the page shows it.
type standing struct {
	state    model.IndexState
	restarts uint64
	queue    uint64        // changes and questions, in steps
	memory   uint64        // bytes of its processes, in steps; 0: the index had no process
	limit    uint64        // bytes of all of them; 0: the index had no process
	start    time.Duration // from the last start of its Task until it served, in steps; 0: it does not serve yet
	sampled  time.Time     // when queue and memory were read
}

// indexName is the name of an index, for operators.
type indexName struct{ collection, index string }

// settle shows the indexes that the Core reported since the counters before. resident returns the
// memory of an index's processes.
func (m *metrics) settle(now time.Time, resident func(index uint64) (bytes, limit uint64)) {
	indexes := make(map[uint64]standing)
	for _, msg := range m.coming {
		number := uint64(msg.Index)
		x := m.indexes[number]
		x.state, x.restarts = msg.State, msg.Restarts
		if now.Sub(x.sampled) >= sampleEvery {
			x.sampled = now
			x.queue = coarseQueue(msg.Queued)
			bytes, limit := resident(number)
			x.memory, x.limit = coarseMemory(bytes, limit), limit
		}
		if began, ok := m.began[msg.Instance]; ok && x.state == model.IndexServing {
			x.start = coarseTime(now.Sub(began))
			delete(m.began, msg.Instance)
		}
		indexes[number] = x
	}
	for instance := range m.began { // drop the starts of processes that never served
		if now.Sub(m.began[instance]) > longestStart {
			delete(m.began, instance)
		}
	}
	m.indexes, m.coming = indexes, nil
	m.askForNames()
}

// longestStart is the time after which a Task's start is no longer timed.
const longestStart = 24 * time.Hour

// askForNames asks for the names again, if the operator wants names and one is missing.
func (m *metrics) askForNames() {
	for number := range m.indexes {
		if _, known := m.names[number]; !known {
			select {
			case m.unnamed <- struct{}{}:
			default: // the operator wants no names, or the token is still there
			}
			return
		}
	}
}

// coarseQueue rounds up to a power of four: 12 steps up to the limit of all queues.
func coarseQueue(n uint64) uint64 {
	if n == 0 {
		return 0
	}
	up := (bits.Len64(n-1) + 1) / 2
	return 1 << (2 * min(up, 31))
}

// coarseMemory rounds up to a step of the limit, and to twice the limit at most.
func coarseMemory(bytes, limit uint64) uint64 {
	step := limit / memorySteps
	if step == 0 || bytes == 0 {
		return 0
	}
	return step * min((bytes-1)/step+1, 2*memorySteps)
}

// coarseTime rounds up to a power of two of seconds.
func coarseTime(d time.Duration) time.Duration {
	n := uint64(math.Ceil(max(d.Seconds(), 1)))
	return time.Second << bits.Len64(n-1)
}
