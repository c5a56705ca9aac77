// Package motte holds the source of the trusted code, so that the command that
// prints its size counts what it was built from.
package motte

import "embed"

// Source is the source of the Core's packages and of its main program, tests
// included; package tcb leaves those out.
//
//go:embed core/*.go core/*/*.go cmd/motte-core/*.go
var Source embed.FS
