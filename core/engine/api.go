package engine

import (
	"motte/core/access"
	"motte/core/log"
	"motte/core/mapping"
	"motte/core/wire"
)

// Conn names a client connection for as long as the Core runs.
type Conn uint64

// Request is a client's request, prepared: decoded, its parts checked against
// its operation, its contents hashed. See Prepare.
type Request struct {
	wire.Request
	Conn      Conn
	Principal access.Principal
	Writes    []Write // of a put, delete or batch
}

// Write is one object to put or to delete.
type Write struct {
	wire.BatchOp
	Sum        [32]byte // SHA-256 of Object
	Attributes []wire.Attribute
}

// Output is what the engine wants done. The shell takes it after each batch of
// inputs and carries it out; order within each list is to be kept.
type Output struct {
	Append  []log.Group  // make durable, in order, then call Committed or WriteFailed
	Replies []Reply      // send to clients
	Fetch   []Fetch      // read, then call Fetched
	Frames  []TaskFrame  // send to Tasks
	Start   []StartTask  // ask the host for a process, then call TaskStarted or TaskEnded
	Stop    []uint64     // instances to kill; TaskEnded may follow and is ignored
	Events  []wire.Alert // tell the host's operator: reason and position only
}

// Reply is an answer to a client: first Items, then Objects, then the end frame.
type Reply struct {
	Conn   Conn
	Number uint64
	Head   wire.Head

	Kind    wire.Kind       // of Items
	Items   [][]byte        // bodies of frames
	Objects []mapping.Entry // to be read, opened, checked and sent one by one
	IDsOnly bool            // send the identities of Objects, don't read them
	Single  bool            // a GET: its one object frame is the last frame
	Held    int             // if not 0: call Sent with it when all is sent

	Code  wire.Code
	Flags wire.ReplyFlags
	Count uint32
	Body  []byte // of the end frame: identities
}

// Fetch asks for a record.
type Fetch struct {
	Entry    mapping.Entry
	delivery *delivery // that it is for
}

// TaskFrame is a frame for a Task.
type TaskFrame struct {
	Instance uint64
	Frame    []byte
}

// StartTask asks for a Task's process.
type StartTask struct {
	Instance    uint64
	Measurement [32]byte
	Memory      uint64 // bytes
}

// Keyring holds the data keys of principals, by owner.
type Keyring interface {
	Set(owner uint32, key [32]byte)
}

// Object is the body of a KindPut record, opened.
type Object struct {
	Name       []byte
	Attributes []byte // as in the sub-query of the PUT
	Data       []byte
}
