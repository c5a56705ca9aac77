package main

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/ncruces/go-sqlite3"
)

// maxSteps bounds the work of one query: instructions of SQLite's machine, and characters that LIKE and
// instr look at. It takes some seconds.
const maxSteps = 1 << 25

// progressSteps is the number of instructions after which SQLite asks whether to go on.
const progressSteps = 1000

// budget counts the steps of a query. SQLite asks for its error after each progressSteps instructions.
type budget struct {
	context.Context
	left int
}

func (b *budget) Err() error {
	if !b.spend(progressSteps) {
		return context.Canceled
	}
	return nil
}

// spend takes steps. It returns false if too few are left.
func (b *budget) spend(steps int) bool {
	b.left -= steps
	return b.left >= 0
}

// addFunctions replaces the functions of SQLite whose work is not counted in instructions: it may be the
// product of the lengths of two texts. It adds instant.
func (d *database) addFunctions() error {
	const flags = sqlite3.DETERMINISTIC | sqlite3.INNOCUOUS
	err := d.CreateFunction("instant", 1, flags, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		if t, err := instant(arg[0].Text()); err == nil {
			ctx.ResultText(t.(string))
		} else {
			ctx.ResultNull()
		}
	})
	if err != nil {
		return err
	}
	for arguments := 2; arguments <= 3; arguments++ {
		if err := d.CreateFunction("like", arguments, flags, d.like); err != nil {
			return err
		}
	}
	return d.CreateFunction("instr", 2, flags, func(ctx sqlite3.Context, arg ...sqlite3.Value) {
		if isNull(arg) {
			ctx.ResultNull()
			return
		}
		text, part := arg[0].Text(), arg[1].Text()
		d.spend(ctx, len(text))
		at := strings.Index(text, part)
		if at >= 0 {
			at = utf8.RuneCountInString(text[:at])
		}
		ctx.ResultInt(at + 1)
	})
}

func isNull(values []sqlite3.Value) bool {
	for _, v := range values {
		if v.Type() == sqlite3.NULL {
			return true
		}
	}
	return false
}

func (d *database) spend(ctx sqlite3.Context, steps int) bool {
	if !d.work.spend(steps) {
		ctx.ResultError(sqlite3.INTERRUPT)
		return false
	}
	return true
}

// like is the operator LIKE: its arguments are the pattern, the text, and the character that escapes % and _.
func (d *database) like(ctx sqlite3.Context, arg ...sqlite3.Value) {
	if isNull(arg) {
		ctx.ResultNull()
		return
	}
	escape := rune(-1)
	if len(arg) == 3 {
		s := arg[2].Text()
		r, size := utf8.DecodeRuneInString(s)
		if s == "" || size != len(s) {
			ctx.ResultError(sqlite3.MISMATCH)
			return
		}
		escape = r
	}
	m := matcher{escape: escape}
	found := m.match(arg[0].Text(), arg[1].Text(), d.work.left)
	if d.spend(ctx, m.steps) {
		ctx.ResultBool(found)
	}
}

// matcher matches a text with a pattern of LIKE. It goes back only to the last %, so its steps are at most
// the product of the two lengths.
type matcher struct {
	escape rune
	steps  int
}

func (m *matcher) match(pattern, text string, most int) bool {
	var back, from string // the pattern behind the last %, and the text from which it was tried last
	again := false
	for m.steps = 1; m.steps <= most; m.steps++ {
		kind, want, rest := m.next(pattern)
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case kind == anyText:
			pattern, back, from, again = rest, rest, text, true
			continue
		case kind == ended && text == "":
			return true
		case text != "" && (kind == anyCharacter || kind == character && fold(r) == fold(want)):
			pattern, text = rest, text[size:]
			continue
		case !again || from == "":
			return false
		}
		_, size = utf8.DecodeRuneInString(from)
		from = from[size:]
		pattern, text = back, from
	}
	return false
}

type part int

const (
	ended part = iota
	character
	anyCharacter
	anyText
)

// next splits a part off a pattern.
func (m *matcher) next(pattern string) (kind part, want rune, rest string) {
	if pattern == "" {
		return ended, 0, ""
	}
	r, size := utf8.DecodeRuneInString(pattern)
	rest = pattern[size:]
	switch {
	case r == m.escape:
		r, size = utf8.DecodeRuneInString(rest)
		if rest == "" {
			return character, -1, "" // fits no character
		}
		return character, r, rest[size:]
	case r == '%':
		return anyText, 0, rest
	case r == '_':
		return anyCharacter, 0, rest
	}
	return character, r, rest
}

// fold folds the letters of ASCII, and no others, as SQLite does.
func fold(r rune) rune {
	if r >= 'A' && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}
