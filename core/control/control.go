// Package control is the channel between the Core and the host that
// supervises it: a SOCK_SEQPACKET pair, one message a packet.
//
// The host is untrusted (design, section 3): it starts processes and counts.
// What it can do through this channel is bounded by the messages: hand over
// the channel of a Task that the Core asked for, report that a Task ended,
// ask the Core to stop. What it learns is bounded too: which executables to
// run, counters that depend on no content, and positions of damaged records.
//
// A message is magic "MC" | version 1 | type 1 | fields in order.
package control

import (
	"encoding/binary"

	"motte/core/frame"
	"motte/core/wire"
)

// Version is the only version of the control protocol spoken.
const Version = 1

// MaxMessage bounds a message in bytes; a longer packet is refused.
const MaxMessage = 32 << 10

// Type says what a message is.
type Type uint8

// Messages from the Core to the host.
const (
	Ready     Type = 1 // Key, Address: clients can connect
	StartTask Type = 2 // Instance, Measurement, Memory: start that executable, send TaskStarted or TaskEnded
	StopTask  Type = 3 // Instance: kill it; TaskEnded follows
	Counters  Type = 4 // Values: see Stats
	Event     Type = 5 // Reason, Segment, Offset: an alert was raised
)

// Messages from the host to the Core.
const (
	TaskStarted Type = 64 // Instance; one descriptor, the Core's end of the Task's socket pair
	TaskEnded   Type = 65 // Instance: it is gone, or could not be started
	Stop        Type = 66 // finish what is in flight and exit
)

// MaxAddress bounds the text of a listening address in bytes.
const MaxAddress = 64

// Message is one message; fields that its type does not list are zero.
type Message struct {
	Type        Type
	Instance    uint64
	Measurement [32]byte
	Memory      uint64 // bytes
	Key         [32]byte
	Address     string
	Reason      wire.Reason
	Segment     uint32
	Offset      uint32
	Values      []uint64
}

// Append appends the encoding of m to p.
func Append(p []byte, m *Message) []byte {
	b := binary.BigEndian
	p = append(p, 'M', 'C', Version, byte(m.Type))
	switch m.Type {
	case Ready:
		p = frame.AppendText(append(p, m.Key[:]...), m.Address, MaxAddress)
	case StartTask:
		p = append(b.AppendUint64(p, m.Instance), m.Measurement[:]...)
		p = b.AppendUint64(p, m.Memory)
	case StopTask, TaskStarted, TaskEnded:
		p = b.AppendUint64(p, m.Instance)
	case Event:
		p = b.AppendUint32(b.AppendUint32(append(p, byte(m.Reason)), m.Segment), m.Offset)
	case Counters:
		for _, v := range m.Values {
			p = b.AppendUint64(p, v)
		}
	}
	return p
}

// Decode reads one message. The result does not alias p.
func Decode(p []byte) (m Message, err error) {
	r := frame.NewReader(p)
	r.Require(len(p) <= MaxMessage)
	r.Require(r.U8() == 'M')
	r.Require(r.U8() == 'C')
	r.Require(r.U8() == Version)
	m.Type = Type(r.U8())
	switch m.Type {
	case Ready:
		r.Copy(m.Key[:])
		m.Address = r.Text(MaxAddress)
	case StartTask:
		m.Instance = r.U64()
		r.Copy(m.Measurement[:])
		m.Memory = r.U64()
	case StopTask, TaskStarted, TaskEnded:
		m.Instance = r.U64()
	case Event:
		m.Reason, m.Segment, m.Offset = wire.Reason(r.U8()), r.U32(), r.U32()
	case Counters:
		m.Values = make([]uint64, r.Len()/8)
		for i := range m.Values {
			m.Values[i] = r.U64()
		}
	case Stop:
	default:
		r.Require(false)
	}
	return m, r.Done()
}
