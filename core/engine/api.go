package engine

import (
	"crypto/sha256"

	"motte/core/access"
	"motte/core/control"
	"motte/core/identity"
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
	wire.Request
	Sum        [32]byte          // SHA-256 of Object
	Attributes map[string][]byte // by index
}

// Output is what the engine wants done. The shell takes it after each batch of
// inputs and carries it out; order within each list is to be kept.
type Output struct {
	Append  []log.Group        // make durable, in order, then call Committed, or WriteFailed and later Resumed
	Replies []Reply            // send to clients
	Fetch   []Fetch            // read, then call Fetched
	Frames  []TaskFrame        // send to Tasks
	Ended   []access.Principal // lost a right: end their connections, with all that is still to be sent
	// Host is for the host: StartTask, then call TaskStarted or TaskEnded;
	// StopTask, which ends the channel at once, and TaskEnded may follow and is
	// ignored; Event.
	Host []control.Message
}

// Reply is an answer to a client: first Items, then Objects, then the end frame.
type Reply struct {
	Conn      Conn
	Principal access.Principal
	Number    uint64
	Head      wire.Head

	Kind    wire.Kind       // of Items
	Items   [][]byte        // bodies of frames
	Objects []mapping.Entry // to be read, opened, checked and sent one by one
	Single  bool            // a GET: its one object frame is the last frame
	Held    int             // if not 0: call Sent with it when all is sent, or never will be

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

// History is what the log alone knows.
type History interface {
	Contains(wire.Head) bool  // whether it had this head, which is not beyond the present one
	HasKey(owner uint32) bool // whether what an owner put can be opened
}

// Object is the body of a KindPut record, opened.
type Object struct {
	Name       []byte
	Attributes []byte // as in the sub-query of the PUT
	Data       []byte
}

// part is a set of parts of a request.
type part uint16

const (
	aCollection part = 1 << iota
	anIndex
	anObject
	aName
	anIdentity
	aQuery
	aType
	aLimit
)

// shapes says which parts each operation needs and which it may have. What it
// does not use must be empty, so that a request has one meaning.
var shapes = map[wire.Operation]struct {
	needs, allows part
	flags         wire.Flags
}{
	wire.OpPut:              {aCollection, aName | anIdentity | aQuery | anObject, wire.FlagIfAbsent | wire.FlagIfIdentity},
	wire.OpGet:              {aCollection, aName | anIdentity, 0},
	wire.OpSearch:           {aCollection | anIndex, aQuery | aType | aLimit, wire.FlagIDsOnly},
	wire.OpDelete:           {aCollection, aName | anIdentity, wire.FlagIfIdentity},
	wire.OpDeleteWhere:      {aCollection | anIndex, aQuery | aType | aLimit, 0},
	wire.OpCount:            {aCollection | anIndex, aQuery | aType | aLimit, 0},
	wire.OpList:             {aCollection, aLimit, wire.FlagIDsOnly},
	wire.OpBatch:            {aCollection | anObject, 0, 0},
	wire.OpCreateCollection: {aCollection, 0, 0},
	wire.OpDropCollection:   {aCollection, 0, 0},
	wire.OpCreateIndex:      {aCollection | anIndex | aName, aQuery | aType, wire.FlagOrdered | wire.FlagLazy | wire.FlagAttribute},
	wire.OpDropIndex:        {aCollection | anIndex, 0, 0},
	wire.OpRegisterTask:     {aName | aQuery, 0, 0},
	wire.OpAddPrincipal:     {anIdentity | aName, 0, 0},
	wire.OpRemovePrincipal:  {anIdentity, 0, wire.FlagErase},
	wire.OpGrant:            {anIdentity, aCollection, wire.Flags(wire.RightsAll)},
	wire.OpRevoke:           {anIdentity, aCollection, wire.Flags(wire.RightsAll)},
	wire.OpHead:             {0, aQuery, 0},
}

// has returns the parts that a request has.
func has(r *wire.Request) (p part) {
	for i, present := range [...]bool{r.Collection != "", r.Index != "", len(r.Object) > 0, len(r.Name) > 0,
		r.Identity != identity.ID{}, len(r.Query) > 0, r.Type != wire.TypeAny, r.Limit != 0} {
		if present {
			p |= 1 << i
		}
	}
	return p
}

// Prepare checks the parts of a request against its operation, decodes the
// writes of a PUT, DELETE or batch, and hashes their contents. It needs no
// state, so each connection does it on its own.
func Prepare(r wire.Request) (*Request, wire.Code) {
	s, p := shapes[r.Op], has(&r)
	ok := p&s.needs == s.needs && p&^(s.needs|s.allows) == 0 && r.Flags&^s.flags == 0
	q := &Request{Request: r}
	switch r.Op {
	case wire.OpPut, wire.OpDelete:
		q.Writes = []Write{{Request: r}}
	case wire.OpBatch:
		ops, err := wire.DecodeBatch(r.Object)
		q.Writes, ok = make([]Write, len(ops)), ok && err == nil
		for i := range ops {
			q.Writes[i].Request = ops[i]
		}
	case wire.OpGet:
		ok = ok && (p == aCollection|aName || p == aCollection|anIdentity)
	}
	for i := range q.Writes {
		ok = ok && q.Writes[i].prepare()
	}
	if !ok {
		return nil, wire.InvalidRequest
	}
	return q, wire.OK
}

// prepare checks one write and fills in what can be computed from it alone.
func (w *Write) prepare() bool {
	given, named := w.Identity != identity.ID{}, len(w.Name) > 0
	absent, expects := w.Flags&wire.FlagIfAbsent != 0, w.Flags&wire.FlagIfIdentity != 0
	if w.Op == wire.OpDelete {
		// By identity, or by name, or by name with the identity it must have.
		return w.Flags&^wire.FlagIfIdentity == 0 && len(w.Query) == 0 && len(w.Object) == 0 &&
			(given || named) && (given && named) == expects
	}
	var err error
	w.Attributes, err = wire.DecodeAttributes(w.Query)
	w.Sum = sha256.Sum256(w.Object)
	return err == nil && w.Flags&^(wire.FlagIfAbsent|wire.FlagIfIdentity) == 0 && given == expects &&
		!(absent && expects) && (named || !absent && !expects)
}
