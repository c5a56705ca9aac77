package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/ncruces/go-sqlite3"

	"motte/sdk"
)

// maxMemory bounds the memory of SQLite, which has addresses of 32 bits. It is also at most three quarters of what the process
// may have. The table gets a half of it: over that, an object is refused. The rest is for changes and queries.
const maxMemory = 3 << 30 // bytes

// memory returns how much memory SQLite may take.
func memory() int64 {
	var data syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_DATA, &data); err != nil || data.Cur > maxMemory/3*4 {
		return maxMemory
	}
	return int64(data.Cur / 4 * 3)
}

// database is the table, in memory. Its own columns begin with an underscore, which no column of the
// configuration does.
type database struct {
	*sqlite3.Conn
	columns  []column
	work     budget // of the query that runs
	guarded  bool   // a query runs, so the authorizer is strict
	restores bool   // a transaction is open, and there are no indexes
	maxPages int    // of the table

	insert, remove, entry, candidate, forget, pages, freePages *sqlite3.Stmt
}

func openDatabase(columns []column, memory int64) (*database, error) {
	// In memory, SQLite opens no file, and maps no memory that can be executed.
	conn, err := sqlite3.OpenContext(sqlite3.WithMaxMemory(context.Background(), memory), ":memory:")
	if err != nil {
		return nil, err
	}
	d := &database{Conn: conn, columns: columns, maxPages: int(memory / 2 / pageSize)}
	if err := d.prepareAll(); err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	return d, nil
}

func (d *database) prepareAll() error {
	d.limit()
	if err := errors.Join(d.addFunctions(), d.SetAuthorizer(d.authorize)); err != nil {
		return err
	}
	var names, marks []string
	for i, c := range d.columns {
		names = append(names, `"`+c.name+`"`)
		marks = append(marks, fmt.Sprintf("?%d", i+3))
	}
	table := "CREATE TABLE _objects (_id BLOB PRIMARY KEY, _owner INTEGER, " + strings.Join(names, ", ") + ") WITHOUT ROWID"
	setup := fmt.Sprintf("PRAGMA page_size = %d; PRAGMA temp_store = MEMORY; %s; ", pageSize, table) +
		"CREATE TABLE _candidates (_id BLOB PRIMARY KEY) WITHOUT ROWID; CREATE INDEX _owners ON _objects (_owner)"
	if err := d.Exec(setup); err != nil {
		return err
	}
	if err := d.createIndexes(); err != nil {
		return err
	}
	for _, s := range []struct {
		to  **sqlite3.Stmt
		sql string
	}{
		{&d.insert, "INSERT INTO _objects VALUES (?1, ?2, " + strings.Join(marks, ", ") + ")"},
		{&d.remove, "DELETE FROM _objects WHERE _id BETWEEN ?1 AND ?2"},
		{&d.entry, "SELECT * FROM _objects WHERE _id BETWEEN ?1 AND ?2"},
		{&d.candidate, "INSERT OR IGNORE INTO _candidates VALUES (?1)"},
		{&d.forget, "DELETE FROM _candidates"},
		{&d.pages, "PRAGMA page_count"},
		{&d.freePages, "PRAGMA freelist_count"},
	} {
		var err error
		if *s.to, _, err = d.PrepareFlags(s.sql, sqlite3.PREPARE_PERSISTENT); err != nil {
			return err
		}
	}
	return nil
}

// limit sets the limits of SQLite that bound compiling a predicate.
func (d *database) limit() {
	for category, value := range map[sqlite3.LimitCategory]int{
		sqlite3.LIMIT_LENGTH: 1 << 20, sqlite3.LIMIT_SQL_LENGTH: 1 << 20, sqlite3.LIMIT_EXPR_DEPTH: 2 * maxHeight,
		sqlite3.LIMIT_COMPOUND_SELECT: 1, sqlite3.LIMIT_VDBE_OP: 100_000, sqlite3.LIMIT_FUNCTION_ARG: 20, sqlite3.LIMIT_ATTACHED: 0,
		sqlite3.LIMIT_LIKE_PATTERN_LENGTH: maxPredicate, sqlite3.LIMIT_VARIABLE_NUMBER: maxColumns + 8, sqlite3.LIMIT_TRIGGER_DEPTH: 1,
	} {
		d.Limit(category, value)
	}
}

// createIndexes makes the indexes of the columns that have one. dropIndexes drops them.
func (d *database) createIndexes() error {
	return d.eachIndex(func(c column) string { return `CREATE INDEX "_by_` + c.name + `" ON _objects ("` + c.name + `")` })
}

func (d *database) dropIndexes() error {
	return d.eachIndex(func(c column) string { return `DROP INDEX "_by_` + c.name + `"` })
}

func (d *database) eachIndex(sql func(column) string) error {
	for _, c := range d.columns {
		if !c.indexed {
			continue
		}
		if err := d.Exec(sql(c)); err != nil {
			return err
		}
	}
	return nil
}

// pageSize is the size of a page of the database.
const pageSize = 4096 // bytes

var errFull = errors.New("the table is full")

// full reports whether the table has all pages that it may have.
func (d *database) full() bool { return count(d.pages)-count(d.freePages) >= d.maxPages }

// count returns the number that a statement gives.
func count(s *sqlite3.Stmt) int {
	defer s.Reset()
	if !s.Step() {
		must(s.Err())
	}
	return s.ColumnInt(0)
}

// put inserts a row. A value is nil, an int64, a float64 or a string.
func (d *database) put(id sdk.Identity, owner sdk.Owner, values []any) error {
	if d.full() {
		return errFull
	}
	err := d.insert.BindBlob(1, id[:])
	if err == nil {
		err = d.insert.BindInt64(2, int64(owner))
	}
	for i, v := range values {
		if err != nil {
			break
		}
		switch v := v.(type) {
		case nil:
			err = d.insert.BindNull(i + 3)
		case int64:
			err = d.insert.BindInt64(i+3, v)
		case float64:
			err = d.insert.BindFloat(i+3, v)
		case string:
			err = d.insert.BindText(i+3, v)
		}
	}
	if err == nil {
		err = d.insert.Exec()
	}
	return err
}

// bindRange binds the identities with a value, of which the table has one at most.
func bindRange(s *sqlite3.Stmt, v sdk.Value) error {
	first := make([]byte, len(sdk.Identity{}))
	copy(first, v[:])
	last := append([]byte(nil), first...)
	for i := len(v); i < len(last); i++ {
		last[i] = 0xff
	}
	if err := s.BindBlob(1, first); err != nil {
		return err
	}
	return s.BindBlob(2, last)
}

// drop removes the row with a value, if there is one.
func (d *database) drop(v sdk.Value) error {
	if err := bindRange(d.remove, v); err != nil {
		return err
	}
	return d.remove.Exec()
}
