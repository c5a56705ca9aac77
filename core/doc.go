// Package core is the root of the trusted code. It has no code of its own: its
// packages are the Core, and package motte/core/server puts them together.
//
// A reader meets the fewest unknown words in this order:
//
//   - [motte/core/identity] makes and checks the names of objects.
//   - [motte/core/codec] reads and writes fixed layouts, also hostile ones.
//   - [motte/core/wire], [motte/core/taskwire] and [motte/core/hostwire] are the
//     three boundaries: clients, Tasks, the host.
//   - [motte/core/tlsauth] authenticates clients, [motte/core/access] decides
//     what a principal may do.
//   - [motte/core/seal] derives keys and seals, [motte/core/seglog] keeps the
//     sealed log, [motte/core/mapping] finds an object's record.
//   - [motte/core/leak] computes what an outcome can tell about objects that a
//     client may not read.
//   - [motte/core/engine] is the state machine: put, get, delete, search. It does
//     no input and no output.
//   - [motte/core/server] has the sockets, the files and the goroutines.
//
// The packages import the standard library and each other, nothing else. They
// use neither unsafe nor reflection. A test in this directory holds them to it.
package core
