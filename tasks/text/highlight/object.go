package highlight

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"motte/sdk/ijson"
)

// Object returns an object with marks in its texts: those that the index reads, or all texts of a JSON object
// if the configuration of the index is not known. The result is JSON again, without white space between its parts.
func (h *Highlighter) Object(data []byte, before, behind string) []byte {
	if ijson.Check(data) != nil || h.dialect.Paths != nil && h.dialect.Paths[0] == nil {
		marked, _ := h.Mark("", string(data), before, behind)
		return []byte(marked)
	}
	in := jsontext.NewDecoder(bytes.NewReader(data))
	var out bytes.Buffer
	to := jsontext.NewEncoder(&out)
	for {
		token, err := in.ReadToken()
		if err != nil {
			return bytes.TrimSuffix(out.Bytes(), []byte("\n")) // the end: the object was checked
		}
		if token.Kind() == '"' {
			token = h.text(in, token, before, behind)
		}
		if to.WriteToken(token) != nil {
			return data
		}
	}
}

// text returns a text of a JSON object with marks, if the index reads it.
func (h *Highlighter) text(in *jsontext.Decoder, token jsontext.Token, before, behind string) jsontext.Token {
	if kind, length := in.StackIndex(in.StackDepth()); kind == '{' && length%2 == 1 {
		return token // a name
	}
	field, ok := h.field(string(in.StackPointer()))
	if !ok {
		return token
	}
	marked, _ := h.Mark(field, token.String(), before, behind)
	return jsontext.String(marked)
}

// field returns the field that has a text, by its pointer: the text itself, or an element of an array.
func (h *Highlighter) field(pointer string) (name string, ok bool) {
	if h.dialect.Paths == nil {
		return "", true
	}
	for i, path := range h.dialect.Paths {
		text := ""
		for _, token := range path {
			text += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
		}
		rest, found := strings.CutPrefix(pointer, text)
		if found && (rest == "" || rest[0] == '/' && strings.Trim(rest[1:], "0123456789") == "") {
			return h.dialect.Fields[i], true
		}
	}
	return "", false
}
