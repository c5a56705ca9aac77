package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"

	"motte/client"
	"motte/sdk/ijson"
)

// output is standard output. It remembers the first write that failed, so that a command,
// help or completion without its result fails. If the reader closes a pipe, Go's runtime ends
// the process silently, as is usual.
type output struct {
	file     *os.File
	terminal bool // control characters are escaped
	err      error
}

// newOutput returns a file as standard output.
func newOutput(f *os.File) *output { return &output{file: f, terminal: isTerminal(f)} }

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	text := p
	if o.terminal {
		text = []byte(harmlessText(string(p)))
	}
	n, err := o.file.Write(text)
	if err == nil {
		return len(p), nil
	}
	var path *os.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	err = fmt.Errorf("write standard output: %w", err)
	if o.err == nil {
		o.err = err
	}
	return min(n, len(p)), err
}

// Fd is the descriptor.
func (o *output) Fd() uintptr { return o.file.Fd() }

// failed returns the first error of a write.
func (o *output) failed() error { return o.err }

// forget forgets a failed write.
func (o *output) forget() { o.err = nil }

// sink is standard output for cobra. It hides errors, which cobra would print in its own way.
// The command reports the error of the output at its end.
type sink struct{ *output }

// Write implements io.Writer.
func (s sink) Write(p []byte) (int, error) {
	_, _ = s.output.Write(p)
	return len(p), nil
}

// emit prints a result for programs: one JSON value on a line.
func (a *app) emit(v any) error { return encode(a.stdout, v) }

func encode(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(harmless(b.Bytes()))
	return err
}

// harmless escapes the control characters U+007F to U+009F, which JSON may contain unescaped. A
// terminal obeys some of them. The value stays the same.
func harmless(line []byte) []byte {
	obeyed := func(r rune) bool { return r >= 0x7f && r <= 0x9f }
	if !bytes.ContainsFunc(line, obeyed) {
		return line
	}
	var b bytes.Buffer
	for _, r := range string(line) {
		if obeyed(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// done prints the result of a command: v for programs, the text for people.
func (a *app) done(v any, format string, args ...any) error {
	if a.json {
		return a.emit(v)
	}
	if a.quiet {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, format+"\n", args...)
	return err
}

// note prints a note for people on standard error.
func (a *app) note(format string, args ...any) {
	if !a.quiet {
		a.say(format+"\n", args...)
	}
}

// say writes to standard error. Errors and notes may contain text of another person, such as the
// name of a file, so control characters are escaped.
func (a *app) say(format string, args ...any) {
	_, _ = io.WriteString(a.stderr, harmlessText(fmt.Sprintf(format, args...)))
}

// harmlessText escapes the control characters of a text, except line breaks and tabs.
func harmlessText(text string) string {
	if printable([]byte(text), "\n\t") {
		return text
	}
	var b strings.Builder
	for n := 0; n < len(text); {
		r, width := utf8.DecodeRuneInString(text[n:])
		part := text[n : n+width]
		switch {
		case width == 1 && part[0] >= 0x80 && part[0] <= 0x9f: // a lone byte, or one that continues the byte of another write
			fmt.Fprintf(&b, "\\x%02x", part[0])
		case r != '\n' && r != '\t' && unicode.IsControl(r):
			fmt.Fprintf(&b, "\\u%04x", r)
		default:
			b.WriteString(part)
		}
		n += width
	}
	return b.String()
}

// table prints items: one JSON value a line for programs, a table for people.
func table[T any](a *app, items []T, header string, row func(T) []any) error {
	if a.json {
		for _, item := range items {
			if err := a.emit(item); err != nil {
				return err
			}
		}
		return nil
	}
	if len(items) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ReplaceAll(header, " | ", "\t"))
	for _, item := range items {
		cells := row(item)
		fmt.Fprintf(w, strings.Repeat("%v\t", len(cells)-1)+"%v\n", cells...)
	}
	return w.Flush()
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(f interface{ Fd() uintptr }) bool { return term.IsTerminal(int(f.Fd())) }

// size writes a number of bytes for people.
func size(n uint64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n)/(1<<10), 0
	for ; v >= 1<<10 && unit < len(units)-1; unit++ {
		v /= 1 << 10
	}
	return fmt.Sprintf("%.4g %ciB", v, units[unit])
}

// plural writes a number and a noun for people.
func plural[N ~int | ~int64 | ~uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// yes writes a flag for people: its name, or "" if it is off.
func yes(on bool, name string) string {
	if on {
		return name
	}
	return ""
}

// identifier writes an identity, a principal or a key.
func identifier(id [32]byte) string { return hex.EncodeToString(id[:]) }

// oneLine returns an object as one line, with JSON compacted. It returns false if the object has
// several lines, or control characters and is for a terminal.
func oneLine(data []byte, terminal bool) (line []byte, ok bool) {
	var b bytes.Buffer
	if json.Compact(&b, data) == nil {
		return b.Bytes(), !terminal || printable(b.Bytes(), "")
	}
	return data, bytes.IndexByte(data, '\n') < 0 && (!terminal || printable(data, "\t"))
}

// printable reports whether data is text without control characters, other than those in except.
func printable(data []byte, except string) bool {
	return utf8.Valid(data) && !bytes.ContainsFunc(data, func(r rune) bool {
		return unicode.IsControl(r) && !strings.ContainsRune(except, r)
	})
}

// object is an object as JSON. Its content is JSON if all readers understand it alike, and
// base64 otherwise. Its name is text, or base64 if it is not UTF-8.
type object struct {
	ID         string          `json:"id"`
	Name       string          `json:"name,omitempty"`
	NameBase64 []byte          `json:"name_base64,omitempty"`
	Object     json.RawMessage `json:"object,omitempty"`
	Base64     []byte          `json:"base64,omitzero"`
}

func newObject(o client.Object) object {
	x := envelope(o)
	if ijson.Check(o.Data) == nil {
		x.Object, x.Base64 = o.Data, nil
	}
	return x
}

// envelope returns an object in a form that preserves its bytes and the bytes of its name.
func envelope(o client.Object) object {
	x := object{ID: identifier(o.Identity), Base64: o.Data}
	if x.Base64 == nil {
		x.Base64 = []byte{}
	}
	x.Name, x.NameBase64 = textOrBytes(o.Name)
	return x
}

// textOrBytes returns a name of an object or a file for JSON. A name in UTF-8 is text. JSON
// can't hold any other name, so raw has its bytes, which JSON shows in base64.
func textOrBytes(s string) (text string, raw []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}
