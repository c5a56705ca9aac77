package main

import (
	"bytes"
	"reflect"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/go-json-experiment/json/jsontext"

	"motte/sdk/pointer"
)

// value returns the value of CEL that a JSON value stands for. The text is one that ijson.Check accepts.
func (run *evaluation) value(text []byte) ref.Val {
	if !run.spend(1 + len(text)/stepBytes) {
		return errSteps
	}
	text = bytes.TrimSpace(text)
	switch text[0] {
	case '{':
		return &members{text: text, run: run}
	case '[':
		var list []ref.Val
		pointer.Elements(text, func(element []byte) { list = append(list, run.value(element)) })
		return types.NewRefValList(types.DefaultTypeAdapter, list)
	case '"':
		return unquoted(text)
	case 't':
		return types.True
	case 'f':
		return types.False
	case 'n':
		return types.NullValue
	}
	return number(string(text))
}

// errSteps is the value of whatever is read when no steps are left.
var errSteps = types.NewErr("the query takes too much work")

func unquoted(text []byte) ref.Val {
	if bytes.IndexByte(text, '\\') < 0 {
		return types.String(text[1 : len(text)-1])
	}
	s, err := jsontext.AppendUnquote(nil, text)
	if err != nil {
		return types.WrapErr(err)
	}
	return types.String(s)
}

// number returns an int or uint if the number has neither a fraction nor an exponent, and fits. Otherwise
// it returns the nearest double, which is infinite for a number that is too large.
func number(s string) ref.Val {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && s != "-0" {
		return types.Int(n)
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return types.Uint(n)
	}
	f, _ := strconv.ParseFloat(s, 64) // an error says that it is infinite
	return types.Double(f)
}

// members is a JSON object as a map of CEL. A member is read when it is asked for.
type members struct {
	text  []byte
	run   *evaluation
	whole traits.Mapper // nil until all members are needed
}

var _ traits.Mapper = (*members)(nil)

// Find implements traits.Mapper.
func (m *members) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return m.all().Find(key)
	}
	if !m.run.spend(1 + len(m.text)/stepBytes) {
		return errSteps, false
	}
	text, ok := pointer.Pointer{string(name)}.Value(m.text)
	if !ok {
		return nil, false
	}
	return m.run.value(text), true
}

// all returns a map that has all members.
func (m *members) all() traits.Mapper {
	if m.whole == nil {
		m.run.spend(1 + len(m.text)/stepBytes)
		all := make(map[ref.Val]ref.Val)
		pointer.Members(m.text, func(name string, text []byte) { all[types.String(name)] = m.run.value(text) })
		m.whole = types.NewRefValMap(types.DefaultTypeAdapter, all)
	}
	return m.whole
}

// Get implements traits.Indexer.
func (m *members) Get(key ref.Val) ref.Val {
	if v, found := m.Find(key); found || v != nil {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

// Contains implements traits.Container.
func (m *members) Contains(key ref.Val) ref.Val {
	v, found := m.Find(key)
	if v != nil && types.IsError(v) {
		return v
	}
	return types.Bool(found)
}

// The methods of traits.Mapper that need all members.

func (m *members) Iterator() traits.Iterator                   { return m.all().Iterator() }
func (m *members) Size() ref.Val                               { return m.all().Size() }
func (m *members) Equal(other ref.Val) ref.Val                 { return m.all().Equal(other) }
func (m *members) ConvertToType(t ref.Type) ref.Val            { return m.all().ConvertToType(t) }
func (m *members) ConvertToNative(t reflect.Type) (any, error) { return m.all().ConvertToNative(t) }
func (m *members) Type() ref.Type                              { return types.MapType }
func (m *members) Value() any                                  { return m.all().Value() }
