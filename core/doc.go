// Package core is the root of the trusted code. Its packages are the Core; package
// motte/core/server puts them together.
//
// Read them in this order:
//
//   - [motte/core/model] has the types that all boundaries share.
//   - [motte/core/identity] makes and checks the names of objects.
//   - [motte/core/codec] reads and writes fixed layouts, also of hostile input.
//   - [motte/core/wire], [motte/core/taskwire] and [motte/core/hostwire] are the
//     three boundaries: clients, Tasks, the host.
//   - [motte/core/tlsauth] authenticates clients, [motte/core/access] decides
//     what a principal may do.
//   - [motte/core/seal] derives keys and seals, [motte/core/seglog] is the
//     sealed log, [motte/core/mapping] finds an object's record.
//   - [motte/core/leak] bounds the information in the outcome of a query.
//   - [motte/core/engine] is the state machine: put, get, delete, search. It does
//     no input and no output.
//   - [motte/core/server] has the sockets, the files and the goroutines.
//
// The packages import only the standard library and each other. They use neither unsafe
// nor reflection. A test in this directory checks both.
package core
