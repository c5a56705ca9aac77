// Package access decides what a principal may do.
//
// A principal is named by the SHA-256 of its public key. A grant gives it
// rights in one collection, or on the server itself. What no grant gives is
// denied: every decision here is a positive test that falls through to "no",
// and the zero value of every type allows nothing.
//
// A caller that lets a principal touch an object must have asked Read, Delete
// or Replace about that object, whoever found it: a Task can't know rights
// (paper, section 5, "Access Control").
package access

import (
	"crypto/sha256"

	"motte/core/model"
)

// Principal names a client: the SHA-256 of its 32-byte Ed25519 public key.
type Principal [sha256.Size]byte

// Of returns the principal that owns the public key.
func Of(publicKey []byte) Principal { return sha256.Sum256(publicKey) }

// Grants are the rights of principals in one collection, or on the server.
// The zero value can be read, and denies everything.
type Grants map[Principal]model.Rights

// Rights returns what p was granted.
func (g Grants) Rights(p Principal) model.Rights { return g[p] }

// Set gives p these rights, and no others.
func (g Grants) Set(p Principal, r model.Rights) {
	if g[p] = r; r == 0 {
		delete(g, p)
	}
}

// Any reports whether any of the rights in want is granted.
func Any(r, want model.Rights) bool { return r&want != 0 }

// Read reports whether an object may be read; own says that the principal
// put it itself.
func Read(r model.Rights, own bool) bool {
	return Any(r, model.RightRead) || own && Any(r, model.RightReadOwn)
}

// Delete reports whether an object may be deleted: what a principal can't
// see, another's object, it can't delete.
func Delete(r model.Rights, own bool) bool {
	return Any(r, model.RightDelete) && (own || Any(r, model.RightRead))
}

// Replace reports whether a PUT may take the place of an object: writing over
// another principal's object destroys it, and so needs the right to.
func Replace(r model.Rights, own bool) bool {
	return Any(r, model.RightWrite) && (own || Delete(r, own))
}
