package build

import (
	"errors"
	"fmt"
	"strings"
)

// Module is what a WebAssembly module says of itself: what it needs and what it offers. Its code is
// not looked at.
type Module struct {
	Imports []Import
	Exports []Export
	Memory  Memory // its only memory
}

// Import is something that a module needs from outside.
type Import struct {
	Module, Name string
	Type         string // of a function, as in "(i32, i64) -> i32"; else "table", "memory", "global", "tag"
}

// Export is something that a module offers.
type Export struct {
	Name string
	Type string // as of an Import
}

// Memory is the linear memory of a module, in pages of 64 KiB.
type Memory struct {
	Defined int    // memories that the module defines
	Pages   uint64 // at the start
}

// errModule says that a file is not a module that can be read.
var errModule = errors.New("not a WebAssembly module that Motte can read")

const (
	header = "\x00asm\x01\x00\x00\x00" // magic and version of a core module
	layer  = "\x00asm\x0d\x00\x01\x00" // of a component
)

// Sections of a module that ReadModule reads. It passes over the others.
const (
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionMemory   = 5
	sectionExport   = 7
	sectionTag      = 13
)

// Kinds of imports and exports.
const (
	kindFunction = 0
	kindTable    = 1
	kindMemory   = 2
	kindGlobal   = 3
	kindTag      = 4
)

var kinds = [...]string{kindFunction: "function", kindTable: "table", kindMemory: "memory", kindGlobal: "global", kindTag: "tag"}

// ReadModule reads the imports, the exports and the memory of a module in the binary format.
func ReadModule(p []byte) (*Module, error) {
	switch {
	case strings.HasPrefix(string(p), layer):
		return nil, fmt.Errorf("%w: it is a component; build a core module", errModule)
	case !strings.HasPrefix(string(p), header):
		return nil, fmt.Errorf("%w: it does not begin with the magic and version 1", errModule)
	}
	m := moduleReader{bytes: bytes{rest: p[len(header):]}}
	for len(m.rest) > 0 && m.err == nil {
		id := m.u8()
		section := m.take(int(m.u32()))
		if m.err == nil {
			m.section(id, section)
		}
	}
	if m.err != nil {
		return nil, fmt.Errorf("%w: %w", errModule, m.err)
	}
	return &m.Module, nil
}

// moduleReader reads the sections of a module.
type moduleReader struct {
	bytes
	Module
	types     []string // of functions
	functions []string // type of each function, imported ones first
}

func (m *moduleReader) section(id byte, content []byte) {
	outer := m.bytes
	m.bytes = bytes{rest: content}
	switch id {
	case sectionType:
		m.each(func() { m.types = append(m.types, m.functionType()) })
	case sectionImport:
		m.each(m.importOne)
	case sectionFunction:
		m.each(func() { m.functions = append(m.functions, m.typeAt(m.u32())) })
	case sectionMemory:
		m.each(func() { m.Memory = Memory{m.Memory.Defined + 1, m.limits()} })
	case sectionExport:
		m.each(m.exportOne)
	case sectionTag:
		m.fail("it uses exceptions; build it without")
	default:
		m.rest = nil
	}
	if m.err == nil && len(m.rest) > 0 {
		m.fail("section %d is longer than its content", id)
	}
	outer.err = m.err
	m.bytes = outer
}

// each reads the elements of a list.
func (m *moduleReader) each(read func()) {
	for n := m.u32(); n > 0 && m.err == nil; n-- {
		read()
	}
}

func (m *moduleReader) functionType() string {
	if m.u8() != 0x60 {
		m.fail("a type is not that of a function")
	}
	params, results := m.valueTypes(), m.valueTypes()
	text := "(" + strings.Join(params, ", ") + ")"
	switch len(results) {
	case 0:
		return text
	case 1:
		return text + " -> " + results[0]
	}
	return text + " -> (" + strings.Join(results, ", ") + ")"
}

func (m *moduleReader) valueTypes() (list []string) {
	m.each(func() { list = append(list, m.valueType()) })
	return list
}

func (m *moduleReader) valueType() string {
	switch t := m.u8(); t {
	case 0x7f:
		return "i32"
	case 0x7e:
		return "i64"
	case 0x7d:
		return "f32"
	case 0x7c:
		return "f64"
	case 0x7b:
		return "v128"
	case 0x70:
		return "funcref"
	case 0x6f:
		return "externref"
	default:
		m.fail("the type %#x of a value is not known", t)
		return ""
	}
}

func (m *moduleReader) typeAt(i uint32) string {
	if uint64(i) >= uint64(len(m.types)) {
		m.fail("a function has a type that is missing")
		return ""
	}
	return m.types[i]
}

func (m *moduleReader) importOne() {
	i := Import{Module: m.name(), Name: m.name()}
	kind := m.u8()
	switch kind {
	case kindFunction:
		i.Type = m.typeAt(m.u32())
		m.functions = append(m.functions, i.Type)
	case kindTable:
		m.valueType()
		m.limits()
	case kindMemory:
		m.limits()
	case kindGlobal:
		m.valueType()
		m.u8() // mutable or not
	default:
		m.fail("an import of kind %d is not known", kind)
	}
	if kind != kindFunction && m.err == nil {
		i.Type = kinds[kind]
	}
	m.Imports = append(m.Imports, i)
}

func (m *moduleReader) exportOne() {
	e := Export{Name: m.name()}
	kind, index := m.u8(), m.u32()
	switch {
	case int(kind) >= len(kinds):
		m.fail("an export of kind %d is not known", kind)
	case kind != kindFunction:
		e.Type = kinds[kind]
	case uint64(index) >= uint64(len(m.functions)):
		m.fail("the function that is exported as %q is missing", e.Name)
	default:
		e.Type = m.functions[index]
	}
	m.Exports = append(m.Exports, e)
}

// limits reads the size of a memory or a table, and returns that at the start.
func (m *moduleReader) limits() uint64 {
	flags := m.u8()
	if flags > 1 {
		m.fail("a memory or a table is shared, or has 64 bits")
		return 0
	}
	start := m.u32()
	if flags == 1 {
		m.u32()
	}
	return uint64(start)
}

// bytes reads fields from the start of a text in the binary format. After an error it
// returns zeros.
type bytes struct {
	rest []byte
	err  error
}

func (b *bytes) fail(format string, args ...any) {
	if b.err == nil {
		b.err = fmt.Errorf(format, args...)
	}
	b.rest = nil
}

func (b *bytes) take(n int) []byte {
	if b.err != nil || n < 0 || n > len(b.rest) {
		b.fail("it ends too early")
		return nil
	}
	field := b.rest[:n]
	b.rest = b.rest[n:]
	return field
}

func (b *bytes) u8() byte {
	if field := b.take(1); field != nil {
		return field[0]
	}
	return 0
}

// u32 reads a number in LEB128.
func (b *bytes) u32() (n uint32) {
	for shift := 0; shift < 35; shift += 7 {
		next := b.u8()
		if shift == 28 && next > 0x0f {
			break
		}
		n |= uint32(next&0x7f) << shift
		if next < 0x80 {
			return n
		}
	}
	b.fail("a number is too large")
	return 0
}

func (b *bytes) name() string { return string(b.take(int(b.u32()))) }
