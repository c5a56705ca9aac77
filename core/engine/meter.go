package engine

import (
	"maps"
	"math"
	"slices"

	"motte/core/access"
	"motte/core/codec"
	"motte/core/identity"
	"motte/core/leak"
	"motte/core/model"
	"motte/core/seglog"
	"motte/core/wire"
)

// The leak meter counts the bits that a Task can tell clients by its choices. Package leak
// computes the charges. Each index has a ledger: an account of its own, and an account of each
// principal that was charged. Invariants:
//
//  1. A query is sent to the Task only while both accounts can pay for an outcome without an
//     answer. An answer that costs more than the rest of a budget is withheld. So an exhausted
//     budget tells nothing.
//  2. An outcome of a capped account leaves only when a durable record covers its charge. A
//     start takes the amount in the log as drawn, so a crash gives no bits back.
//  3. Each PUT that waited for the Task, also each PUT of a batch, is charged for telling
//     whether its input was refused. If a budget does not cover the charge, the answer does
//     not tell it.
//
// The time of an outcome is not counted.

// ledger counts the bits that clients can have learnt from one index: all principals together,
// and each principal.
type ledger struct {
	total  account
	owners map[uint32]*account // by the principal's number as an owner
}

// account is one line of a ledger.
type account struct {
	drawn    leak.Bits // charges of outcomes
	held     leak.Bits // charges held for queries in flight
	appended leak.Bits // amount in the last record that was appended
	durable  leak.Bits // amount in the last record that is durable
	outages  uint64    // outages of the index when the principal was last charged for an outage
}

// The record of a capped account is ahead of its charges by up to this amount, so that few
// queries wait for the disk. Accounts without a budget are recorded after their charges.
const (
	mostAhead  = 65536 * leak.Bit
	aheadParts = 16 // a record is ahead by at most one of so many parts of the budget
)

// of returns the account of an owner. The owner seglog.CoreOwner stands for the index itself.
func (g *ledger) of(owner uint32) *account {
	if owner == seglog.CoreOwner {
		return &g.total
	}
	a := g.owners[owner]
	if a == nil {
		if g.owners == nil {
			g.owners = make(map[uint32]*account)
		}
		a = new(account)
		g.owners[owner] = a
	}
	return a
}

// budgetLine is an account with the budget that caps it.
type budgetLine struct {
	*account
	x      *index
	owner  uint32
	budget leak.Bits
}

func (l budgetLine) left() leak.Bits {
	if l.budget == leak.Unlimited { // the sum may have reached Unlimited
		return leak.Unlimited
	}
	return l.budget.Minus(l.drawn.Plus(l.held))
}

// covered reports whether the log has all charges of an account. For an account without a
// budget, no outcome waits for a record.
func (l budgetLine) covered() bool {
	return l.budget == leak.Unlimited || l.drawn.Plus(l.held) <= l.durable
}

// lines returns the accounts that an outcome is charged to: that of the index, and that
// of the principal, if there is one and it is still registered.
func (e *Engine) lines(x *index, p *principal) []budgetLine {
	index, own := leak.Unlimited, leak.Unlimited
	if known := e.tasks[x.task]; known != nil {
		index, own = budget(known.IndexBudget), budget(known.LeakBudget)
	}
	list := append(make([]budgetLine, 0, 2), budgetLine{&x.ledger.total, x, seglog.CoreOwner, index})
	if p != nil && e.principals[p.id] == p {
		list = append(list, budgetLine{x.ledger.of(p.owner), x, p.owner, own})
	}
	return list
}

// budget returns a budget of a row as an amount; 0 in a row means unlimited.
func budget(bits uint64) leak.Bits {
	if bits == 0 {
		return leak.Unlimited
	}
	return leak.Whole(bits)
}

// leftFor returns how many bits the index and the principal may still draw.
func (e *Engine) leftFor(x *index, p *principal) leak.Bits {
	left := leak.Unlimited
	for _, l := range e.lines(x, p) {
		left = min(left, l.left())
	}
	return left
}

// draw charges both accounts, releases the amount held for it, and reports whether the
// log covers them.
func (e *Engine) draw(x *index, p *principal, charge, held leak.Bits) (covered bool) {
	covered = true
	for _, l := range e.lines(x, p) {
		l.drawn, l.held = l.drawn.Plus(charge), l.held.Minus(held)
		e.record(l)
		covered = covered && l.covered()
	}
	return covered
}

// holdCharge holds the charge of an outcome without an answer, and reports whether the log
// covers it. If not, it holds no charge, and has appended a record that covers it.
func (e *Engine) holdCharge(x *index, p *principal) bool {
	covered, list := true, e.lines(x, p)
	for _, l := range list {
		l.held = l.held.Plus(leak.Rare)
		e.record(l)
		covered = covered && l.covered()
	}
	for _, l := range list {
		if !covered {
			l.held = l.held.Minus(leak.Rare)
		}
	}
	return covered
}

// record appends a record of an account, if one is due.
func (e *Engine) record(l budgetLine) {
	now, up := l.drawn.Plus(l.held), l.appended
	if l.budget == leak.Unlimited {
		if now.Minus(l.appended) >= mostAhead {
			up = now
		}
	} else if step := min(mostAhead, l.budget/aheadParts); now.Plus(step/2) > l.appended {
		up = max(now, min(now.Plus(step), l.budget))
	}
	if up != l.appended {
		e.enter(l, up)
	}
}

// enter appends a record of an account: it has drawn at most the amount up.
func (e *Engine) enter(l budgetLine, up leak.Bits) {
	if l.x.c.index(l.x.name) != l.x {
		return // dropped: another index may have its name now
	}
	l.appended = up
	e.append(nil, drawn(l.x, l.owner, up))
	e.afterDurable(func(code model.Code) {
		if code != model.OK {
			l.appended = l.durable
		}
	})
}

// drawn makes a record of an account: name of the index 32 | owner 4 | amount in 2^-20 bits 8.
// The owner of the account of an index is seglog.CoreOwner.
func drawn(x *index, owner uint32, up leak.Bits) seglog.Record {
	return seglog.Record{Kind: seglog.KindDrawn, Collection: x.c.id,
		Body: codec.Writer(nil).Text(x.name, model.MaxIdentifier).U32(owner).U64(uint64(up))}
}

// applyDrawn applies a durable record of an account. Its index may be gone.
func (e *Engine) applyDrawn(rec *seglog.Record) error {
	r := codec.NewReader(rec.Body)
	name, owner, up := r.Text(model.MaxIdentifier), r.U32(), leak.Bits(r.U64())
	if err := r.Done(); err != nil {
		return err
	}
	if c := e.byID[rec.Collection]; c != nil && c.index(name) != nil {
		c.index(name).ledger.of(owner).durable = up
	}
	return nil
}

// accounts lists all accounts, in a fixed order, without their budgets.
func (e *Engine) accounts() (list []budgetLine) {
	for _, x := range e.indexes {
		list = append(list, budgetLine{account: &x.ledger.total, x: x, owner: seglog.CoreOwner})
		for _, owner := range slices.Sorted(maps.Keys(x.ledger.owners)) {
			list = append(list, budgetLine{account: x.ledger.owners[owner], x: x, owner: owner})
		}
	}
	return list
}

// ledgerRecords makes the records of all accounts for a checkpoint.
func (e *Engine) ledgerRecords() (list []seglog.Record) {
	for _, l := range e.accounts() {
		if l.drawn > 0 || l.durable > 0 {
			list = append(list, drawn(l.x, l.owner, max(l.drawn, l.durable)))
		}
	}
	return list
}

// resetAccounts sets each account to its amount in the log, and drops the accounts of removed
// principals. Check calls it at a start.
func (e *Engine) resetAccounts() {
	known := map[uint32]bool{seglog.CoreOwner: true}
	for _, p := range e.principals {
		known[p.owner] = true
	}
	for _, l := range e.accounts() {
		l.drawn, l.appended = l.durable, l.durable
		if !known[l.owner] {
			delete(l.x.ledger.owners, l.owner)
		}
	}
}

// SettleLedgers appends the exact amounts to the log. The server calls it when no query is in
// flight any more. It calls done with OK when they are durable, or with another code when they
// can't become durable.
func (e *Engine) SettleLedgers(done func(model.Code)) {
	for _, l := range e.accounts() {
		if l.appended != l.drawn {
			e.enter(l, l.drawn)
		}
	}
	e.afterDurable(done)
}

// admit decides whether a query may be sent to the Task. A code other than OK refuses the
// query. With wait, it is decided again when the log covers its charge.
func (e *Engine) admit(q *Request, x *index, p *principal) (code model.Code, wait bool) {
	full := e.full(x) || q.Op == model.OpDeleteWhere && slices.ContainsFunc(x.c.indexes, e.full)
	switch {
	case e.leftFor(x, p) < leak.Rare:
		return model.LeakBudgetExhausted, false
	case x.state != model.IndexServing && x.ledger.of(p.owner).outages == x.outages:
		return model.IndexUnavailable, false
	case x.state == model.IndexServing && full:
		return model.Overloaded, false
	case !e.holdCharge(x, p):
		return e.admitLater(q)
	case x.state != model.IndexServing: // an outage is charged once to each principal that learns of it
		x.ledger.of(p.owner).outages = x.outages
		e.draw(x, p, leak.Rare, leak.Rare)
		return model.IndexUnavailable, false
	}
	return model.OK, false
}

// admitAll admits a query to all its indexes, or to none.
func (e *Engine) admitAll(q *query) (code model.Code, wait bool) {
	for i, x := range q.indexes {
		if code, wait = e.admit(q.req, x, q.p); code != model.OK || wait {
			for _, admitted := range q.indexes[:i] {
				e.draw(admitted, q.p, 0, leak.Rare)
			}
			break
		}
	}
	return code, wait
}

func (e *Engine) admitLater(q *Request) (code model.Code, wait bool) {
	if len(e.uncommitted) == 0 {
		return model.StorageFailed, false
	}
	e.afterDurable(func(code model.Code) {
		if code != model.OK {
			e.end(q, code)
			return
		}
		e.retryRequest(q) // as if it came now
	})
	return model.OK, true
}

// drawAll charges a query to the accounts of all its indexes, releases the amounts held for it, and
// reports whether the log covers the charges.
func (e *Engine) drawAll(q *query, charge leak.Bits) (covered bool) {
	covered = true
	for _, x := range q.indexes {
		covered = e.draw(x, q.p, charge, leak.Rare) && covered
	}
	return covered
}

// pay charges a query for an answer with k objects: each of its indexes in full, since each of their
// Tasks can have chosen the whole answer. A code other than OK withholds the answer. With wait, pay
// calls then when the log covers the charge. A deletion need not wait while the log takes records,
// since its records follow the record of the charge.
func (e *Engine) pay(f *finishing, k uint64, then func()) (code model.Code, wait bool) {
	q := f.query
	if q.charged {
		return model.OK, false
	}
	q.charged = true
	choice := leak.Choice{Versions: q.live, Since: q.c.versions - q.versions, Limit: uint64(q.want),
		Shown: k, Which: q.req.Op != model.OpCount, Ordered: q.ordered(), Partial: q.several()}
	if !q.several() {
		choice.Last = uint64(len(f.anchor) / identity.Size)
	}
	charge := choice.Charge()
	for _, x := range q.indexes {
		if charge > e.leftFor(x, q.p).Plus(leak.Rare) { // Rare is held for this query
			e.drawAll(q, leak.Rare)
			return model.LeakBudgetExhausted, false
		}
	}
	if e.drawAll(q, charge) || q.req.Op == model.OpDeleteWhere && !e.readOnly {
		return model.OK, false
	}
	e.afterDurable(func(code model.Code) {
		if code != model.OK {
			e.end(q.req, code)
			e.concluded(f)
			return
		}
		then()
	})
	return model.OK, true
}

// acknowledge ends the wait of a write for an index. If the Task could refuse the input, the
// answer to the PUT tells whether it did, if the budgets cover that.
func (e *Engine) acknowledge(x *index, d *delivery) {
	w := d.waiter
	if w == nil {
		return
	}
	d.waiter = nil
	if d.choice && w.opFlags[d.op]&byte(wire.ReplyNotIndexed) == 0 {
		p, charge := e.principals[w.req.Principal], leak.Indexed
		told, flag := e.coversPut(x, p), wire.ReplyFlags(0)
		if told && d.refused {
			charge, flag = leak.NotIndexed, wire.ReplyNotIndexed
		}
		if !told || e.draw(x, p, charge, 0) {
			w.setFlag(d.op, flag)
		} else {
			w.acksMissing++
			e.afterDurable(func(code model.Code) {
				if code == model.OK {
					w.setFlag(d.op, flag)
				}
				w.acked(e)
			})
		}
	}
	w.acked(e)
}

// coversPut reports whether the budgets cover the outcome of a PUT. PUTs use at most the
// first half of a budget, so that writes can't use up the budget of queries.
func (e *Engine) coversPut(x *index, p *principal) bool {
	for _, l := range e.lines(x, p) {
		if l.left() < leak.NotIndexed.Plus(l.budget/2) {
			return false
		}
	}
	return true
}

// outage charges an index for an outage that its Task caused.
func (e *Engine) outage(x *index) {
	x.outages++
	e.draw(x, nil, leak.Rare, 0)
}

// showMeter sets the amounts of the leak meter in a status item: those of the principal, and,
// for an administrator, those of all principals. A principal that may not read all objects sees
// the rest of its budget in sixteenths, since a charge depends on the number of all objects.
func (e *Engine) showMeter(s *wire.IndexStatus, x *index, p *principal) {
	rights, admin := x.c.grants.Rights(p.id), e.isAdmin(p.id)
	list := e.lines(x, p)
	index, own := list[0], list[1]
	readsAll := admin || access.Any(rights, model.RightRead)
	switch {
	case readsAll:
		s.LeakedBits, s.LeftBits = own.drawn.Up(), own.remaining(1)
	case access.Any(rights, model.RightReadOwn|model.RightDelete):
		s.LeftBits = own.remaining(max(1, own.budget/aheadParts))
	}
	if readsAll && (admin || access.Any(rights, model.RightAdmin)) {
		s.IndexBits, s.IndexLeftBits = index.drawn.Up(), index.remaining(1)
	}
}

// remaining returns the rest of a budget in whole bits, rounded down to a multiple of step;
// math.MaxUint64 if the account is not capped.
func (l budgetLine) remaining(step leak.Bits) uint64 {
	if l.budget == leak.Unlimited {
		return math.MaxUint64
	}
	return (l.left() / step * step).Down()
}
