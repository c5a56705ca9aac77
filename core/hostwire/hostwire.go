// Package hostwire is the channel between the Core and the host that supervises it: a
// SOCK_SEQPACKET pair, one message in each packet.
//
// The host is untrusted (design, section 3). It starts processes and counts. The
// messages bound its influence: it can hand over the channel of a Task that the Core
// asked for, report that a Task ended, and ask the Core to stop. They also bound its
// knowledge: it learns which executables to run, counters that depend on no content, and
// the positions of damaged records. An index has a number; the host does not learn the
// names of indexes.
//
// A message is a header, followed by the fields of its type:
//
//	magic "MC" | version 1 | type 1 | fields …
//
//	type            fields
//	 1 Ready        key 32 | address 64
//	 2 StartTask    instance 8 | index 4 | measurement 32 | memory 8
//	 3 StopTask     instance 8
//	 4 Counters     Stats | model.ServerStatus
//	 5 Event        reason 1 | segment 4 | offset 4
//	 6 Anchor       head 40
//	 7 Index        index 4 | instance 8 | state 1 | restarts 8 | queued 8 | done 8
//	64 TaskStarted  instance 8, with one descriptor
//	65 TaskEnded    instance 8
//	66 Stop
//
// Types below 64 go from the Core to the host, the others from the host to the Core. This
// package encodes the former and decodes the latter. Package host/hostframes is the
// host's half.
package hostwire

import (
	"motte/core/codec"
	"motte/core/model"
)

// Version is the only version of the host protocol spoken.
const Version = 1

// Exit statuses of a Core that refuses to start. Go's runtime ends a process with 2 after
// a panic, and programs end with 1 after any error, so neither number is in this list. The
// host takes them, and all other numbers, for a crash.
const (
	ExitUsage   = 64 // the command line is wrong
	ExitRefused = 65 // the store or its key can't be opened or verified
	ExitLocked  = 66 // another Core has the store open; it may be about to stop
	ExitOlder   = 67 // the store is older than its anchor, or is a fork
)

// MaxMessage bounds a message in bytes; a longer packet is refused.
const MaxMessage = 32 << 10

// MaxAddress bounds the text of a listening address in bytes.
const MaxAddress = 64

// Type is the type of a message.
type Type uint8

// Messages from the Core to the host.
const (
	TypeReady     Type = 1
	TypeStartTask Type = 2
	TypeStopTask  Type = 3
	TypeCounters  Type = 4
	TypeEvent     Type = 5
	TypeAnchor    Type = 6
	TypeIndex     Type = 7
)

// Messages from the host to the Core.
const (
	TypeTaskStarted Type = 64
	TypeTaskEnded   Type = 65
	TypeStop        Type = 66
)

// Message is a message of the Core: Ready, StartTask, StopTask, Counters, Event, Anchor or
// Index.
type Message interface {
	// Append appends the encoding of the message to p.
	Append(p []byte) []byte
}

// Ready says that clients can connect.
type Ready struct {
	Key     [32]byte // the Core's public key
	Address string   // on which the Core listens; at most MaxAddress bytes
}

// StartTask asks for a process. The host answers with TaskStarted or TaskEnded.
type StartTask struct {
	Instance    uint64 // a number for the process, used once
	Index       uint32 // the number of the index that the process serves
	Measurement [32]byte
	Memory      uint64 // bytes
}

// StopTask asks the host to kill a process. TaskEnded follows.
type StopTask struct {
	Instance uint64
}

// Counters tells the host how much the Core has done, and the state of the server.
type Counters struct {
	Stats  *Stats
	Server *model.ServerStatus
}

// Event tells the host that an alert was raised.
type Event struct {
	Reason          model.Reason
	Segment, Offset uint32 // of the record that the alert is about, or 0
}

// Anchor asks the host to store the head of the log in its anchor.
type Anchor struct {
	Head model.Head
}

// Index tells the host the state of an index. One for each index precedes Counters.
type Index struct {
	Index    uint32 // its number
	Instance uint64 // of its process; 0: it has none
	State    model.IndexState
	Restarts uint64 // since the Core started
	Queued   uint64 // changes and queries that the Task has not acknowledged or answered
	Done     uint64 // frames that its Tasks have acknowledged or answered since the Core started
}

func header(p []byte, t Type) codec.Writer { return codec.Writer(p).U8('M', 'C', Version, byte(t)) }

// Append implements Message.
func (m Ready) Append(p []byte) []byte {
	return header(p, TypeReady).Bytes(m.Key[:]).Text(m.Address, MaxAddress)
}

// Append implements Message.
func (m StartTask) Append(p []byte) []byte {
	return header(p, TypeStartTask).U64(m.Instance).U32(m.Index).Bytes(m.Measurement[:]).U64(m.Memory)
}

// Append implements Message.
func (m StopTask) Append(p []byte) []byte { return header(p, TypeStopTask).U64(m.Instance) }

// Append implements Message.
func (m Counters) Append(p []byte) []byte {
	return model.AppendServerStatus(appendStats(header(p, TypeCounters), m.Stats), m.Server)
}

// Append implements Message.
func (m Event) Append(p []byte) []byte {
	return header(p, TypeEvent).U8(byte(m.Reason)).U32(m.Segment).U32(m.Offset)
}

// Append implements Message.
func (m Anchor) Append(p []byte) []byte { return model.AppendHead(header(p, TypeAnchor), &m.Head) }

// Append implements Message.
func (m Index) Append(p []byte) []byte {
	w := header(p, TypeIndex).U32(m.Index).U64(m.Instance)
	return w.U8(byte(m.State)).U64(m.Restarts).U64(m.Queued).U64(m.Done)
}

// HostMessage is a message of the host. A type and an instance are all that it can hold.
type HostMessage struct {
	Type     Type   // TypeTaskStarted, TypeTaskEnded or TypeStop
	Instance uint64 // of the Task's process; TypeStop has none
}

// Decode reads one message of the host.
func Decode(p []byte) (m HostMessage, err error) {
	r := codec.NewReader(p)
	r.Require(string(r.Take(2)) == "MC" && r.U8() == Version)
	m.Type = Type(r.U8())
	switch m.Type {
	case TypeTaskStarted, TypeTaskEnded:
		m.Instance = r.U64()
	default:
		r.Require(m.Type == TypeStop)
	}
	return m, r.Done()
}
