package main

import (
	"bytes"
	"fmt"
	"io"
)

// readText reads a text of at most limit bytes that a person wrote. For "-" it reads standard
// input.
func (a *app) readText(path string, limit int) ([]byte, error) {
	in, err := a.input(path)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	if err != nil {
		return nil, err
	}
	if len(text) > limit { // a truncated text could be valid, too
		return nil, fmt.Errorf("%s has more than %s", path, size(uint64(limit)))
	}
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(text, []byte(mark)) {
			return nil, fmt.Errorf("%s is in UTF-16: save it in UTF-8", path)
		}
	}
	return withoutMark(text), nil
}

// byteOrderMark is a mark that some editors put before a text. It does not belong to the text.
const byteOrderMark = "\ufeff"

func withoutMark(text []byte) []byte { return bytes.TrimPrefix(text, []byte(byteOrderMark)) }
