package engine

import (
	"cmp"
	"slices"

	"motte/core/access"
	"motte/core/codec"
	"motte/core/model"
	"motte/core/seglog"
)

// applyChange applies a durable record of the catalogue. If the record erases an owner and w is
// not nil, w waits until the owner's data key is destroyed.
func (e *Engine) applyChange(rec *seglog.Record, w *write) error {
	switch rec.Kind {
	case seglog.KindRegisterTask:
		return e.applyTask(rec.Body)
	case seglog.KindAddPrincipal:
		return e.applyPrincipal(rec.Body)
	case seglog.KindRemovePrincipal:
		return e.applyRemoval(rec.Body, w)
	case seglog.KindRotatePrincipal:
		return e.applyRotate(rec.Body)
	case seglog.KindGrant, seglog.KindRevoke:
		return e.applyGrant(rec)
	}
	if rec.Collection == serverID {
		return codec.ErrMalformed
	}
	if rec.Kind == seglog.KindCreateCollection {
		return e.applyCreate(rec)
	}
	return e.applyToCollection(rec)
}

// applyTask adds or replaces a row of the API format table. The indexes of a Task that is
// replaced are upgraded, one after the other: see upgradeNext. Those without a process begin at
// once. If only the Core needs what has changed, the processes go on.
func (e *Engine) applyTask(body []byte) error {
	n, err := decodeRegistered(body)
	if err != nil {
		return err
	}
	row, err := model.DecodeRow(n.row)
	if err != nil {
		return err
	}
	before := e.tasks[n.task]
	e.tasks[n.task] = &executable{n, row}
	for _, x := range e.indexes {
		if x.task != n.task {
			continue
		}
		if before != nil && before.MaxInput != row.MaxInput {
			x.shelf.forget() // identities that are void have an input now, or the other way round
		}
		e.abandon(x)
		goesOn := x.instance != 0 && sameProcess(x.row, &row) // as on the way back from a failed upgrade
		x.upgrading = goesOn && x.upgrading && x.state != model.IndexServing
		x.outdated = x.instance != 0 && !goesOn
		switch {
		case goesOn:
			x.row = &e.tasks[n.task].Row
		case x.state == model.IndexParked:
			x.accepted = false
		case !x.outdated:
			e.restartIndex(x)
		}
	}
	e.upgradeNext(n.task)
	return nil
}

// sameProcess reports whether a process that was started with one row may serve with another.
func sameProcess(started, row *model.Row) bool {
	same := *started
	same.Operations, same.Deadline = row.Operations, row.Deadline
	same.LeakBudget, same.IndexBudget = row.LeakBudget, row.IndexBudget
	return same == *row
}

func (e *Engine) applyPrincipal(body []byte) error {
	n, err := decodePrincipal(body)
	if err != nil {
		return err
	}
	e.lastOwner = max(e.lastOwner, n.owner)
	e.principals[n.id] = &n
	e.labels[n.label] = true
	return nil
}

func (e *Engine) applyRemoval(body []byte, w *write) error {
	n, err := decodePrincipalRemoval(body)
	if err != nil {
		return err
	}
	shelf := n.id == access.Principal{} // the owner is a generation
	if !shelf {
		e.forget(n.id)
	}
	if n.erase {
		e.applyErase(n.owner, shelf, w)
	}
	return nil
}

// applyGrant applies a GRANT or a REVOKE. The collection may have been dropped by a record
// before it; then the record changes nothing.
func (e *Engine) applyGrant(rec *seglog.Record) error {
	n, err := decodeGrant(rec.Body)
	c := e.byID[rec.Collection]
	if err != nil || c == nil {
		return err
	}
	if rec.Kind == seglog.KindGrant {
		c.grants.Set(n.to, c.grants.Rights(n.to)|n.rights)
		return nil
	}
	c.grants.Set(n.to, c.grants.Rights(n.to)&^n.rights)
	e.out.Ended = append(e.out.Ended, n.to)
	return nil
}

// applyToCollection applies a change of a collection. The collection may have been dropped
// by a record before it; then the record changes nothing.
func (e *Engine) applyToCollection(rec *seglog.Record) error {
	c := e.byID[rec.Collection]
	if c == nil {
		return nil
	}
	switch rec.Kind {
	case seglog.KindQuota:
		quota, err := decodeQuotaLimit(rec.Body)
		if err != nil {
			return err
		}
		c.quota = quota
		e.recount(c)
	case seglog.KindDropCollection:
		e.applyDrop(c)
	case seglog.KindCreateIndex:
		return e.applyIndex(c, rec.Body)
	case seglog.KindDropIndex:
		return e.applyIndexDrop(c, rec.Body)
	case seglog.KindShelf:
		return e.applyShelf(c, rec.Body)
	}
	return nil
}

// applyCreate makes a collection. Collections are numbered in the order of their creation.
func (e *Engine) applyCreate(rec *seglog.Record) error {
	n, err := decodeCreation(rec.Body)
	if err != nil || e.byID[rec.Collection] != nil {
		return codec.ErrMalformed
	}
	c := newCollection(rec.Collection, n.name)
	c.grants.Set(n.creator, n.rights)
	e.byName[c.name] = c
	e.addCollection(c)
	return nil
}

// addCollection adds a collection to those of the store.
func (e *Engine) addCollection(c *collection) {
	e.byID[c.id] = c
	i, _ := slices.BinarySearchFunc(e.collections, c.id, func(other *collection, id uint32) int {
		return cmp.Compare(other.id, id)
	})
	e.collections = slices.Insert(e.collections, i, c) // a checkpoint lists shelves by index
	e.lastCollection = max(e.lastCollection, c.id)
}

// removeCollection removes a collection with all its objects in one step: their records are
// dead at once, and the memory of their entries is garbage.
func (e *Engine) removeCollection(c *collection) {
	for segment, bytes := range c.used {
		count(e.used, segment, -bytes)
	}
	delete(e.byID, c.id)
	e.collections = slices.DeleteFunc(e.collections, func(k *collection) bool { return k == c })
}

// applyIndex makes an index. Indexes are numbered in the order of their creation.
func (e *Engine) applyIndex(c *collection, body []byte) error {
	n, err := decodeDefinition(body)
	if err != nil {
		return err
	}
	if n.number == 0 {
		n.number = e.lastIndex + 1
	}
	if n.shelf == 0 || e.byID[n.shelf] != nil {
		return codec.ErrMalformed
	}
	e.lastIndex = max(e.lastIndex, n.number)
	x := &index{c: c, definition: n, state: model.IndexStarting, askedAt: e.uptime}
	x.shelf = &shelf{c: newCollection(n.shelf, "")}
	x.shelf.c.shelfOf = x
	e.addCollection(x.shelf.c)
	c.indexes = append(c.indexes, x)
	i, _ := slices.BinarySearchFunc(e.indexes, x.number, func(other *index, number uint32) int {
		return cmp.Compare(other.number, number)
	})
	e.indexes = slices.Insert(e.indexes, i, x) // a checkpoint lists the indexes by collection
	return nil
}

// applyIndexDrop drops an index.
func (e *Engine) applyIndexDrop(c *collection, body []byte) error {
	n, err := decodeIndexDrop(body)
	x := c.index(n.name)
	if err != nil || x == nil {
		return err
	}
	e.abandon(x)
	e.stopIndex(x, model.NoIndex)
	c.indexes = slices.DeleteFunc(c.indexes, func(other *index) bool { return other == x })
	e.indexes = slices.DeleteFunc(e.indexes, func(other *index) bool { return other == x })
	e.removeCollection(x.shelf.c)
	e.endUpgrade(x)
	e.wakeSleepers(x)
	return nil
}

// applyDrop removes a collection with its indexes.
func (e *Engine) applyDrop(c *collection) {
	for _, x := range c.indexes {
		e.abandon(x)
		e.stopIndex(x, model.NoCollection)
	}
	e.indexes = slices.DeleteFunc(e.indexes, func(x *index) bool { return x.c == c })
	for _, x := range c.indexes {
		e.removeCollection(x.shelf.c)
		e.endUpgrade(x)
		e.wakeSleepers(x)
	}
	c.indexes = nil
	delete(e.byName, c.name)
	e.removeCollection(c)
}

// forget removes a principal, with all its rights and connections.
func (e *Engine) forget(p access.Principal) {
	if old := e.principals[p]; old != nil {
		delete(e.labels, old.label)
		for _, x := range e.indexes {
			delete(x.ledger.owners, old.owner)
		}
	}
	delete(e.principals, p)
	e.out.Ended = append(e.out.Ended, p)
	for _, c := range e.collections {
		c.grants.Set(p, 0)
	}
}
