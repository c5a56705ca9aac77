package main

import (
	"encoding/binary"
	"math"

	"github.com/ncruces/go-sqlite3"

	"motte/sdk"
)

// An entry on the shelf has the values of the columns, in their order: a byte for the type, and the value. Before
// a text stands its length.

// The types of values in entries.
const (
	savedNull byte = iota
	savedInteger
	savedReal
	savedText
)

// Entry implements sdk.Keeper.
func (x *index) Entry(v sdk.Value) (e sdk.Entry, ok bool) {
	must(bindRange(x.entry, v))
	defer x.entry.Reset()
	if !x.entry.Step() {
		must(x.entry.Err())
		return e, false
	}
	copy(e.Identity[:], x.entry.ColumnRawBlob(0))
	e.Owner = sdk.Owner(x.entry.ColumnInt64(1))
	for i := range x.columns {
		e.Data = appendColumn(e.Data, x.entry, i+2)
	}
	return e, true
}

// appendColumn appends the value of a column.
func appendColumn(p []byte, s *sqlite3.Stmt, i int) []byte {
	switch s.ColumnType(i) {
	case sqlite3.INTEGER:
		return binary.BigEndian.AppendUint64(append(p, savedInteger), uint64(s.ColumnInt64(i)))
	case sqlite3.FLOAT:
		return binary.BigEndian.AppendUint64(append(p, savedReal), math.Float64bits(s.ColumnFloat(i)))
	case sqlite3.TEXT:
		text := s.ColumnRawText(i)
		return append(binary.AppendUvarint(append(p, savedText), uint64(len(text))), text...)
	}
	return append(p, savedNull)
}

// Restore implements sdk.Keeper. It leaves the indexes of the columns to Restored.
func (x *index) Restore(e sdk.Entry) bool {
	if !x.restores {
		x.restores = true
		must(x.dropIndexes())
		must(x.Exec("BEGIN"))
	}
	must(x.drop(e.Identity.Value()))
	values, ok := x.readEntry(e.Data)
	return ok && x.put(e.Identity, e.Owner, values) == nil
}

// Restored implements sdk.BulkKeeper.
func (x *index) Restored() {
	must(x.Exec("COMMIT"))
	must(x.createIndexes())
	x.restores = false
}

// readEntry reads the values of an entry. It returns false if they are not of the types of the columns.
func (x *index) readEntry(p []byte) (values []any, ok bool) {
	for i := range x.columns {
		if len(p) == 0 {
			return nil, false
		}
		saved := p[0]
		p = p[1:]
		var v any
		switch saved {
		case savedNull:
		case savedInteger, savedReal:
			if len(p) < 8 {
				return nil, false
			}
			n := binary.BigEndian.Uint64(p)
			p = p[8:]
			if v = int64(n); saved == savedReal {
				v = math.Float64frombits(n)
			}
		case savedText:
			size, n := binary.Uvarint(p)
			if n <= 0 || size > maxText || size > uint64(len(p)-n) {
				return nil, false
			}
			p = p[n:]
			v = string(p[:size])
			p = p[size:]
		}
		if !x.columns[i].holds(v) {
			return nil, false
		}
		values = append(values, v)
	}
	return values, len(p) == 0
}

// holds reports whether a value can be one of the column.
func (c *column) holds(v any) bool {
	switch v.(type) {
	case int64:
		return c.kind == integers || c.kind == booleans
	case float64:
		return c.kind == reals
	case string:
		return c.kind == texts || c.kind == times
	}
	return true
}
