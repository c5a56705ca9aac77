package motte

import "embed"

// Source is the source of the Core's packages and of its main program, tests
// included. With it "motte tcb" measures the code that it was built from; package
// tcb leaves the tests out.
//
//go:embed core/*.go core/*/*.go cmd/motte-core/*.go
var Source embed.FS

// Kits is the source of the kits for authors of Tasks. "motte task new" copies them. The packages of
// the Core that the kit for Go uses are in Source, and the header for C is in package motte/sdk/c.
//
//go:embed go.mod sdk/*.go sdk/ijson/*.go sdk/pointer/*.go sdk/sdktest/*.go
//go:embed sdk/rust/Cargo.toml sdk/rust/.cargo/config.toml sdk/rust/src/*.rs sdk/wasm/motte_wasm.h
var Kits embed.FS
