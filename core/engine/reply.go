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
	Reserved  int // bytes of the request, which the engine keeps no longer
	Unsent    int // bytes; if not 0: call Sent with it when all is sent, or never will be

	Content Content
	End
}

// End is the end frame of an answer.
type End struct {
	Code  model.Code
	Flags wire.ReplyFlags
	Count uint32
	Body  []byte // results of writes, for one
}

// Content is what an answer shows before its end frame: Frames, Objects, Many, a Single, or, if
// there is nothing to show, nil.
type Content interface {
	size() int // bytes of memory, about, until it is sent
}

// Frames are frames of one kind.
type Frames struct {
	Kind   wire.Kind
	Bodies [][]byte
}

// Objects are the objects of a SEARCH or LIST: to be read, opened, checked and sent one by one.
type Objects []mapping.Entry

// Single is the object of a GET.
type Single struct{ mapping.Entry }

// Many are the objects of a GETMANY, in the order asked.
type Many []Found

// Found is what a GETMANY has found for one of its names or identities.
type Found struct {
	mapping.Entry
	Code model.Code // OK: the object is to be read; else the Entry has at most an identity
}

// Bytes of memory that parts of an answer take.
const (
	entrySize = 64 // of an object that is still to be read
	foundSize = 72 // of one that is asked for by a GETMANY
	bodySize  = 24 // of a frame's body, beside the body
)

func (f Frames) size() (n int) {
	for _, body := range f.Bodies {
		n += bodySize + len(body)
	}
	return n
}

func (o Objects) size() int { return len(o) * entrySize }

func (m Many) size() int { return len(m) * foundSize }

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
