// Package motte is an extensible encrypted object store whose extension code may
// be vulnerable.
//
// A small trusted Core keeps, seals, checks and hands out objects. Index code
// runs in Tasks: confined processes, in any language, that an attacker may have
// taken over. The Core feeds a Task what it is to index; the Task answers with
// identities of objects. The Core checks each identity, and sends only objects
// that it stored itself and that this client may read: Only-In-Never-Out.
//
// Programs use these packages:
//
//   - [motte/client] connects to a server: Put, Get, Search, Delete.
//   - [motte/sdk] is what the author of a Task needs.
//   - [motte/mottetest] runs a whole server inside a test.
//
// The trusted code is below [motte/core]. The command motte is the server and the
// command line; its tutorial is in docs/tutorial.md.
package motte
