// Package access decides what a principal may do.
//
// The identifier of a principal is the SHA-256 of its public key. A grant gives a
// principal rights in one collection, or on the server itself.
//
// Invariants:
//
//  1. An action without a grant is denied. Every decision here is a positive test that
//     falls through to "no".
//  2. The zero value of every type denies every action.
//
// The caller's duty: before a principal reads, deletes or replaces an object, ask Read,
// Delete or Replace about that object. This holds also for an object that a Task found,
// since a Task does not know rights (paper, section 5, "Access Control").
package access

import (
	"crypto/sha256"

	"motte/core/model"
)

// Principal identifies a client: the SHA-256 of its 32-byte Ed25519 public key.
type Principal [sha256.Size]byte

// Of returns the principal that owns the public key.
func Of(publicKey []byte) Principal { return sha256.Sum256(publicKey) }

// Grants are the rights of principals in one collection, or on the server.
// The zero value can be read, and denies everything.
type Grants map[Principal]model.Rights

// Rights returns the rights of p.
func (g Grants) Rights(p Principal) model.Rights { return g[p] }

// Set gives p these rights, and no others.
func (g Grants) Set(p Principal, r model.Rights) {
	if g[p] = r; r == 0 {
		delete(g, p)
	}
}

// Any reports whether any of the rights in want is granted.
func Any(r, want model.Rights) bool { return r&want != 0 }

// Read reports whether an object may be read; own says that the principal put it.
func Read(r model.Rights, own bool) bool {
	return Any(r, model.RightRead) || own && Any(r, model.RightReadOwn)
}

// Delete reports whether an object may be deleted. A principal deletes an object of
// another principal only if it may read it.
func Delete(r model.Rights, own bool) bool {
	return Any(r, model.RightDelete) && (own || Any(r, model.RightRead))
}

// Replace reports whether a PUT may replace an object. Replacing another principal's
// object destroys it, so it needs the right to delete as well.
func Replace(r model.Rights, own bool) bool {
	return Any(r, model.RightWrite) && (own || Delete(r, own))
}
