package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// Limits of columns. They bound the memory that an object takes.
const (
	maxColumns = 64
	maxText    = 1024 // bytes of a text, and of a time as it is written
	maxNumber  = 64   // bytes of a number as it is written
)

// column is a column of the table.
type column struct {
	name    string
	path    pointer.Pointer
	kind    kind
	indexed bool
}

// kind is the type of a column's values.
type kind string

const (
	integers kind = "integer"
	reals    kind = "real"
	texts    kind = "text"
	booleans kind = "boolean"
	times    kind = "time"
)

var kinds = []kind{integers, reals, texts, booleans, times}

// options is the configuration. A member that is unknown, null or given twice is refused.
type options struct {
	Columns []struct {
		Name  string `json:"name"`
		Path  string `json:"path"`
		Type  kind   `json:"type"`
		Index bool   `json:"index"`
	} `json:"columns"`
}

var (
	errOptions = errors.New("the configuration does not make sense")
	errValue   = errors.New("not a value of the column's type")
	columnName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// readColumns returns the columns of a configuration.
func readColumns(text []byte) (columns []column, err error) {
	var o options
	if err := ijson.Decode(text, &o); err != nil {
		return nil, fmt.Errorf("%w: %w", errOptions, err)
	}
	if len(o.Columns) == 0 || len(o.Columns) > maxColumns {
		return nil, fmt.Errorf("%w: %d columns", errOptions, len(o.Columns))
	}
	for _, c := range o.Columns {
		taken := slices.ContainsFunc(columns, func(other column) bool { return other.name == c.Name })
		if taken || !columnName.MatchString(c.Name) || keywords[c.Name] || functions[c.Name] != (function{}) || !slices.Contains(kinds, c.Type) {
			return nil, fmt.Errorf("%w: the column %.100q of type %.100q", errOptions, c.Name, c.Type)
		}
		path, err := pointer.Parse(c.Path)
		if err != nil {
			return nil, err
		}
		columns = append(columns, column{c.Name, path, c.Type, c.Index})
	}
	return columns, nil
}

// read returns the value of the column in an object that ijson.Check has accepted: an int64, float64 or string.
// It is nil if the object has none.
func (c *column) read(object []byte) (any, error) {
	value, ok := c.path.Value(object)
	if !ok || string(value) == "null" {
		return nil, nil
	}
	if c.kind == texts || c.kind == times {
		return c.readString(value)
	}
	switch text := string(value); {
	case c.kind == booleans && text == "true":
		return int64(1), nil
	case c.kind == booleans && text == "false":
		return int64(0), nil
	case c.kind == booleans || len(text) > maxNumber || strings.IndexByte("-0123456789", text[0]) < 0:
		return nil, errValue
	case c.kind == integers:
		n, err := strconv.ParseInt(text, 10, 64)
		return n, err
	default:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(f, 0) {
			return nil, errValue
		}
		return f + 0, nil // never -0
	}
}

// timeLayout is how a column has a time: in UTC, with all nine digits of a second. So times are ordered as their
// texts are.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

func (c *column) readString(value []byte) (any, error) {
	var s string
	if value[0] != '"' || json.Unmarshal(value, &s) != nil || len(s) > maxText || strings.IndexByte(s, 0) >= 0 {
		return nil, errValue
	}
	if c.kind == texts {
		return s, nil
	}
	return instant(s)
}

// instant returns a time of RFC 3339 as a column has it.
func instant(s string) (any, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	// time.Parse also accepts an hour of one digit and a decimal comma. RFC 3339 does not.
	if err != nil || s[len("2006-01-02T15")] != ':' || strings.Contains(s, ",") {
		return nil, errValue
	}
	if t = t.UTC(); t.Year() < 0 || t.Year() > 9999 {
		return nil, errValue
	}
	return t.Format(timeLayout), nil
}

// readAll returns the values of all columns.
func readAll(columns []column, object []byte) (values []any, err error) {
	if err := ijson.Check(object); err != nil {
		return nil, err
	}
	for i := range columns {
		v, err := columns[i].read(object)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
