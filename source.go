package motte

import "embed"

// Source is the source of the Core's packages and of its main program, tests
// included. With it "motte tcb" measures the code that it was built from; package
// tcb leaves the tests out.
//
//go:embed core/*.go core/*/*.go cmd/motte-core/*.go
var Source embed.FS
