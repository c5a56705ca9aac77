package engine

import (
	"maps"
	"time"

	"motte/core/access"
	"motte/core/hostwire"
	"motte/core/identity"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
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
	Reserved  int           // bytes of budget that the server counts for it: its answer returns them
	Writes    []Write       // of a put, delete or batch
	Wanted    []wire.Wanted // of a GETMANY
	After     []identity.ID // of a SEARCH

	// As they were when the request was begun. A later step looks at them anew.
	by *principal  // nil: not registered
	in *collection // nil: there is none
}

// subject returns the principal that an operation on principals is about.
func (q *Request) subject() access.Principal { return access.Principal(q.Identity) }

// Write is one object to put or to delete.
type Write struct {
	wire.Request
	Content    identity.Content  // of Object and its attributes
	Attributes map[string][]byte // by index
	body       []byte            // of the record, if it is made already
}

// Output is what the engine wants done. The shell takes it after each batch of
// inputs and carries it out; order within each list is to be kept.
type Output struct {
	Append  []seglog.Group     // make durable, in order, then call Committed, or WriteFailed, later Resumed
	Replies []Reply            // send to clients
	Fetch   []Fetch            // read, then call Fetched
	Frames  []TaskFrame        // send to Tasks
	Ended   []access.Principal // lost a right: end their connections, with all that is still to be sent
	// Host is for the host: StartTask, then call TaskStarted or TaskEnded;
	// StopTask, which ends the channel at once, and TaskEnded may follow and is
	// ignored; Event.
	Host []hostwire.Message
}

// Fetch asks for a record.
type Fetch struct {
	Entry    mapping.Entry
	instance uint64    // of a Task
	delivery *delivery // that it is for
}

// TaskFrame is a frame for a Task, in two parts. Frames for other Tasks share the
// second: it must not be changed.
type TaskFrame struct {
	Instance uint64
	Frame    []byte
	Input    []byte // of an Insert
}

// History is what the log alone knows.
type History interface {
	Contains(model.Head) bool // whether it had this head, which is not beyond the present one
	HasKey(owner uint32) bool // whether what an owner put can be opened
}

// Object is the body of a KindPut record, opened.
type Object struct {
	Name       []byte
	Attributes []byte // as in the sub-query of the PUT
	Data       []byte
}

// parts is a set of parts of a request.
type parts uint16

// The parts of a request.
const (
	aCollection parts = 1 << iota
	anIndex
	anObject
	aName
	anIdentity
	aQuery
	aType
	aLimit
	someRights
	someOptions
)

// anyRead and anyChange are the rights of which one at least lets a principal read, or
// change, some objects of a collection.
const (
	anyRead   = model.RightRead | model.RightReadOwn
	anyChange = model.RightWrite | model.RightDelete
)

// operations says which parts each operation needs and which it may have. What it
// does not use must be empty, so that a request has one meaning. Of the rights the
// principal needs one at least; then the flow begins.
var operations = map[model.Operation]struct {
	needs, allows parts
	flags         wire.Flags
	rights        model.Rights                       // see mayUse
	flow          func(*Engine, *Request) model.Code // a code other than OK is the answer
}{
	model.OpPut: {aCollection, aName | anIdentity | aQuery | anObject,
		wire.FlagIfAbsent | wire.FlagIfIdentity, anyChange, (*Engine).write},
	model.OpGet: {aCollection, aName | anIdentity, 0, anyRead, (*Engine).get},
	model.OpSearch: {aCollection | anIndex, aQuery | aType | aLimit | anObject,
		wire.FlagIDsOnly, anyRead, (*Engine).search},
	model.OpDelete: {aCollection, aName | anIdentity, wire.FlagIfIdentity, anyChange, (*Engine).write},
	model.OpDeleteWhere: {aCollection | anIndex, aQuery | aType | aLimit,
		0, model.RightDelete, (*Engine).search},
	model.OpCount:   {aCollection | anIndex, aQuery | aType | aLimit, 0, anyRead, (*Engine).search},
	model.OpList:    {aCollection, anIdentity, wire.FlagIDsOnly, anyRead, (*Engine).list},
	model.OpBatch:   {aCollection | anObject, 0, 0, anyChange, (*Engine).write},
	model.OpGetMany: {aCollection | aQuery, 0, 0, anyRead, (*Engine).get},

	model.OpCreateCollection: {aCollection, 0, 0, model.RightAdmin, (*Engine).createCollection},
	model.OpDropCollection:   {aCollection, 0, 0, model.RightAdmin, (*Engine).dropCollection},
	model.OpCreateIndex: {aCollection | anIndex | aName, aQuery | aType | someOptions,
		0, model.RightAdmin, (*Engine).createIndex},
	model.OpDropIndex:       {aCollection | anIndex, 0, 0, model.RightAdmin, (*Engine).dropIndex},
	model.OpRegisterTask:    {aName | aQuery, 0, 0, model.RightAdmin, (*Engine).registerTask},
	model.OpAddPrincipal:    {anIdentity | aName, 0, 0, model.RightAdmin, (*Engine).addPrincipal},
	model.OpRemovePrincipal: {anIdentity, 0, wire.FlagErase, model.RightAdmin, (*Engine).removePrincipal},
	model.OpRotatePrincipal: {anIdentity | aQuery, 0, 0, model.RightAdmin, (*Engine).rotate},
	model.OpGrant:           {anIdentity | someRights, aCollection, 0, model.RightAdmin, (*Engine).grant},
	model.OpRevoke:          {anIdentity | someRights, aCollection, 0, model.RightAdmin, (*Engine).grant},
	model.OpQuota:           {aCollection | aQuery, 0, 0, model.RightAdmin, (*Engine).setQuota},

	model.OpRetry: {aCollection | anIndex, 0, 0, model.RightAdmin, (*Engine).retry},

	model.OpStatus:  {0, 0, 0, 0, (*Engine).report},
	model.OpHead:    {0, aQuery, 0, 0, (*Engine).compare},
	model.OpAlerts:  {0, 0, 0, model.RightAdmin, (*Engine).reportAlerts},
	model.OpCompact: {0, 0, 0, model.RightAdmin, (*Engine).requestCompaction},
	model.OpVerify:  {0, 0, 0, model.RightAdmin, (*Engine).verifyAll},
}

// Prepare checks the parts of a request against its operation, decodes the
// writes of a PUT, DELETE or batch, and hashes their contents. It needs no
// state, so each connection does it on its own.
func Prepare(r wire.Request) (*Request, model.Code) {
	if !valid(&r) {
		return nil, model.InvalidRequest
	}
	q := &Request{Request: r}
	var ops []wire.Request
	var err error
	switch r.Op {
	case model.OpPut, model.OpDelete:
		ops = []wire.Request{r}
	case model.OpBatch:
		ops, err = wire.DecodeBatch(r.Object)
	case model.OpGetMany:
		q.Wanted, err = wire.DecodeGetMany(r.Query)
	case model.OpSearch:
		q.After, err = wire.DecodeAfter(r.Object)
	}
	if err != nil {
		return nil, model.InvalidRequest
	}
	q.Writes = make([]Write, len(ops))
	for i := range ops {
		q.Writes[i].Request = ops[i]
		if !q.Writes[i].prepare() {
			return nil, model.InvalidRequest
		}
	}
	return q, model.OK
}

// PrepareBody is Prepare for a request whose body stands in p behind RecordFront free bytes. A
// PUT fills these, so that p is the body of its record and the object is not copied: p belongs
// to the request from now on.
func PrepareBody(r wire.Request, p []byte) (*Request, model.Code) {
	q, code := Prepare(wire.SplitBody(r, p[RecordFront:]))
	if code == model.OK && q.Op == model.OpPut {
		objectFront(p[:0], q.Name, q.Query)
		q.Writes[0].body = p
	}
	return q, code
}

// partsOf returns the parts that a request has.
func partsOf(r *wire.Request) (p parts) {
	for i, present := range [...]bool{
		r.Collection != "",
		r.Index != "",
		len(r.Object) > 0,
		len(r.Name) > 0,
		r.Identity != identity.ID{},
		len(r.Query) > 0,
		r.Type != model.TypeAny,
		r.Limit != 0,
		r.Rights != 0,
		r.Options != 0,
	} {
		if present {
			p |= 1 << i
		}
	}
	return p
}

// valid reports whether a request has the parts that its operation needs, and no others.
func valid(r *wire.Request) bool {
	s, p := operations[r.Op], partsOf(r)
	switch {
	case s.flow == nil, p&s.needs != s.needs, p&^(s.needs|s.allows) != 0:
		return false
	case r.Op == model.OpGet && p != aCollection|aName && p != aCollection|anIdentity:
		return false
	}
	return r.Flags&^s.flags == 0 && r.Rights&^model.RightsAll == 0 && r.Options&^model.OptionsAll == 0
}

// prepare checks one write and fills in what can be computed from it alone.
func (w *Write) prepare() bool {
	given, named := w.Identity != identity.ID{}, len(w.Name) > 0
	absent, expects := w.Flags&wire.FlagIfAbsent != 0, w.Flags&wire.FlagIfIdentity != 0
	if w.Op == model.OpDelete {
		// By identity, or by name, or by name with the identity it must have.
		return w.Flags&^wire.FlagIfIdentity == 0 && len(w.Query) == 0 && len(w.Object) == 0 &&
			(given || named) && (given && named) == expects
	}
	var err error
	w.Attributes, err = wire.DecodeAttributes(w.Query)
	w.Content = identity.Digest(w.Query, w.Object)
	return err == nil && w.Flags&^(wire.FlagIfAbsent|wire.FlagIfIdentity) == 0 && given == expects &&
		!(absent && expects) && (named || !absent && !expects)
}

// The shell changes the storage beside traffic: it takes a checkpoint piece by piece
// (checkpoint.go), and it moves records. It asks here for the state that only the
// engine has.

// cleanEvery is the time within which dead records are given back, however few
// they are.
const cleanEvery = 7 * 24 * time.Hour

// Live returns the bytes of live records in each segment.
func (e *Engine) Live() map[uint32]int64 { return maps.Clone(e.used) }

// Relocate appends those of the records, which lie where at says, that are live, once
// more, behind a mark; done hears when all this, and all before it, is durable and
// applied, or can't be. It keeps what they hold until then.
func (e *Engine) Relocate(records []seglog.Record, at []seglog.Location, done func(model.Code)) {
	// The mark proves that all records before it are durable: a carried record can't.
	alive := seglog.Group{{Kind: seglog.KindBarrier}}
	for i := range records {
		if o, ok := e.live(records[i].Collection, records[i].ID.Value()); ok && o.Loc == at[i] {
			alive = append(alive, records[i])
		}
	}
	e.append(nil, alive...)
	e.afterDurable(done)
}

// PendingMaintenance returns the owners whose data keys are to be destroyed, to be followed by
// Erased; and whether all dead records are to be given back, because it is time or
// because requests wait for it, to be followed by Done. Both come after the objects of
// all erased owners were taken away.
func (e *Engine) PendingMaintenance() (erase []uint32, waiting int, clean bool) {
	for _, w := range e.erase[:e.swept] {
		erase = append(erase, w.owner)
	}
	if e.swept < len(e.erase) {
		return erase, 0, false
	}
	waiting = len(e.compact)
	return erase, waiting, waiting > 0 || e.Now.Unix()-e.cleanedAt > int64(cleanEvery/time.Second)
}

// Cleaned notes that all records that were dead at a time have been given back.
func (e *Engine) Cleaned(at time.Time) { e.cleanedAt = at.Unix() }

// CompactionDone answers the first n that wait for dead records to be given back.
func (e *Engine) CompactionDone(n int, code model.Code) {
	for range n {
		e.end(pop(&e.compact), code)
	}
}
