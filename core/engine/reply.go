package engine

import (
	"motte/core/access"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/wire"
)

// Reply is an answer to a client: its content, and then the end frame. The object of a GET
// is the last frame itself: no end frame follows it.
type Reply struct {
	Conn      Conn
	Principal access.Principal
	Number    uint64
	Head      model.Head
	Reserved  int // bytes of the byte budget to release: the engine no longer keeps the request
	Unsent    int // bytes counted until Sent; 0: Sent is not called

	Content Content
	End
}

// End is the end frame of an answer.
type End struct {
	Code  model.Code
	Flags wire.ReplyFlags
	Count uint32
	Body  []byte // depends on the operation; of a PUT, the identity of the object
}

// Content is the part of an answer before its end frame: Frames, Objects, a Single, or nil.
type Content interface {
	size() int // bytes of memory, about, until it is sent
}

// Frames are frames of one kind.
type Frames struct {
	Kind   wire.Kind
	Bodies [][]byte
}

// Objects are the objects of a SEARCH or LIST, or those of a GETMANY in the order of the request.
// The server reads, opens, checks and sends each of them. If the location of an entry has no
// length, the GETMANY did not find the object.
type Objects []mapping.Entry

// Single is the object of a GET.
type Single struct{ mapping.Entry }

// Bytes of memory that parts of an answer take.
const (
	entrySize = 64 // an object that is not read yet
	bodySize  = 24 // a frame, without its body
)

func (f Frames) size() (n int) {
	for _, body := range f.Bodies {
		n += bodySize + len(body)
	}
	return n
}

func (o Objects) size() int { return len(o) * entrySize }

func (Single) size() int { return entrySize }

// reply sends r as the answer to q.
func (e *Engine) reply(q *Request, r Reply) {
	if q == nil {
		return
	}
	r.Conn, r.Principal, r.Number, r.Head, r.Reserved = q.Conn, q.Principal, q.Number, e.Head(), q.Reserved
	e.countUnsent(&r)
	e.out.Replies = append(e.out.Replies, r)
}

// end answers q with a code alone.
func (e *Engine) end(q *Request, code model.Code) { e.reply(q, Reply{End: End{Code: code}}) }
