package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"motte/sdk"
)

// The numbers of the parameters of a statement.
const (
	paramOwner  = 1
	paramAnchor = 2
	paramLimit  = 3
)

// find returns the identities of a page, and one more.
func (d *database) find(q *sdk.Query, c clauses, steps int) (found []sdk.Identity, err error) {
	if err := d.loadCandidates(q); err != nil {
		return nil, err
	}
	d.work = budget{context.Background(), steps}
	d.SetInterrupt(&d.work)
	defer d.SetInterrupt(context.Background())
	d.guarded = true
	defer func() { d.guarded = false }()
	anchor, err := d.anchor(q, c)
	if err != nil {
		return nil, err
	}
	behind := anchor == nil || c.order == ""
	bind := func(s *sqlite3.Stmt) error { return d.bindPage(s, q, c, anchor) }
	err = d.rows(pageOf(q, c, anchor != nil), bind, func(id sdk.Identity) bool {
		if behind {
			found = append(found, id)
		} else {
			behind = id == *anchor
		}
		return len(found) <= q.Limit
	})
	return found, err
}

// loadCandidates puts the candidates into a table of their own.
func (d *database) loadCandidates(q *sdk.Query) error {
	if err := d.forget.Exec(); err != nil {
		return err
	}
	if len(q.Within) == 0 {
		return nil
	}
	if err := d.Exec("BEGIN"); err != nil {
		return err
	}
	var err error
	for id := range q.Candidates() {
		if err = d.candidate.BindBlob(1, id[:]); err == nil {
			err = d.candidate.Exec()
		}
		if err != nil {
			break
		}
	}
	return errors.Join(err, d.Exec("COMMIT"))
}

// pageOf returns the statement for a page. Its rows are in order, and end with the order of the identities, so
// that no two rows are equal. A page behind an anchor begins with the anchor or before it if it has an order, since
// only the order can tell what stands behind it.
func pageOf(q *sdk.Query, c clauses, behind bool) string {
	var s strings.Builder
	s.WriteString("SELECT _objects._id FROM ")
	if len(q.Within) > 0 {
		s.WriteString("_candidates CROSS JOIN _objects ON _objects._id = _candidates._id")
	} else {
		s.WriteString("_objects")
	}
	s.WriteString(" WHERE ( " + c.where + " )")
	if q.Owner != sdk.AllOwners {
		s.WriteString(" AND ( _owner = ?1")
		if behind && c.order != "" {
			s.WriteString(" OR _objects._id = ?2")
		}
		s.WriteString(" )")
	}
	if behind && c.order == "" {
		s.WriteString(" AND _objects._id > ?2")
	}
	s.WriteString(" ORDER BY ")
	if c.order != "" {
		s.WriteString(c.order + " , ")
	}
	s.WriteString("_objects._id")
	if !behind || c.order == "" {
		s.WriteString(" LIMIT ?3")
	}
	return s.String()
}

func (d *database) bindPage(s *sqlite3.Stmt, q *sdk.Query, c clauses, anchor *sdk.Identity) error {
	var errs []error
	if q.Owner != sdk.AllOwners {
		errs = append(errs, s.BindInt64(paramOwner, int64(q.Owner)))
	}
	if anchor != nil && (c.order == "" || q.Owner != sdk.AllOwners) {
		errs = append(errs, s.BindBlob(paramAnchor, anchor[:]))
	}
	if anchor == nil || c.order == "" {
		errs = append(errs, s.BindInt64(paramLimit, int64(q.Limit)+1))
	}
	return errors.Join(errs...)
}

// anchor returns the identity behind which a page begins. It is nil if the page is the first.
func (d *database) anchor(q *sdk.Query, c clauses) (*sdk.Identity, error) {
	for _, id := range q.After {
		found := false
		bind := func(s *sqlite3.Stmt) error { return s.BindBlob(paramAnchor, id[:]) }
		err := d.rows("SELECT _id FROM _objects WHERE _id = ?2 AND ( "+c.where+" )", bind, func(sdk.Identity) bool {
			found = true
			return false
		})
		if err != nil || found {
			return &id, err
		}
	}
	if len(q.After) > 0 {
		return nil, sdk.ErrGone
	}
	return nil, nil
}

// rows runs a statement, and gives the identities of its rows to a function until that returns false. The error
// is sdk.ErrTooExpensive if the steps are used up. Any other error refuses the predicate.
func (d *database) rows(sql string, bind func(*sqlite3.Stmt) error, take func(sdk.Identity) bool) (err error) {
	defer func() { err = lackOfMemory(recover(), err) }()
	s, tail, err := d.Prepare(sql)
	if err != nil {
		return d.reason(err)
	}
	defer s.Close()
	if tail != "" || !s.ReadOnly() {
		return errPredicate
	}
	if err := bind(s); err != nil {
		return err
	}
	var id sdk.Identity
	for {
		d.work.left += progressSteps // Step asks for the error of the budget once by itself
		if !s.Step() {
			return d.reason(s.Err())
		}
		if copy(id[:], s.ColumnRawBlob(0)) != len(id) {
			return errPredicate
		}
		if !take(id) {
			return nil
		}
	}
}

// reason returns the error of a query.
func (d *database) reason(err error) error {
	if err != nil && d.work.left < 0 {
		return sdk.ErrTooExpensive
	}
	return err
}

// lackOfMemory turns the panic of the library about a lack of memory into an error. SQLite has then given the memory of the
// query back. It goes on with any other panic.
func lackOfMemory(panicked any, err error) error {
	switch {
	case panicked == nil:
		return err
	case fmt.Sprint(panicked) == "sqlite3: out of memory":
		return sdk.ErrTooExpensive
	}
	panic(panicked)
}

// authorize is the authorizer. While a query runs it allows to read the two tables, and the functions of the
// grammar.
func (d *database) authorize(action sqlite3.AuthorizerActionCode, first, second, _, _ string) sqlite3.AuthorizerReturnCode {
	_, known := functions[second]
	switch {
	case !d.guarded,
		action == sqlite3.AUTH_SELECT,
		action == sqlite3.AUTH_READ && (first == "_objects" || first == "_candidates"),
		action == sqlite3.AUTH_FUNCTION && (known || second == "like"):
		return sqlite3.AUTH_OK
	}
	return sqlite3.AUTH_DENY
}
