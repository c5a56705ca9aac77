package engine

import (
	"crypto/sha256"
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

// Conn is the number of a client connection. No other connection gets it while the Core runs.
type Conn uint64

// Request is a client's request after Prepare: it is decoded, its parts fit its operation, and
// the contents of its writes are hashed.
type Request struct {
	wire.Request
	Conn      Conn
	Principal access.Principal
	Reserved  int           // bytes of the byte budget that the request takes; its answer returns them
	Writes    []Write       // of a put, delete or batch
	Wanted    []wire.Wanted // of a GETMANY
	After     []identity.ID // of a SEARCH

	// Of a SEARCH, COUNT or DELETE by predicate. A request for one index is an expression with one leaf.
	Expression wire.Expression
	predicates [][32]byte // the SHA-256 of the predicate of each leaf

	// The principal and the collection when the request was begun. Later steps look them up
	// again.
	by *principal  // nil: not registered
	in *collection // nil: the collection does not exist
}

// subject returns the principal that a request adds, changes or removes.
func (q *Request) subject() access.Principal { return access.Principal(q.Identity) }

// Write is one object to put or to delete.
type Write struct {
	wire.Request
	Content    identity.Content  // digest of the object and its attributes
	Attributes map[string][]byte // by name of the index
	body       []byte            // the body of the record; nil: it must be encoded
}

// Output lists the actions that the engine asks for. The server takes the Output after each
// batch of inputs, and does the actions of each list in order.
type Output struct {
	// Append has the groups to make durable. Committed follows for their records, or WriteFailed.
	// After WriteFailed, Resumed follows when the log takes records again.
	Append []seglog.Group

	Replies []Reply     // answers for clients
	Fetch   []Fetch     // records to read; Fetched follows for each of them
	Frames  []TaskFrame // frames for Tasks

	Erase bool // more data keys must be destroyed: see PendingMaintenance

	// Ended has principals that lost a right. The server ends their connections, and drops the
	// answers that they have not got.
	Ended []access.Principal

	// Host has messages for the host. After a StartTask, TaskStarted or TaskEnded follows. A
	// StopTask also ends the channel to the Task; the engine ignores a later TaskEnded.
	Host []hostwire.Message
}

// Fetch asks for the record of an entry, which has the input of a delivery.
type Fetch struct {
	Entry    mapping.Entry
	instance uint64 // of the Task process
	delivery *delivery
}

// TaskFrame is a frame for a Task, in two parts. Frames for several Tasks may share the same
// Input, so it must not be changed.
type TaskFrame struct {
	Instance uint64 // of the Task process
	Frame    []byte
	Input    []byte // the input of an Insert; nil in other frames
}

// History answers questions about the log.
type History interface {
	// Contains reports whether a head is part of the log's history. The head must not be beyond
	// the present head.
	Contains(model.Head) bool
	// HasKey reports whether an owner has a data key, which opens the owner's objects.
	HasKey(owner uint32) bool
}

// Object is the decoded body of a KindPut record.
type Object struct {
	Name       []byte // empty: the object has no name
	Attributes []byte // encoded: see wire.DecodeAttributes
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

// With any right of anyRead, a principal may read some objects of a collection. With any right
// of anyChange, it may change some.
const (
	anyRead   = model.RightRead | model.RightReadOwn
	anyChange = model.RightWrite | model.RightDelete
)

// operations has the parts that a request of each operation must have, and the parts that it
// may have. All other parts must be empty, so that a request has one meaning. The principal
// needs at least one of the rights; 0: it needs no right.
var operations = map[model.Operation]struct {
	needs, allows parts
	flags         wire.Flags // that the request may have
	rights        model.Rights
	flow          func(*Engine, *Request) model.Code // a code other than OK is the answer
}{
	model.OpPut: {aCollection, aName | anIdentity | aQuery | anObject,
		wire.FlagIfAbsent | wire.FlagIfIdentity, anyChange, (*Engine).write},
	model.OpGet: {aCollection, aName | anIdentity, 0, anyRead, (*Engine).get},
	model.OpSearch: {aCollection, anIndex | aQuery | aType | aLimit | anObject,
		wire.FlagIDsOnly | wire.FlagExplain, anyRead, (*Engine).search},
	model.OpDelete: {aCollection, aName | anIdentity, wire.FlagIfIdentity, anyChange, (*Engine).write},
	model.OpDeleteWhere: {aCollection, anIndex | aQuery | aType | aLimit,
		0, model.RightDelete, (*Engine).search},
	model.OpCount: {aCollection, anIndex | aQuery | aType | aLimit,
		wire.FlagExplain, anyRead, (*Engine).search},
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

	model.OpRetry:   {aCollection | anIndex, 0, 0, model.RightAdmin, (*Engine).retry},
	model.OpRebuild: {aCollection | anIndex, 0, 0, model.RightAdmin, (*Engine).rebuild},

	model.OpConfiguration: {aCollection | anIndex, 0, 0, model.RightAdmin, (*Engine).configuration},

	model.OpStatus:  {0, 0, 0, 0, (*Engine).report},
	model.OpHead:    {0, aQuery, 0, 0, (*Engine).compare},
	model.OpAlerts:  {0, 0, 0, model.RightAdmin, (*Engine).reportAlerts},
	model.OpCompact: {0, 0, 0, model.RightAdmin, (*Engine).requestCompaction},
	model.OpVerify:  {0, 0, 0, model.RightAdmin, (*Engine).verifyAll},
}

// Prepare checks the parts of a request against its operation. It decodes the lists that the
// parts hold, and hashes the contents of the writes. It uses no state of an engine, so any
// number of goroutines may call it. The code is OK, or InvalidRequest without a Request.
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
	case model.OpSearch, model.OpCount, model.OpDeleteWhere:
		err = q.prepareQuery()
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

// prepareQuery decodes the expression of a request by predicate, and hashes its predicates.
func (q *Request) prepareQuery() (err error) {
	if q.After, err = wire.DecodeAfter(q.Object); err != nil {
		return err
	}
	q.Expression = wire.Expression{Leaves: []wire.Leaf{{Type: q.Type, Index: q.Index, Predicate: q.Query}},
		Program: []wire.StepKind{wire.StepLeaf}}
	if q.Index == "" {
		if q.Expression, err = wire.DecodeExpression(q.Query); err != nil {
			return err
		}
	}
	for i := range q.Expression.Leaves {
		q.predicates = append(q.predicates, sha256.Sum256(q.Expression.Leaves[i].Predicate))
	}
	return nil
}

// PrepareBody is Prepare for a request whose body is in p, after RecordFront unused bytes. For a
// PUT, it fills these bytes, so that p becomes the body of the record and the object is not
// copied. The caller must not use p again.
func PrepareBody(r wire.Request, p []byte) (*Request, model.Code) {
	q, code := Prepare(wire.SplitBody(r, p[RecordFront:]))
	if code == model.OK && q.Op == model.OpPut {
		objectFront(p[:0], q.Name, q.Query)
		q.Writes[0].body = p
	}
	return q, code
}

// partsOf returns the parts of a request that are not empty.
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

// valid reports whether a request has all parts that its operation needs, and no part that the
// operation does not use.
func valid(r *wire.Request) bool {
	s, p := operations[r.Op], partsOf(r)
	switch {
	case s.flow == nil, p&s.needs != s.needs, p&^(s.needs|s.allows) != 0:
		return false
	case r.Op == model.OpGet && p != aCollection|aName && p != aCollection|anIdentity:
		return false
	case r.Index == "" && s.allows&anIndex != 0 && r.Type != model.TypeAny, // each leaf has its own
		r.Index != "" && r.Flags&wire.FlagExplain != 0:
		return false
	}
	return r.Flags&^s.flags == 0 && r.Rights&^model.RightsAll == 0 && r.Options&^model.OptionsAll == 0
}

// prepare checks one write, decodes its attributes and hashes its content.
func (w *Write) prepare() bool {
	given, named := w.Identity != identity.ID{}, len(w.Name) > 0
	absent, expects := w.Flags&wire.FlagIfAbsent != 0, w.Flags&wire.FlagIfIdentity != 0
	if w.Op == model.OpDelete {
		// By identity, or by name, or by name with the identity that the object must have.
		return w.Flags&^wire.FlagIfIdentity == 0 && len(w.Query) == 0 && len(w.Object) == 0 &&
			(given || named) && (given && named) == expects
	}
	var err error
	w.Attributes, err = wire.DecodeAttributes(w.Query)
	w.Content = identity.Digest(w.Query, w.Object)
	return err == nil && w.Flags&^(wire.FlagIfAbsent|wire.FlagIfIdentity) == 0 && given == expects &&
		!(absent && expects) && (named || !absent && !expects)
}

// The server's maintainer uses the following methods to compact the log. Checkpoints are in
// checkpoint.go.

// cleanEvery is the time from one cleaning pass to the next. So each dead record is removed
// within this time, also from a segment with few dead records.
const cleanEvery = 7 * 24 * time.Hour

// loadWithin is the time after the start within which a pass that nobody asked for waits for indexes
// that come back from their shelves. A pass destroys the blobs that they still need.
const loadWithin = 10 * time.Minute

// Live returns the bytes of live records in each segment, by its number. A segment without live
// records is missing.
func (e *Engine) Live() map[uint32]int64 { return maps.Clone(e.used) }

// Relocate appends the live records among these to the log again, after a barrier. The records
// are at the given locations. Relocate calls done with OK when all records of the log are
// durable and applied, or with another code when they can't become durable. The engine may use
// the memory of the records until then.
func (e *Engine) Relocate(records []seglog.Record, at []seglog.Location, done func(model.Code)) {
	// The first record of a write has a flag that proves that all earlier records are durable. A
	// relocated record keeps its old flags, so the barrier must come first.
	alive := seglog.Group{{Kind: seglog.KindBarrier}}
	for i := range records {
		if o, ok := e.live(records[i].Collection, records[i].ID.Value()); ok && o.Loc == at[i] {
			alive = append(alive, records[i])
		}
	}
	e.append(nil, alive...)
	e.afterDurable(done)
}

// PendingMaintenance returns the owners whose data keys must be destroyed now. Their objects are
// removed already. Erased follows when the keys are destroyed.
//
// With clean, a cleaning pass is due: COMPACT requests wait for it, of which the first waiting are
// answered at its end, or the last pass began longer than cleanEvery ago and no index is coming back
// from its shelf. Cleaned and CompactionDone follow. No pass is due while objects of erased owners are left.
func (e *Engine) PendingMaintenance() (erase []uint32, waiting int, clean bool) {
	for _, erasing := range e.erase[:e.swept] {
		erase = append(erase, erasing.owner)
	}
	if e.swept < len(e.erase) {
		return erase, 0, false
	}
	due := !e.loading() && e.Now.Unix()-e.cleanedAt > int64(cleanEvery/time.Second)
	clean = due || len(e.compact) > 0
	if !clean || e.renewDirtyShelves() {
		return erase, 0, false
	}
	return erase, e.renewedFor, true
}

// Cleaned says that a cleaning pass has ended, which began at this time.
func (e *Engine) Cleaned(began time.Time) { e.cleanedAt, e.renewed = began.Unix(), false }

// CompactionDone answers the first n waiting COMPACT requests with a code. With another code than
// OK, the pass was given up.
func (e *Engine) CompactionDone(n int, code model.Code) {
	e.renewed = e.renewed && code == model.OK
	for range n {
		e.end(pop(&e.compact), code)
	}
}
