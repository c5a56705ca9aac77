// Package hostwire is the channel between the Core and the host that
// supervises it: a SOCK_SEQPACKET pair, one message a packet.
//
// The host is untrusted (design, section 3): it starts processes and counts.
// What it can do through this channel is bounded by the messages: hand over
// the channel of a Task that the Core asked for, report that a Task ended,
// ask the Core to stop. What it learns is bounded too: which executables to
// run, counters that depend on no content, and positions of damaged records.
//
// A message is
//
//	magic "MC" | version 1 | type 1 | instance 8
//
// and, from the Core, behind it
//
//	measurement 32 | memory 8 | key 32 | address 64 | reason 1 | segment 4
//	offset 4 | values, 8 each …
//
// An index goes by its number: the host is not told what it is called.
//
// So all that a message of the host can hold is a type and a number. The host's
// half, which encodes those and decodes the Core's, is host/hostframes.
package hostwire

import (
	"motte/core/codec"
	"motte/core/model"
)

// Version is the only version of the control protocol spoken.
const Version = 1

// Exit statuses by which a Core says that it refuses to start. Go's runtime ends a
// process with 2 after a panic, and programs end with 1 after any error, so neither
// number is in this list: the host takes them, and all others, for a crash.
const (
	ExitUsage   = 64 // the command line is wrong
	ExitRefused = 65 // the store or its key can't be opened or verified
	ExitLocked  = 66 // another Core has the store open; it may be about to stop
	ExitOlder   = 67 // the store is older than its anchor, or another branch
)

// MaxMessage bounds a message in bytes; a longer packet is refused.
const MaxMessage = 32 << 10

// Type says what a message is.
type Type uint8

// Messages from the Core to the host.
const (
	Ready     Type = 1 // Key, Address: clients can connect
	StartTask Type = 2 // Instance, Measurement, Memory, Values: number of its index: start that executable
	StopTask  Type = 3 // Instance: kill it; TaskEnded follows
	Counters  Type = 4 // Values: Stats, and the flags and numbers of the server in a STATUS
	Event     Type = 5 // Reason, Segment, Offset: an alert was raised
	Anchor    Type = 6 // Instance: LSN, Key: segment's tag and chain value of the head to be remembered
	Index     Type = 7 // before Counters, one for each: Instance or 0, Values: number, state, restarts, queue
)

// Messages from the host to the Core.
const (
	TaskStarted Type = 64 // Instance, one descriptor, the Core's end of the Task's socket pair: see StartTask
	TaskEnded   Type = 65 // Instance: it is gone, or could not be started
	Stop        Type = 66 // finish what is in flight and exit
)

// MaxAddress bounds the text of a listening address in bytes.
const MaxAddress = 64

// Message is one message; fields that its type does not list are zero.
type Message struct {
	Type            Type
	Instance        uint64
	Measurement     [32]byte
	Memory          uint64 // bytes
	Key             [32]byte
	Address         string
	Reason          model.Reason
	Segment, Offset uint32
	Values          []uint64
}

// Append appends the encoding of a message of the Core to p.
func Append(p []byte, m *Message) []byte {
	w := codec.Writer(p).U8('M', 'C', Version, byte(m.Type)).U64(m.Instance)
	w = w.Bytes(m.Measurement[:]).U64(m.Memory).Bytes(m.Key[:]).Text(m.Address, MaxAddress)
	w = w.U8(byte(m.Reason)).U32(m.Segment).U32(m.Offset)
	for _, v := range m.Values {
		w = w.U64(v)
	}
	return w
}

// Decode reads one message of the host.
func Decode(p []byte) (m Message, err error) {
	r := codec.NewReader(p)
	r.Require(string(r.Take(2)) == "MC" && r.U8() == Version)
	m.Type, m.Instance = Type(r.U8()), r.U64()
	r.Require(m.Type == TaskStarted || m.Type == TaskEnded || m.Type == Stop && m.Instance == 0)
	return m, r.Done()
}

// MaxOp and MaxCode are one more than the highest operation and code counted.
const MaxOp, MaxCode = int(model.LastOperation) + 1, int(model.LastCode) + 1

// Buckets is the number of buckets of a latency histogram: bucket i counts
// what took less than 2^i × 16 µs; the last one counts the rest.
const Buckets = 20

// Stats are the Core's counters since it started, by the indexes below. They
// depend on how many requests there were, on their kind, outcome and duration,
// and on nothing else: on no content, name, principal or predicate.
type Stats [micros + MaxOp]uint64

// Indexes of single counters.
const (
	Synced      = iota // records made durable
	SyncMicros         // time that took
	Refused            // connections: strangers, over the limit, or a handshake that failed
	WriteBegan         // Unix milliseconds: when the write began that the log has not taken yet; 0: none
	SyncLatency        // the first of Buckets, of group commits
	requests    = SyncLatency + Buckets
	latency     = requests + MaxOp*MaxCode
	micros      = latency + MaxOp*Buckets
)

// Requests is the index of the answers to an operation with a code.
func Requests(op, code int) int { return requests + op*MaxCode + code }

// Latency is the index of a bucket of an operation's latency.
func Latency(op, bucket int) int { return latency + op*Buckets + bucket }

// Micros is the index of the time that all answers to an operation took.
func Micros(op int) int { return micros + op }
