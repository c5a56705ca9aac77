// Package c has the kit for Tasks in C and C++, for programs that compile one.
package c

import _ "embed"

// Kit is the content of motte.h.
//
//go:embed motte.h
var Kit string
