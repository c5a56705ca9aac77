package engine

import (
	"slices"

	"motte/core/access"
	"motte/core/mapping"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// Limits of the catalogue, which is held in memory.
const (
	MaxCollections = 16384
	MaxIndexes     = wire.MaxAttributes // of one collection
	MaxTasks       = 256
	MaxPrincipals  = 65536
)

// catalogue is the state of the store without its objects: principals, the API format table,
// collections with their grants and quotas, and indexes. applyChange applies its changes.
type catalogue struct {
	principals     map[access.Principal]*principal
	labels         map[string]bool        // of the principals
	tasks          map[string]*executable // the API format table, by name of the Task
	byName         map[string]*collection
	byID           map[uint32]*collection
	collections    []*collection   // in the order of their numbers
	indexes        []*index        // of all collections, in the order of their numbers
	lastOwner      uint32          // the highest number of an owner; no number is used twice
	lastCollection uint32          // the highest number of a collection; no number is used twice
	lastIndex      uint32          // the highest number of an index; no number is used twice
	cleanedAt      int64           // Unix time at which the last complete cleaning pass began
	erased         map[uint32]bool // owners without a data key, or whose key is to be destroyed
}

// executable is a registered Task.
type executable struct {
	item registered // the Task as it was registered, with its encoded row
	model.Row
}

// serverID is the number of the collection that stands for the server itself. It has the grants
// on the server, and neither a name nor objects.
const serverID = 0

type collection struct {
	id        uint32
	name      string
	grants    access.Grants
	indexes   []*index // in the order of their creation
	objects   *mapping.Map
	used      map[uint32]int64 // bytes of live records, by segment
	bytes     uint64           // bytes of live records in all segments
	projected usage            // size when all uncommitted records are durable; only with a quota
	quota     model.Quota      // a limit of 0 does not apply
	touched   bool             // its indexes must be pumped: see touch

	versions uint64 // versions of objects that were added since the start
	watched
	shelfOf *index // the index whose blobs the collection holds; nil: it holds objects of clients
}

// isShelf reports whether a collection holds the blobs of an index. Such a collection has no name:
// no request reaches it.
func (c *collection) isShelf() bool { return c.shelfOf != nil }

func newCollection(id uint32, name string) *collection {
	return &collection{id: id, name: name, grants: make(access.Grants),
		objects: mapping.New(id), used: make(map[uint32]int64)}
}

func (c *collection) index(name string) *index {
	if i := slices.IndexFunc(c.indexes, func(x *index) bool { return x.name == name }); i >= 0 {
		return c.indexes[i]
	}
	return nil
}

func (c *catalogue) isAdmin(p access.Principal) bool {
	return access.Any(c.byID[serverID].grants.Rights(p), model.RightAdmin)
}

// The following flows change the catalogue. Each flow decides whether its request is valid now,
// and appends one record. The parts that an operation does not use are empty: see Prepare.

func (e *Engine) createCollection(q *Request) model.Code {
	switch {
	case !model.ValidIdentifier(q.Collection):
		return model.InvalidRequest
	case q.in != nil:
		return model.Exists
	case len(e.byName) > MaxCollections, e.lastCollection+1 >= mapping.Limit:
		return model.LimitReached
	}
	n := creation{name: q.Collection, creator: q.by.id, rights: model.RightsAll}
	return e.change(q, n.record(e.lastCollection+1))
}

func (e *Engine) dropCollection(q *Request) model.Code {
	group := seglog.Group{dropOf(q.in.id)}
	for _, x := range q.in.indexes {
		group = append(group, e.endShelf(x)...)
	}
	return e.change(q, group...)
}

func (e *Engine) createIndex(q *Request) model.Code {
	n := definition{name: q.Index, task: string(q.Name), dataType: q.Type, options: q.Options,
		number: e.lastIndex + 1, shelf: e.lastCollection + 1, config: q.Query}
	row := e.tasks[n.task]
	switch {
	case !model.ValidIdentifier(n.name):
		return model.InvalidRequest
	case row == nil:
		return model.NoTask
	case q.in.index(n.name) != nil:
		return model.Exists
	case len(q.in.indexes) >= MaxIndexes, n.shelf >= shelfNumbers:
		return model.LimitReached
	case q.Options&model.OptionOrdered != 0 && !row.Ordered, !compatible(row.Type, n.dataType):
		return model.InvalidRequest
	}
	return e.change(q, n.record(q.in.id))
}

func (e *Engine) dropIndex(q *Request) model.Code {
	x := q.in.index(q.Index)
	if x == nil {
		return model.NoIndex
	}
	group := seglog.Group{indexDrop{q.Index}.record(q.in.id)}
	return e.change(q, append(group, e.endShelf(x)...)...)
}

func (e *Engine) registerTask(q *Request) model.Code {
	n := registered{task: string(q.Name), row: q.Query}
	row, err := model.DecodeRow(n.row)
	if now := e.tasks[n.task]; now != nil && now.Measurement != row.Measurement {
		n.before = now.item.row
	} else if now != nil {
		n.before = now.item.before
	}
	switch {
	case err != nil, !model.ValidIdentifier(n.task):
		return model.InvalidRequest
	case e.tasks[n.task] == nil && len(e.tasks) >= MaxTasks:
		return model.LimitReached
	}
	return e.change(q, n.record(serverID))
}

func (e *Engine) addPrincipal(q *Request) model.Code {
	id, label := q.subject(), string(q.Name)
	switch {
	case !model.ValidLabel(label):
		return model.InvalidRequest
	case e.principals[id] != nil, e.labels[label]:
		return model.Exists
	case len(e.principals) >= MaxPrincipals, e.nextOwner() >= mapping.Limit:
		return model.LimitReached
	}
	return e.change(q, e.newPrincipal(id, label).record(serverID))
}

func (e *Engine) removePrincipal(q *Request) model.Code {
	subject := e.principals[q.subject()]
	switch {
	case subject == nil:
		return model.NoPrincipal
	case e.lastAdmin(subject):
		return model.InvalidRequest
	}
	n := principalRemoval{id: subject.id, owner: subject.owner, erase: q.Flags&wire.FlagErase != 0}
	group := seglog.Group{n.record(serverID)}
	if n.erase {
		group = append(group, e.renewShelvesOf(n.owner)...)
	}
	code := e.change(q, group...)
	e.erasing = n.erase // no other change is decided before this one is durable
	e.afterDurable(func(model.Code) { e.erasing = false })
	return code
}

// grant decides a GRANT or a REVOKE. The server itself has one right only, admin.
func (e *Engine) grant(q *Request) model.Code {
	subject := e.principals[q.subject()]
	onServer := q.in.id == serverID
	revokes := q.Op == model.OpRevoke
	switch {
	case subject == nil:
		return model.NoPrincipal
	case onServer && q.Rights != model.RightAdmin, onServer && revokes && e.lastAdmin(subject):
		return model.InvalidRequest
	}
	n := grant{to: subject.id, rights: q.Rights}
	if revokes {
		return e.change(q, n.revocation(q.in.id))
	}
	return e.change(q, n.record(q.in.id))
}

// lastAdmin reports whether a principal is the only server administrator. It must stay
// administrator, since no other principal could appoint a new one.
func (e *Engine) lastAdmin(p *principal) bool {
	return e.isAdmin(p.id) && len(e.byID[serverID].grants) == 1
}

// newPrincipal returns a new principal. Its owner number was never used before. So a principal
// that is removed and added again does not own the objects that it put before.
func (e *Engine) newPrincipal(id access.Principal, label string) principal {
	return principal{id: id, owner: e.nextOwner(), label: label}
}

// nextOwner returns a number of an owner that was never used before.
func (e *Engine) nextOwner() uint32 {
	owner := max(e.lastOwner, e.lastGeneration) + 1
	for !e.History.HasKey(owner) { // an older copy of the log may lack the records of owners
		owner++
	}
	return owner
}

// change begins a change of the catalogue. Until the change is durable, later changes and writes
// wait. So each of them is decided on the result of all earlier changes.
func (e *Engine) change(q *Request, group ...seglog.Record) model.Code {
	e.changing = true
	w := &write{req: q}
	e.append(w, group...)
	w.wait(e)
	e.afterDurable(func(model.Code) {
		e.changing = false
		e.later(e.runDeferred)
	})
	return model.OK
}

// runDeferred continues the requests that waited for a change of the catalogue. It continues up
// to stride of them in each event, and stops at a request that changes the catalogue again.
func (e *Engine) runDeferred() (more bool) {
	for n := 0; n < e.stride && len(e.deferred) > 0 && !e.changing; n++ {
		pop(&e.deferred)()
	}
	return len(e.deferred) > 0 && !e.changing
}
