package main

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"

	"motte/sdk/ijson"
	"motte/sdk/pointer"
)

// source is where an input has its time, key and value.
type source struct {
	time     pointer.Pointer
	unit     int64 // nanoseconds of a number; 0: the time is a string
	key      []pointer.Pointer
	value    pointer.Pointer
	hasValue bool
}

// sample is the time of an object, in nanoseconds since 1970, and its value. Without a value it is
// not a number.
type sample struct {
	time  int64
	value float64
}

var noValue = math.NaN()

// maxPart bounds the bytes of a part of a key, and maxNumber the characters of a number.
const (
	maxPart   = 256
	maxNumber = 64
)

var errInput = errors.New("an input has a member of the wrong type")

// read returns the key and the sample of an input. It returns false if the input has no time, or
// lacks a part of the key.
func (c *source) read(input []byte) (key string, s sample, ok bool, err error) {
	switch err := ijson.Check(input); {
	case errors.Is(err, ijson.ErrAmbiguous):
		return "", s, false, err
	case err != nil:
		return "", s, false, nil
	}
	text, ok := find(c.time, input)
	if !ok {
		return "", s, false, nil
	}
	if s.time, err = c.timeOf(text); err != nil {
		return "", s, false, err
	}
	var b []byte
	for _, p := range c.key {
		text, ok := find(p, input)
		if !ok {
			return "", s, false, nil
		}
		part, err := keyPart(text)
		if err != nil {
			return "", s, false, err
		}
		b = appendPart(b, part)
	}
	s.value = noValue
	if text, ok := find(c.value, input); ok && c.hasValue {
		if s.value, err = parseNumber(string(text)); err != nil {
			return "", s, false, err
		}
	}
	return string(b), s, true, nil
}

// find returns the value that p points to, unless it is null.
func find(p pointer.Pointer, text []byte) ([]byte, bool) {
	v, ok := p.Value(text)
	return v, ok && string(v) != "null"
}

func (c *source) timeOf(value []byte) (int64, error) {
	if c.unit > 0 {
		return parseUnix(string(value), c.unit)
	}
	text, err := unquoted(value)
	if err != nil {
		return 0, err
	}
	return parseTime(text)
}

func unquoted(value []byte) (text string, err error) {
	if len(value) == 0 || value[0] != '"' {
		return "", errInput
	}
	err = json.Unmarshal(value, &text)
	return text, err
}

// keyPart reads a part of a key: a string, or an integer without an exponent.
func keyPart(value []byte) (string, error) {
	text := string(value)
	if value[0] == '"' {
		var err error
		if text, err = unquoted(value); err != nil {
			return "", err
		}
	} else if _, err := strconv.ParseInt(text, 10, 64); err != nil {
		return "", errInput
	}
	if len(text) > maxPart {
		return "", errInput
	}
	return text, nil
}

// parseNumber reads a finite number in the syntax of JSON. It turns -0 into 0.
func parseNumber(text string) (float64, error) {
	if text == "" || len(text) > maxNumber || strings.Trim(text, "+-.0123456789eE") != "" || !json.Valid([]byte(text)) {
		return 0, errInput
	}
	n, err := strconv.ParseFloat(text, 64)
	return n + 0, err
}

// appendPart appends a part of a key, so that keys are in the order of their parts. The byte 0 ends a
// part; a byte 0 in it is followed by 0xff.
func appendPart(key []byte, part string) []byte {
	key = append(key, strings.ReplaceAll(part, "\x00", "\x00\xff")...)
	return append(key, 0, 1)
}
